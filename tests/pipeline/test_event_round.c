// SPDX-License-Identifier: Apache-2.0
/*
 * test_event_round.c - every order in which filters agree, refuse and are late.
 *
 * All sets of up to FILTERS filters, and for each every way to answer PRE, are
 * walked through and compared with what filter.h promises.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants those first. */
#include <cmocka.h>

#include "event_round.h"

#define FILTERS 5u
#define TOLD_MAX (2 * FILTERS)

/* How a filter answers PRE; a late one is answered for. */
static const int answers[] = {0, -EBUSY, -ETIMEDOUT};
#define ANSWERS 3u

struct told {
	enum forebay_event_phase phase;
	uint32_t filter;
};

struct log {
	struct told told[TOLD_MAX];
	unsigned int count;
};

static int answer_of(unsigned int script, uint32_t filter)
{
	while (filter-- > 0)
		script /= ANSWERS;
	return answers[script % ANSWERS];
}

/* Runs the phase that has begun to its end. */
static void run(struct event_round *round, unsigned int script, struct log *log)
{
	uint32_t filter, other;

	memset(log, 0, sizeof(*log));
	while (event_round_next(round, &filter)) {
		assert_true(log->count < TOLD_MAX);
		log->told[log->count++] = (struct told){round->phase, filter};
		/* Nobody else is told before it has answered. */
		assert_false(event_round_next(round, &other));
		assert_false(event_round_over(round));
		event_round_answer(round, answer_of(script, filter));
	}
	assert_true(event_round_over(round));
}

/* The calls that filter.h promises for a PRE. */
static void expect_pre(uint32_t members, unsigned int script, bool refusable,
		       struct log *log)
{
	uint32_t filter;

	memset(log, 0, sizeof(*log));
	for (filter = 0; filter < FILTERS; filter++) {
		if (!(members & (1u << filter)))
			continue;
		log->told[log->count++] =
			(struct told){FOREBAY_EVENT_PRE, filter};
		if (refusable && answer_of(script, filter) < 0)
			break;
	}
	if (filter == FILTERS)
		return;
	while (filter-- > 0) {
		if (members & (1u << filter))
			log->told[log->count++] =
				(struct told){FOREBAY_EVENT_UNDO, filter};
	}
}

static void assert_same(const struct log *is, const struct log *wanted)
{
	assert_int_equal(is->count, wanted->count);
	for (unsigned int i = 0; i < is->count; i++) {
		assert_int_equal(is->told[i].phase, wanted->told[i].phase);
		assert_int_equal(is->told[i].filter, wanted->told[i].filter);
	}
}

static unsigned int scripts(void)
{
	unsigned int count = 1;

	for (unsigned int i = 0; i < FILTERS; i++)
		count *= ANSWERS;
	return count;
}

static void walk(bool refusable)
{
	for (uint32_t members = 0; members < 1u << FILTERS; members++) {
		for (unsigned int script = 0; script < scripts(); script++) {
			struct event_round round;
			struct log is, wanted;

			event_round_pre(&round, members, refusable);
			run(&round, script, &is);
			expect_pre(members, script, refusable, &wanted);
			assert_same(&is, &wanted);
		}
	}
}

static void only_filters_before_a_refusal_are_told_undo(void **state)
{
	(void)state;
	walk(true);
}

static void what_cant_be_refused_reaches_every_filter(void **state)
{
	(void)state;
	walk(false);
}

static void a_refusal_names_its_filter_and_its_reason(void **state)
{
	for (uint32_t filter = 0; filter < FILTERS; filter++) {
		struct event_round round;
		struct log log;
		unsigned int script = 2; /* late */

		(void)state;
		for (uint32_t i = 0; i < filter; i++)
			script *= ANSWERS;
		event_round_pre(&round, (1u << FILTERS) - 1, true);
		run(&round, script, &log);
		assert_int_equal(round.status, -ETIMEDOUT);
		assert_int_equal(round.refused_by, filter);
	}
}

static void an_agreed_event_has_no_status(void **state)
{
	struct event_round round;
	struct log log;

	(void)state;
	event_round_pre(&round, (1u << FILTERS) - 1, true);
	run(&round, 0, &log);
	assert_int_equal(round.status, 0);
	event_round_pre(&round, (1u << FILTERS) - 1, false);
	run(&round, scripts() - 1, &log);
	assert_int_equal(round.status, 0);
}

static void assert_upwards(void (*begin)(struct event_round *round,
					 uint32_t members),
			   enum forebay_event_phase phase)
{
	for (uint32_t members = 0; members < 1u << FILTERS; members++) {
		struct event_round round;
		struct log is, wanted = {0};

		for (uint32_t filter = FILTERS; filter-- > 0;) {
			if (members & (1u << filter))
				wanted.told[wanted.count++] =
					(struct told){phase, filter};
		}
		begin(&round, members);
		/* All of them late: nobody is left out for that. */
		run(&round, scripts() - 1, &is);
		assert_same(&is, &wanted);
	}
}

static void post_goes_upwards_whatever_the_answers(void **state)
{
	(void)state;
	assert_upwards(event_round_post, FOREBAY_EVENT_POST);
}

static void undo_goes_upwards_whatever_the_answers(void **state)
{
	(void)state;
	assert_upwards(event_round_undo, FOREBAY_EVENT_UNDO);
}

static void the_lowest_of_many_filters_is_reached(void **state)
{
	struct event_round round;
	uint32_t filter;

	(void)state;
	event_round_pre(&round, UINT32_MAX, true);
	for (uint32_t i = 0; i < EVENT_ROUND_FILTERS_MAX; i++) {
		assert_true(event_round_next(&round, &filter));
		assert_int_equal(filter, i);
		event_round_answer(&round, 0);
	}
	assert_true(event_round_over(&round));
	event_round_post(&round, UINT32_MAX);
	assert_true(event_round_next(&round, &filter));
	assert_int_equal(filter, EVENT_ROUND_FILTERS_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_filters_before_a_refusal_are_told_undo),
		cmocka_unit_test(what_cant_be_refused_reaches_every_filter),
		cmocka_unit_test(a_refusal_names_its_filter_and_its_reason),
		cmocka_unit_test(an_agreed_event_has_no_status),
		cmocka_unit_test(post_goes_upwards_whatever_the_answers),
		cmocka_unit_test(undo_goes_upwards_whatever_the_answers),
		cmocka_unit_test(the_lowest_of_many_filters_is_reached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
