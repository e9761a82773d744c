/* SPDX-License-Identifier: Apache-2.0 */
/* disk_wait.h - the long verbs of a disk: open, close, restart ... */
#ifndef FOREBAY_CLI_DISK_WAIT_H
#define FOREBAY_CLI_DISK_WAIT_H

#include <jansson.h>

struct client;
struct error;
struct invocation;

/*
 * POSTs @verb to the disk until it is done, with @body (NULL: none); shows the
 * disk as it is then. While it lasts a line on standard error tells how far it
 * is, if that is a terminal.
 */
int disk_wait(const struct invocation *invocation, struct client *client,
	      const char *verb, const json_t *body, struct error *error);

/*
 * Asks for a hold, and waits until it is there; shows the disk as it is then.
 * -EBUSY with words if it ends before.
 */
int disk_hold_wait(const struct invocation *invocation, struct client *client,
		   const json_t *body, struct error *error);

#endif
