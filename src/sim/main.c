// SPDX-License-Identifier: Apache-2.0
/*
 * main.c - forebay-sim: the cache engine against modelled storage, by seeds.
 *
 *	forebay-sim [--first SEED] [--seeds N] [--states N] [--bug N]
 *	            [--world calm|crowded|faulty|damaged] [--verbose]
 *
 * Looks at N crash states of each seed. Prints one line for a seed that fails
 * (run it alone to see it again) and a summary. Exit code: 0 if every
 * state held, 1 if one didn't, 2 for bad arguments.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crc32c.h"
#include "explore.h"

struct arguments {
	uint64_t first;
	uint64_t seeds;
	uint64_t states;
	uint64_t bug;
	uint64_t kind;
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
	static const char *const names[WORLD_KINDS] = {
		[WORLD_CALM] = "calm",
		[WORLD_CROWDED] = "crowded",
		[WORLD_FAULTY] = "faulty",
		[WORLD_DAMAGED] = "damaged",
	};

	for (uint64_t i = 0; i < WORLD_KINDS; i++) {
		if (strcmp(text, names[i]) == 0) {
			*ret = i;
			return true;
		}
	}
	return false;
}

static bool parse(int argc, char **argv, struct arguments *ret)
{
	static const struct option options[] = {
		{"first", required_argument, NULL, 'f'},
		{"seeds", required_argument, NULL, 's'},
		{"states", required_argument, NULL, 'n'},
		{"bug", required_argument, NULL, 'b'},
		{"world", required_argument, NULL, 'w'},
		{"verbose", no_argument, NULL, 'v'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		uint64_t *value = option == 'f'	  ? &ret->first
				  : option == 's' ? &ret->seeds
				  : option == 'n' ? &ret->states
				  : option == 'b' ? &ret->bug
						  : NULL;

		if (option == 'w') {
			if (!parse_kind(optarg, &ret->kind))
				return false;
			continue;
		}
		if (option == 'v') {
			ret->verbose = true;
			continue;
		}
		if (!value || !parse_number(optarg, value))
			return false;
	}
	return optind == argc && ret->bug < ENGINE_BUG_LAST;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
	struct arguments arguments = {.first = 1, .seeds = 100, .states = 100};
	uint64_t states = 0;
	uint64_t restarts = 0;
	uint64_t warm_starts = 0;
	uint64_t events = 0;
	uint64_t failures = 0;
	uint32_t trace = 0;
	double begin = seconds();
	double took;

	if (!parse(argc, argv, &arguments)) {
		fprintf(stderr, "usage: forebay-sim [--first SEED] [--seeds N] "
				"[--states N] [--bug N] [--world calm|crowded|"
				"faulty|damaged] [--verbose]\n");
		return 2;
	}
	for (uint64_t i = 0; i < arguments.seeds; i++) {
		struct explore_result result;

		explore_seed(
			&(struct explore_plan){
				.seed = arguments.first + i,
				.crash_states = arguments.states,
				.kind = (enum world_kind)arguments.kind,
				.bug = (enum engine_planted_bug)arguments.bug,
				.verbose = arguments.verbose,
			},
			&result);
		states += result.crash_states;
		restarts += result.restarts;
		warm_starts += result.warm_starts;
		events += result.events;
		trace = crc32c(trace, &result.trace, sizeof(result.trace));
		if (!result.failure[0])
			continue;
		failures++;
		printf("seed %" PRIu64 ": %s\n", arguments.first + i,
		       result.failure);
	}
	took = seconds() - begin;
	printf("%" PRIu64 " crash states of %" PRIu64 " seeds, %" PRIu64
	       " restarts, %" PRIu64 " warm starts, %" PRIu64
	       " events, trace %08x, %.0f states/s, %" PRIu64 " seeds failed\n",
	       states, arguments.seeds, restarts, warm_starts, events, trace,
	       took > 0 ? (double)states / took : 0.0, failures);
	return failures ? 1 : 0;
}
