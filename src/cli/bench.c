// SPDX-License-Identifier: Apache-2.0
/* bench.c - forebay bench: flags, target, load, report. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "arguments.h"
#include "bench_options.h"
#include "bench_report.h"
#include "bench_target.h"
#include "client.h"
#include "error.h"
#include "nouns.h"
#include "output.h"

static volatile sig_atomic_t interrupted;

static void interrupt(int signal_number)
{
	(void)signal_number;
	interrupted = 1;
}

/* Once: a second ^C ends the program as if nobody had listened. */
static void listen_for_interrupt(void)
{
	struct sigaction action = {
		.sa_handler = interrupt,
		.sa_flags = (int)SA_RESETHAND,
	};

	(void)sigaction(SIGINT, &action, NULL);
}

/* A bench must not eat a disk because somebody forgot what is on it. */
static int check_consent(const struct invocation *invocation,
			 const struct load_options *options,
			 const struct bench_target *target, struct error *error)
{
	if (!load_writes(options) || invocation->flags[FLAG_DESTROY_DATA])
		return 0;
	return error_set(error, -EINVAL,
			 "%s: this load would destroy data there; if that is "
			 "meant, say --destroy-data",
			 invocation->operand_count > 0 ? invocation->operands[0]
						       : target->address);
}

static int show(const struct invocation *invocation,
		const struct load_options *options,
		const struct load_result *result, struct error *error)
{
	struct client_answer answer = {.status = 200};
	int status;

	answer.json = bench_report_json(options, result);
	if (answer.json)
		answer.bytes = json_dumps(
			answer.json, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
	if (!answer.bytes) {
		client_answer_release(&answer);
		return error_set(error, -ENOMEM, "forebay: out of memory");
	}
	for (const char *end = answer.bytes; *end; end++)
		answer.byte_count++;
	status =
		output_answer(invocation, &answer, bench_report_present, error);
	client_answer_release(&answer);
	return status;
}

/* A result that the shell must learn of is a failure. */
static int judge(const struct load_options *options,
		 const struct load_result *result, struct error *error)
{
	const struct journal_failures *wrong = &result->wrong;

	if (wrong->sectors > 0)
		return error_set(error, -EIO,
				 "%s: %llu wrong sectors; sector %llu: "
				 "expected %s, found %s",
				 options->address,
				 (unsigned long long)wrong->sectors,
				 (unsigned long long)wrong->first_sector,
				 wrong->expected, wrong->found);
	if (load_errors(result) > 0)
		return error_set(error, -EIO, "%s: %llu requests failed",
				 options->address,
				 (unsigned long long)load_errors(result));
	return 0;
}

static int load_and_show(const struct invocation *invocation,
			 struct load_options *options, struct error *error)
{
	static struct load_result result; /* histograms: large */
	int status;

	options->stop = &interrupted;
	if (isatty(STDOUT_FILENO) && isatty(STDERR_FILENO))
		options->progress = bench_report_progress;
	listen_for_interrupt();
	status = load_run(options, &result, error);
	if (options->progress)
		(void)fputs("\r\033[K", stderr);
	if (status == 0)
		status = show(invocation, options, &result, error);
	return status == 0 ? judge(options, &result, error) : status;
}

int bench_run(const struct invocation *invocation, struct client *client,
	      struct error *error)
{
	struct load_options options;
	struct bench_target target = {0};
	int status = bench_options_parse(invocation, &options, error);

	if (status < 0)
		return status;
	status = bench_target_find(invocation, client, load_writes(&options),
				   &target, error);
	if (status == 0 && options.packed && target.protocol == LOAD_NBD)
		status = error_set(error, -EINVAL,
				   "--packed: NBD has no virtqueues");
	if (status == 0)
		status = check_consent(invocation, &options, &target, error);
	if (status == 0) {
		options.protocol = target.protocol;
		options.address = target.address;
		status = load_and_show(invocation, &options, error);
	}
	bench_target_release(&target);
	return status;
}
