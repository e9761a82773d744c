/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program.h - all programs of a few operations on a disk of three blocks.
 *
 * Nothing is left to chance here but which bytes of a state survive below: each
 * program runs from a blank log and from one that is about to wrap, with I/O
 * that ends in the order it began or in the opposite one. What crashes leave is
 * looked at after every event of a program's last operation, for those of its
 * other operations belong to a shorter program.
 */
#ifndef FOREBAY_SIM_PROGRAM_H
#define FOREBAY_SIM_PROGRAM_H

#include <stdint.h>

#include "engine.h"
#include "look.h"

#define PROGRAM_OPERATIONS_MAX 6u

struct program_result {
	struct look_counts counts;
	uint64_t programs;
	uint64_t events;
	uint64_t failures;
	uint32_t trace;
	char failure[400]; /* of the first program that failed */
};

/* All programs of 1 to @operations; stops at the first that fails. */
void program_explore(uint32_t operations, enum engine_planted_bug bug,
		     struct program_result *ret);

#endif
