/* SPDX-License-Identifier: Apache-2.0 */
/* pool.h - pools as forebayd knows them; forebay-cached has the last word. */
#ifndef FOREBAY_AGENT_POOL_H
#define FOREBAY_AGENT_POOL_H

#include <jansson.h>
#include <stdbool.h>

#include "agent.h"
#include "problem.h"

/* Checks, stores, has forebay-cached take it; or leaves nothing behind. */
int pool_create(struct agent *agent, const json_t *body, json_t **ret_pool,
		struct problem *problem);
int pool_show(struct agent *agent, const char *name, json_t **ret_pool,
	      struct problem *problem);
int pool_list(struct agent *agent, json_t **ret_pools, struct problem *problem);

/* Without pools there are no cache files, and perhaps no forebay-cached. */
bool pool_is_any(struct agent *agent);

/*
 * Tells forebay-cached, which should run, the pools that the store has. Blocks
 * for a few seconds at most. Call it after each change.
 */
int pool_publish(struct agent *agent, struct problem *problem);

#endif
