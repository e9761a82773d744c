// SPDX-License-Identifier: Apache-2.0
/*
 * main.c - forebay-bench: a load generator for any vhost-user-blk socket.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"
#include "quantity.h"

#define DEPTH_MAX 1024u
#define QUEUES_MAX 64u
#define BLOCK_BYTES_MAX (256u << 10)

static const char usage_text[] =
	"usage: forebay-bench --socket PATH [OPTION...]\n"
	"\n"
	"Drives a vhost-user-blk device as a virtual machine would, and "
	"reports.\n"
	"\n"
	"  --socket PATH          the device's socket\n"
	"  --rw MODE              read, write, randread (default), randwrite,\n"
	"                         randrw\n"
	"  --read-percent N       reads in randrw (default 70)\n"
	"  --block-size SIZE      default 4KiB\n"
	"  --depth N              requests under way in each queue (default "
	"1)\n"
	"  --queues N             default 1\n"
	"  --seconds N            how long to measure (default 5)\n"
	"  --warm-up N            seconds before that (default 0)\n"
	"  --count N              stop after N requests\n"
	"  --offset SIZE          range of the disk (default all of it)\n"
	"  --size SIZE\n"
	"  --flush-every N        a FLUSH after N writes of a queue\n"
	"  --wait poll|irq        busy polling, or interrupts (default irq)\n"
	"  --packed               packed virtqueues\n"
	"  --verify               stamp what is written and check what is "
	"read;\n"
	"                         at the end read back all that was written\n"
	"  --reconnect N          seconds that the device may be away (default "
	"0)\n"
	"  --seed N               of the random blocks (default 1)\n"
	"  --cpu N                run on this CPU\n"
	"  --target-pid PID       report this process's CPU time too (repeat)\n"
	"  --json                 JSON on standard output\n";

enum option_number {
	OPTION_SOCKET = 256,
	OPTION_RW,
	OPTION_READ_PERCENT,
	OPTION_BLOCK_SIZE,
	OPTION_DEPTH,
	OPTION_QUEUES,
	OPTION_SECONDS,
	OPTION_WARM_UP,
	OPTION_COUNT,
	OPTION_OFFSET,
	OPTION_SIZE,
	OPTION_FLUSH_EVERY,
	OPTION_WAIT,
	OPTION_PACKED,
	OPTION_VERIFY,
	OPTION_RECONNECT,
	OPTION_SEED,
	OPTION_CPU,
	OPTION_TARGET_PID,
	OPTION_JSON,
	OPTION_HELP
};

static const struct option long_options[] = {
	{"socket", required_argument, NULL, OPTION_SOCKET},
	{"rw", required_argument, NULL, OPTION_RW},
	{"read-percent", required_argument, NULL, OPTION_READ_PERCENT},
	{"block-size", required_argument, NULL, OPTION_BLOCK_SIZE},
	{"depth", required_argument, NULL, OPTION_DEPTH},
	{"queues", required_argument, NULL, OPTION_QUEUES},
	{"seconds", required_argument, NULL, OPTION_SECONDS},
	{"warm-up", required_argument, NULL, OPTION_WARM_UP},
	{"count", required_argument, NULL, OPTION_COUNT},
	{"offset", required_argument, NULL, OPTION_OFFSET},
	{"size", required_argument, NULL, OPTION_SIZE},
	{"flush-every", required_argument, NULL, OPTION_FLUSH_EVERY},
	{"wait", required_argument, NULL, OPTION_WAIT},
	{"packed", no_argument, NULL, OPTION_PACKED},
	{"verify", no_argument, NULL, OPTION_VERIFY},
	{"reconnect", required_argument, NULL, OPTION_RECONNECT},
	{"seed", required_argument, NULL, OPTION_SEED},
	{"cpu", required_argument, NULL, OPTION_CPU},
	{"target-pid", required_argument, NULL, OPTION_TARGET_PID},
	{"json", no_argument, NULL, OPTION_JSON},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

struct arguments {
	struct load_options load;
	bool json;
	int cpu; /* -1: any */
};

static void complain(const char *option, const char *value)
{
	fprintf(stderr, "forebay-bench: --%s %s: not a valid value\n", option,
		value);
}

/* Returns: false if @text isn't a number from @least to @most. */
static bool parse_number(const char *text, double least, double most,
			 double *ret_number)
{
	char *end;
	double number;

	errno = 0;
	number = strtod(text, &end);
	if (end == text || *end || errno ||
	    !(number >= least && number <= most))
		return false;
	*ret_number = number;
	return true;
}

static bool parse_count(const char *text, unsigned int least, unsigned int most,
			unsigned int *ret_count)
{
	double number;

	if (!parse_number(text, least, most, &number) ||
	    number != (double)(unsigned int)number)
		return false;
	*ret_count = (unsigned int)number;
	return true;
}

