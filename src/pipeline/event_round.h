/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_round.h - which filter is told what next of a lifecycle event. Pure:
 * no filter is called here, and no time passes.
 *
 *        PRE, from the VM down            POST or UNDO, upwards
 *        0 -> 1 -> 2 -> 3                 0 <- 1 <- 2 <- 3
 *                  |
 *                  refuses: 0 <- 1 are told UNDO, 2 and 3 nothing
 *
 * One phase at a time is begun by its owner: PRE, which turns into UNDO by
 * itself if a filter refuses, then POST or UNDO. The owner asks for the next
 * filter, tells it, and answers for it, until the phase is over:
 *
 *	event_round_pre(&round, members, refusable);
 *	while (event_round_next(&round, &filter))
 *		event_round_answer(&round, status of @filter);
 */
#ifndef FOREBAY_PIPELINE_EVENT_ROUND_H
#define FOREBAY_PIPELINE_EVENT_ROUND_H

#include <stdbool.h>
#include <stdint.h>

#include "forebay/filter.h"

/* A bit of a mask for each filter, bit 0 the one nearest to the VM. */
#define EVENT_ROUND_FILTERS_MAX 32u

struct event_round {
	enum forebay_event_phase phase;
	uint32_t left; /* to be told in this phase, and the one being told */
	uint32_t told; /* were told PRE and haven't refused */
	uint32_t asked; /* filter whose answer is due */
	bool waiting; /* for it */
	bool refusable;
	int status; /* 0, or with what a filter ended PRE for all */
	uint32_t refused_by;
};

/* @refusable: a filter's failure is the event's. */
void event_round_pre(struct event_round *round, uint32_t members,
		     bool refusable);
void event_round_post(struct event_round *round, uint32_t members);
void event_round_undo(struct event_round *round, uint32_t members);

/*
 * Returns: whether there is a filter to tell round->phase: *ret_filter, whose
 * answer is due then. False: the phase is over, or an answer is due.
 */
bool event_round_next(struct event_round *round, uint32_t *ret_filter);
/* For the filter that was told: 0 or a negative errno; one that was late, too.
 */
void event_round_answer(struct event_round *round, int status);
/* Nobody is left to be told, and no answer is due. */
bool event_round_over(const struct event_round *round);

#endif
