// SPDX-License-Identifier: Apache-2.0
/* event_round.c - see event_round.h. */
#include "event_round.h"

#include <assert.h>

static void begin(struct event_round *round, enum forebay_event_phase phase,
		  uint32_t members)
{
	*round = (struct event_round){
		.phase = phase,
		.left = members,
	};
}

void event_round_pre(struct event_round *round, uint32_t members,
		     bool refusable)
{
	begin(round, FOREBAY_EVENT_PRE, members);
	round->refusable = refusable;
}

void event_round_post(struct event_round *round, uint32_t members)
{
	begin(round, FOREBAY_EVENT_POST, members);
}

void event_round_undo(struct event_round *round, uint32_t members)
{
	begin(round, FOREBAY_EVENT_UNDO, members);
}

bool event_round_next(struct event_round *round, uint32_t *ret_filter)
{
	if (round->waiting || round->left == 0)
		return false;
	if (round->phase == FOREBAY_EVENT_PRE)
		round->asked = (uint32_t)__builtin_ctz(round->left);
	else
		round->asked = EVENT_ROUND_FILTERS_MAX - 1 -
			       (uint32_t)__builtin_clz(round->left);
	round->waiting = true;
	*ret_filter = round->asked;
	return true;
}

void event_round_answer(struct event_round *round, int status)
{
	uint32_t bit = 1u << round->asked;

	assert(round->waiting && status <= 0);
	round->waiting = false;
	round->left &= ~bit;
	if (round->phase != FOREBAY_EVENT_PRE)
		return;
	if (status == 0 || !round->refusable) {
		round->told |= bit;
		return;
	}
	round->status = status;
	round->refused_by = round->asked;
	round->phase = FOREBAY_EVENT_UNDO;
	round->left = round->told;
}

bool event_round_over(const struct event_round *round)
{
	return round->left == 0 && !round->waiting;
}