static bool parse_mode(struct arguments *arguments, const char *text)
{
	static const struct {
		const char *name;
		unsigned int read_percent;
		bool sequential;
		bool mixed;
	} modes[] = {
		{"read", 100, true, false},	 {"write", 0, true, false},
		{"randread", 100, false, false}, {"randwrite", 0, false, false},
		{"randrw", 70, false, true},
	};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(modes[i].name, text) != 0)
			continue;
		arguments->load.sequential = modes[i].sequential;
		if (!modes[i].mixed || arguments->load.read_percent > 100)
			arguments->load.read_percent = modes[i].read_percent;
		return true;
	}
	return false;
}

static bool parse_block_size(const char *text, uint32_t *ret_bytes)
{
	uint64_t bytes;

	if (quantity_parse_size(text, &bytes) < 0 || bytes == 0 ||
	    bytes % 512 != 0 || bytes > BLOCK_BYTES_MAX)
		return false;
	*ret_bytes = (uint32_t)bytes;
	return true;
}

static bool parse_wait(const char *text, enum load_wait *ret_wait)
{
	if (strcmp(text, "poll") != 0 && strcmp(text, "irq") != 0)
		return false;
	*ret_wait = text[0] == 'p' ? LOAD_WAIT_POLL : LOAD_WAIT_INTERRUPT;
	return true;
}

static bool parse_target(const char *text, struct load_options *load)
{
	unsigned int pid;

	if (load->target_count == LOAD_TARGETS_MAX ||
	    !parse_count(text, 1, 1u << 30, &pid))
		return false;
	load->targets[load->target_count++] = (pid_t)pid;
	return true;
}

/* What shapes the requests. */
static bool parse_shape(struct arguments *arguments, int option,
			const char *text)
{
	struct load_options *load = &arguments->load;

	switch (option) {
	case OPTION_RW:
		return parse_mode(arguments, text);
	case OPTION_READ_PERCENT:
		return parse_count(text, 0, 100, &load->read_percent);
	case OPTION_BLOCK_SIZE:
		return parse_block_size(text, &load->block_bytes);
	case OPTION_DEPTH:
		return parse_count(text, 1, DEPTH_MAX, &load->depth);
	case OPTION_QUEUES:
		return parse_count(text, 1, QUEUES_MAX, &load->queue_count);
	case OPTION_OFFSET:
		return quantity_parse_size(text, &load->offset) == 0;
	case OPTION_SIZE:
		return quantity_parse_size(text, &load->bytes) == 0;
	case OPTION_FLUSH_EVERY:
		return parse_count(text, 0, 1u << 30, &load->flush_every);
	}
	return false;
}

/* How the run goes. */
static bool parse_run(struct arguments *arguments, int option, const char *text)
{
	struct load_options *load = &arguments->load;
	unsigned int count;

	switch (option) {
	case OPTION_SECONDS:
		return parse_number(text, 0, 1e6, &load->seconds);
	case OPTION_WARM_UP:
		return parse_number(text, 0, 1e6, &load->warm_up_seconds);
	case OPTION_RECONNECT:
		return parse_number(text, 0, 1e6, &load->reconnect_seconds);
	case OPTION_COUNT:
		if (!parse_count(text, 1, 1u << 31, &count))
			return false;
		load->count = count;
		return true;
	case OPTION_SEED:
		if (!parse_count(text, 0, UINT32_MAX, &count))
			return false;
		load->seed = count;
		return true;
	case OPTION_WAIT:
		return parse_wait(text, &load->wait);
	case OPTION_TARGET_PID:
		return parse_target(text, load);
	case OPTION_CPU:
		if (!parse_count(text, 0, CPU_SETSIZE - 1, &count))
			return false;
		arguments->cpu = (int)count;
		return true;
	}
	return false;
}

/* Returns: 0 to go on, or the exit code plus 1. */
static int parse_arguments(int count, char **texts, struct arguments *arguments)
{
	int option, index;

	while ((option = getopt_long(count, texts, "", long_options, &index)) !=
	       -1) {
		if (option == '?')
			return 3;
		if (option == OPTION_HELP) {
			fputs(usage_text, stdout);
			return 1;
		}
		if (option == OPTION_JSON)
			arguments->json = true;
		else if (option == OPTION_PACKED)
			arguments->load.packed = true;
		else if (option == OPTION_VERIFY)
			arguments->load.verify = true;
		else if (option == OPTION_SOCKET)
			arguments->load.socket_path = optarg;
		else if (!parse_shape(arguments, option, optarg) &&
			 !parse_run(arguments, option, optarg)) {
			complain(long_options[index].name, optarg);
			return 3;
		}
	}
	if (optind < count || !arguments->load.socket_path) {
		fputs(usage_text, stderr);
		return 3;
	}
	return 0;
}

