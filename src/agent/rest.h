/* SPDX-License-Identifier: Apache-2.0 */
/* rest.h - HTTP on a unix socket, from requests to routes and back. */
#ifndef FOREBAY_AGENT_REST_H
#define FOREBAY_AGENT_REST_H

#include "agent.h"
#include "error.h"

/* Most bytes in a request's body. */
#define REST_BODY_BYTES_MAX (256u << 10)
/* The same of one that is a file: a packed bundle, and a byte to see more. */
#define REST_FILE_BYTES_MAX (UINT64_C(66) << 20)
#define REST_CONNECTIONS_MAX 64u

struct rest;

/* Listens at @path (mode 0660), which nobody else may be using. */
int rest_start(struct agent *agent, const char *path, struct rest **ret_rest,
	       struct error *error);
/*
 * Ends when the requests in progress have been answered: make their waits end
 * first. NULL is fine.
 */
void rest_stop(struct rest *rest);

#endif
