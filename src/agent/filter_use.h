/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter_use.h - which disks use which filter, and what that forbids.
 *
 * Request threads.
 */
#ifndef FOREBAY_AGENT_FILTER_USE_H
#define FOREBAY_AGENT_FILTER_USE_H

#include <jansson.h>

#include "agent.h"
#include "problem.h"

/* Adds `disks` to each (api: Filter): the names of those that run, or will
 * drain, with this very library. Returns: 0 or a problem. */
int filter_use_add(struct agent *agent, json_t *filters,
		   struct problem *problem);

/* @fd: the packed bundle. *ret_filter: as installed (api: Filter). */
int filter_install(struct agent *agent, int fd, json_t **ret_filter,
		   struct problem *problem);
/* @reference: NAME@VERSION, or NAME where one version is installed. Refused as
 * long as a disk or a policy needs it. */
int filter_uninstall(struct agent *agent, const char *reference,
		     json_t **ret_filter, struct problem *problem);

#endif
