/* SPDX-License-Identifier: Apache-2.0 */
/* bench_target.h - which socket forebay bench is to load. */
#ifndef FOREBAY_CLI_BENCH_TARGET_H
#define FOREBAY_CLI_BENCH_TARGET_H

#include "load.h"

struct client;
struct error;
struct invocation;

struct bench_target {
	enum load_protocol protocol;
	char *address; /* owned: bench_target_release() */
};

/*
 * Of a disk, vhost-user-blk if no VM is connected there, else NBD, which then
 * must not be written to.
 * Returns: 0, -EINVAL, or what asking forebayd said, with @error filled.
 */
int bench_target_find(const struct invocation *invocation,
		      struct client *client, bool writes,
		      struct bench_target *ret_target, struct error *error);
void bench_target_release(struct bench_target *target);

#endif
