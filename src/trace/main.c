// SPDX-License-Identifier: Apache-2.0
/*
 * main.c - forebay-trace: what to do with a file of the filter trace.
 *
 * Exit codes: 0; 1 it failed, and one line on standard error says why; 2 wrong
 * arguments.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "replay.h"
#include "summary.h"

#define EXIT_USAGE 2
#define SPEED_MAX 1e6

static const char usage[] =
	"usage: forebay-trace summary FILE [--json]\n"
	"       forebay-trace print FILE\n"
	"       forebay-trace replay FILE (--vhost-user SOCKET | --nbd URI)\n"
	"                     [--speed FACTOR | --as-fast] [--depth N]\n"
	"                     [--destroy-data]\n"
	"       forebay-trace --help | --version\n"
	"\n"
	"Summarises, prints and replays what the filter trace has recorded.\n";

struct arguments {
	const char *verb;
	const char *path;
	bool json;
	struct replay_options replay;
};

static int refuse(const char *what)
{
	fprintf(stderr, "forebay-trace: %s\n%s", what, usage);
	return EXIT_USAGE;
}

static bool parse_number(const char *text, double least, double most,
			 double *ret_number)
{
	char *end;

	*ret_number = strtod(text, &end);
	return end != text && *end == '\0' && *ret_number >= least &&
	       *ret_number <= most;
}

/* Returns: -1 to go on, or the exit code. */
static int take_option(int option, const char *text,
		       struct arguments *arguments)
{
	double number;

	switch (option) {
	case 'j':
		arguments->json = true;
		return -1;
	case 'u':
	case 'n':
		if (arguments->replay.address)
			return refuse("one disk at a time");
		arguments->replay.address = text;
		arguments->replay.nbd = option == 'n';
		return -1;
	case 's':
		if (!parse_number(text, 1e-6, SPEED_MAX,
				  &arguments->replay.speed))
			return refuse("--speed takes a number above 0");
		return -1;
	case 'f':
		arguments->replay.speed = 0;
		return -1;
	case 'd':
		if (!parse_number(text, 1, REPLAY_DEPTH_MAX, &number))
			return refuse("--depth takes a number from 1 to 1024");
		arguments->replay.depth = (unsigned int)number;
		return -1;
	case 'D':
		arguments->replay.may_write = true;
		return -1;
	case 'h':
		fputs(usage, stdout);
		return EXIT_SUCCESS;
	case 'v':
		puts("forebay-trace " FOREBAY_VERSION);
		return EXIT_SUCCESS;
	default:
		return EXIT_USAGE;
	}
}

/* Returns: -1 to go on, or the exit code. */
static int parse(int count, char **words, struct arguments *arguments)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"vhost-user", required_argument, NULL, 'u'},
		{"nbd", required_argument, NULL, 'n'},
		{"speed", required_argument, NULL, 's'},
		{"as-fast", no_argument, NULL, 'f'},
		{"depth", required_argument, NULL, 'd'},
		{"destroy-data", no_argument, NULL, 'D'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{0},
	};
	int option, code;

	while ((option = getopt_long(count, words, "", options, NULL)) != -1) {
		code = take_option(option, optarg, arguments);
		if (code >= 0)
			return code;
	}
	if (count - optind != 2)
		return refuse("needs a verb and a file");
	arguments->verb = words[optind];
	arguments->path = words[optind + 1];
	if (strcmp(arguments->verb, "replay") == 0 &&
	    !arguments->replay.address)
		return refuse("replay needs --vhost-user SOCKET or --nbd URI");
	return -1;
}

static double us(uint64_t ns)
{
	return (double)ns / NS_PER_US;
}

static void print_result(const struct replay_result *result)
{
	static const char *const names[LOAD_KINDS] = {
		"read", "write", "flush", "discard", "write-zeroes"};
	const struct histogram *latency = &result->latency;

	printf("{\"seconds\": %.6f, \"errors\": %" PRIu64
	       ", \"skipped\": %" PRIu64 ", \"late_us\": %.1f"
	       ",\n \"latency_us\": {\"p50\": %.1f, \"p99\": %.1f, \"max\": "
	       "%.1f},\n \"requests\": {",
	       result->seconds, result->errors, result->skipped,
	       us(result->late_ns), us(histogram_quantile(latency, .5)),
	       us(histogram_quantile(latency, .99)), us(latency->max_ns));
	for (unsigned int i = 0; i < LOAD_KINDS; i++)
		printf("%s\"%s\": %" PRIu64, i > 0 ? ", " : "", names[i],
		       result->counts[i]);
	printf("}}\n");
}

static int replay(struct trace_file *file, const struct arguments *arguments,
		  struct error *error)
{
	static struct replay_result result; /* a histogram: large */
	int status = replay_run(file, &arguments->replay, &result, error);

	if (status < 0)
		return status;
	print_result(&result);
	if (result.errors > 0)
		return error_set(error, -EIO, "%s: %" PRIu64 " requests failed",
				 arguments->replay.address, result.errors);
	return 0;
}

/* Returns: the exit code. */
static int run(const struct arguments *arguments)
{
	struct trace_file file;
	struct error error = {0};
	int status;

	if (strcmp(arguments->verb, "summary") != 0 &&
	    strcmp(arguments->verb, "print") != 0 &&
	    strcmp(arguments->verb, "replay") != 0)
		return refuse("the verbs are summary, print and replay");
	status = trace_file_open(arguments->path, &file, &error);
	if (status == 0) {
		if (arguments->verb[0] == 's')
			summary_print(&file, arguments->json);
		else if (arguments->verb[0] == 'p')
			summary_print_records(&file);
		else
			status = replay(&file, arguments, &error);
		trace_file_close(&file);
	}
	if (status == 0 && fflush(stdout) != 0)
		status = error_set(&error, -errno, "standard output: %s",
				   strerror(errno));
	if (status == 0)
		return EXIT_SUCCESS;
	fprintf(stderr, "forebay-trace: %s\n", error.message);
	return EXIT_FAILURE;
}

int main(int count, char **words)
{
	struct arguments arguments = {.replay = {.depth = 64, .speed = 1}};
	int code = parse(count, words, &arguments);

	return code >= 0 ? code : run(&arguments);
}
