/* SPDX-License-Identifier: Apache-2.0 */
/* advice.h - what a disk would gain by a larger cache, or lose by a smaller. */
#ifndef FOREBAY_AGENT_ADVICE_H
#define FOREBAY_AGENT_ADVICE_H

#include "disk.h"

int advice_show(struct agent *agent, const char *reference, json_t **ret_advice,
		struct problem *problem);
/*
 * The same in one sentence, from a disk's answer to "stats" or NULL. Returns: a
 * new value; null: it has no cache that could tell.
 */
json_t *advice_sentence(const json_t *stats);

#endif
