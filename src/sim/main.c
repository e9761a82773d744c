// SPDX-License-Identifier: Apache-2.0
/*
 * main.c - forebay-sim: the cache engine against modelled storage.
 *
 *	forebay-sim [--first SEED] [--seeds N] [--states N] [--bug N]
 *	            [--world calm|crowded|faulty|damaged|lying|mixed]
 *	            [--look PERMILLE] [--find] [--verbose]
 *	forebay-sim --programs N [--bug N]
 *
 * Looks at N states of each seed, or at all programs of up to N operations.
 * --look says at how many of 1,000 event boundaries; else
 * the seed does. Prints one line for a seed that fails (run it alone to see it
 *again) and a summary; --find stops at the first. Exit code: 0 if every state
 *held, 1 if one didn't, 2 for bad arguments.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crc32c.h"
#include "explore.h"
#include "program.h"

struct arguments {
	uint64_t first;
	uint64_t seeds;
	uint64_t states;
	uint64_t bug;
	uint64_t kind;
	uint64_t programs;
	uint64_t look; /* permille */
	bool find; /* stop at the first failure: that is what is asked for */
	bool verbose;
};

static bool parse_number(const char *text, uint64_t *ret)
{
	char *end;

	*ret = strtoull(text, &end, 10);
	return *text != '\0' && *end == '\0';
}

static bool parse_kind(const char *text, uint64_t *ret)
{
	static const char *const names[WORLD_KINDS + 1] = {
		[WORLD_CALM] = "calm",	   [WORLD_CROWDED] = "crowded",
		[WORLD_FAULTY] = "faulty", [WORLD_DAMAGED] = "damaged",
		[WORLD_LYING] = "lying",   [WORLD_KINDS] = "mixed",
	};

	for (uint64_t i = 0; i <= WORLD_KINDS; i++) {
		if (strcmp(text, names[i]) == 0) {
			*ret = i;
			return true;
		}
	}
	return false;
}

static bool take(struct arguments *arguments, int option, const char *text)
{
	switch (option) {
	case 'f':
		return parse_number(text, &arguments->first);
	case 's':
		return parse_number(text, &arguments->seeds);
	case 'n':
		return parse_number(text, &arguments->states);
	case 'b':
		return parse_number(text, &arguments->bug);
	case 'l':
		return parse_number(text, &arguments->look);
	case 'p':
		return parse_number(text, &arguments->programs);
	case 'w':
		return parse_kind(text, &arguments->kind);
	case 'F':
		arguments->find = true;
		return true;
	case 'v':
		arguments->verbose = true;
		return true;
	default:
		return false;
	}
}

static bool parse(int argc, char **argv, struct arguments *ret)
{
	static const struct option options[] = {
		{"first", required_argument, NULL, 'f'},
		{"seeds", required_argument, NULL, 's'},
		{"states", required_argument, NULL, 'n'},
		{"bug", required_argument, NULL, 'b'},
		{"look", required_argument, NULL, 'l'},
		{"programs", required_argument, NULL, 'p'},
		{"world", required_argument, NULL, 'w'},
		{"find", no_argument, NULL, 'F'},
		{"verbose", no_argument, NULL, 'v'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (!take(ret, option, optarg))
			return false;
	}
	return optind == argc && ret->bug < ENGINE_BUG_LAST &&
	       ret->programs <= PROGRAM_OPERATIONS_MAX;
}

/* Of this process: a machine that is busy otherwise doesn't count. */
static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void print_counts(const struct look_counts *counts, double begin)
{
	double took = cpu_seconds() - begin;

	printf("%" PRIu64 " crash states, %" PRIu64 " recovered, %" PRIu64
	       " crashes in recovery, %" PRIu64
	       " refused, %.0f states/s per core",
	       counts->states, counts->recovered, counts->crashes_in_recovery,
	       counts->refused, took > 0 ? (double)counts->states / took : 0.0);
}

static int run_programs(const struct arguments *arguments)
{
	double begin = cpu_seconds();
	struct program_result result;

	program_explore((uint32_t)arguments->programs,
			(enum engine_planted_bug)arguments->bug, &result);
	if (result.failures)
		printf("%s\n", result.failure);
	print_counts(&result.counts, begin);
	printf("; %" PRIu64 " programs, %" PRIu64
	       " events, trace %08x, %" PRIu64 " failed\n",
	       result.programs, result.events, result.trace, result.failures);
	return result.failures ? 1 : 0;
}

static void add(struct explore_result *sum, const struct explore_result *result)
{
	sum->counts.states += result->counts.states;
	sum->counts.recovered += result->counts.recovered;
	sum->counts.crashes_in_recovery += result->counts.crashes_in_recovery;
	sum->counts.refused += result->counts.refused;
	sum->counts.warm_starts += result->counts.warm_starts;
	sum->restarts += result->restarts;
	sum->voids += result->voids;
	sum->events += result->events;
	if (result->liveness_events > sum->liveness_events)
		sum->liveness_events = result->liveness_events;
	sum->trace = crc32c(sum->trace, &result->trace, sizeof(result->trace));
}

static int run_seeds(const struct arguments *arguments)
{
	struct explore_result sum = {0};
	uint64_t failures = 0;
	double begin = cpu_seconds();
	uint64_t seeds = 0;

	while (seeds < arguments->seeds && !(arguments->find && failures)) {
		struct explore_result result;
		struct explore_plan plan = {
			.seed = arguments->first + seeds++,
			.states = arguments->states,
			.kind = (enum world_kind)arguments->kind,
			.bug = (enum engine_planted_bug)arguments->bug,
			.look_permille = (uint32_t)arguments->look,
			.verbose = arguments->verbose,
		};

		explore_seed(&plan, &result);
		add(&sum, &result);
		if (!result.failure[0])
			continue;
		failures++;
		printf("seed %" PRIu64 ": %s\n", plan.seed, result.failure);
	}
	print_counts(&sum.counts, begin);
	printf("; %" PRIu64 " seeds, %" PRIu64 " restarts, %" PRIu64
	       " warm starts, %" PRIu64 " SSDs out of use, %" PRIu64
	       " events, at most %" PRIu64 " until all had ended, trace %08x, "
	       "%" PRIu64 " seeds failed\n",
	       seeds, sum.restarts, sum.counts.warm_starts, sum.voids,
	       sum.events, sum.liveness_events, sum.trace, failures);
	return failures ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct arguments arguments = {.first = 1, .seeds = 100, .states = 100};

	if (!parse(argc, argv, &arguments)) {
		fprintf(stderr,
			"usage: forebay-sim [--first SEED] [--seeds N] "
			"[--states N] [--bug N]\n"
			"                   [--world calm|crowded|faulty|"
			"damaged|lying|mixed] [--look PERMILLE] [--find] "
			"[--verbose]\n"
			"       forebay-sim --programs N [--bug N]\n");
		return 2;
	}
	return arguments.programs > 0 ? run_programs(&arguments)
				      : run_seeds(&arguments);
}
