/* SPDX-License-Identifier: Apache-2.0 */
/*
 * single_step.h - stops a child after every instruction that changes memory.
 */
#ifndef FOREBAY_TESTS_SINGLE_STEP_H
#define FOREBAY_TESTS_SINGLE_STEP_H

#include <stddef.h>

/*
 * Runs @work on @memory, which is shared, in a child, and gives a copy of it
 * to @check whenever it has changed.
 * Returns: how often, or -1 if nothing can be traced here.
 */
int single_step(void *memory, size_t bytes, void (*work)(void *memory),
		void (*check)(const void *copy, void *owner), void *owner);

#endif
