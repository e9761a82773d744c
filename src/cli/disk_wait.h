/* SPDX-License-Identifier: Apache-2.0 */
/* disk_wait.h - the long verbs of a disk: open, close, flush. */
#ifndef FOREBAY_CLI_DISK_WAIT_H
#define FOREBAY_CLI_DISK_WAIT_H

struct client;
struct error;
struct invocation;

/*
 * POSTs @verb to the disk until it is done; shows the disk as it is then. While
 * it lasts a line on standard error tells how far it is, if that is a terminal.
 */
int disk_wait(const struct invocation *invocation, struct client *client,
	      const char *verb, struct error *error);

#endif