static json_t *latency_json(const struct histogram *latency)
{
	return json_pack("{s:f, s:f, s:f, s:f, s:f}", "mean",
			 histogram_mean_ns(latency) / 1000, "p50",
			 (double)histogram_quantile(latency, .5) / 1000, "p99",
			 (double)histogram_quantile(latency, .99) / 1000,
			 "p999",
			 (double)histogram_quantile(latency, .999) / 1000,
			 "max", (double)latency->max_ns / 1000);
}

static void print_json(const struct load_options *options,
		       const struct load_result *result)
{
	double ios = (double)(result->reads + result->writes);
	json_t *document = json_pack(
		"{s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:o, s:o, "
		"s:{s:f, s:f}}",
		"seconds", result->seconds, "iops", ios / result->seconds,
		"bytes_per_second",
		ios / result->seconds * (double)options->block_bytes, "reads",
		(json_int_t)result->reads, "writes", (json_int_t)result->writes,
		"flushes", (json_int_t)result->flushes, "errors",
		(json_int_t)result->errors, "wrong_blocks",
		(json_int_t)result->wrong_blocks, "verified_blocks",
		(json_int_t)result->verified_blocks, "reconnects",
		(int)result->reconnects, "latency_us",
		latency_json(&result->latency), "flush_latency_us",
		latency_json(&result->flush_latency), "cpu_us_per_io", "load",
		result->load_cpu_us, "target", result->target_cpu_us);

	json_dumpf(document, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(document);
}

static void print_latency(const char *name, const struct histogram *latency)
{
	if (latency->count == 0)
		return;
	printf("%-10s mean %.1f us, p50 %.1f, p99 %.1f, p99.9 %.1f, max %.1f\n",
	       name, histogram_mean_ns(latency) / 1000,
	       (double)histogram_quantile(latency, .5) / 1000,
	       (double)histogram_quantile(latency, .99) / 1000,
	       (double)histogram_quantile(latency, .999) / 1000,
	       (double)latency->max_ns / 1000);
}

static void print_text(const struct load_options *options,
		       const struct load_result *result)
{
	double iops =
		(double)(result->reads + result->writes) / result->seconds;

	printf("%-10s %.0f IOPS, %.1f MiB/s, %.2f s\n", "rate", iops,
	       iops * (double)options->block_bytes / (1 << 20),
	       result->seconds);
	print_latency("latency", &result->latency);
	print_latency("flush", &result->flush_latency);
	printf("%-10s load %.2f us/IO", "cpu", result->load_cpu_us);
	if (options->target_count > 0)
		printf(", target %.2f us/IO", result->target_cpu_us);
	printf("\n%-10s %llu reads, %llu writes, %llu flushes, %llu errors\n",
	       "requests", (unsigned long long)result->reads,
	       (unsigned long long)result->writes,
	       (unsigned long long)result->flushes,
	       (unsigned long long)result->errors);
	if (result->reconnects > 0)
		printf("%-10s %u times\n", "reconnect", result->reconnects);
	if (options->verify)
		printf("%-10s %llu blocks read back, %llu wrong\n", "verify",
		       (unsigned long long)result->verified_blocks,
		       (unsigned long long)result->wrong_blocks);
}

static int pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0;
}

int main(int argc, char **argv)
{
	struct arguments arguments = {
		.load = {.block_bytes = 4096,
			 .depth = 1,
			 .queue_count = 1,
			 .read_percent = 101, /* not given */
			 .seconds = 5,
			 .wait = LOAD_WAIT_INTERRUPT,
			 .seed = 1},
		.cpu = -1,
	};
	static struct load_result result;
	const char *reason = "";
	int status = parse_arguments(argc, argv, &arguments);

	if (status != 0)
		return status - 1;
	if (arguments.load.read_percent > 100)
		arguments.load.read_percent = 100;
	status = pin(arguments.cpu);
	if (status < 0) {
		fprintf(stderr, "forebay-bench: CPU %d: %s\n", arguments.cpu,
			strerror(-status));
		return 1;
	}
	status = load_run(&arguments.load, &result, &reason);
	if (status < 0) {
		fprintf(stderr, "forebay-bench: %s: %s: %s\n",
			arguments.load.socket_path, reason, strerror(-status));
		return 1;
	}
	if (arguments.json)
		print_json(&arguments.load, &result);
	else
		print_text(&arguments.load, &result);
	return result.errors > 0 || result.wrong_blocks > 0;
}
