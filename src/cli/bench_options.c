// SPDX-License-Identifier: Apache-2.0
/* bench_options.c - each flag's text to its number, refused in one line. */
#include "bench_options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "error.h"
#include "quantity.h"
#include "transport.h"

#define SECONDS_DEFAULT 10
#define SECONDS_MAX 1e8
#define RATE_MAX 1e8
#define COUNT_MAX 1e15
#define SECTOR_BYTES 512u

struct parser {
	const struct invocation *invocation;
	struct error *error;
	int result; /* of the first that was refused */
};

static void refuse(struct parser *parser, enum flag_id id, const char *wanted)
{
	if (parser->result == 0)
		parser->result = error_set(
			parser->error, -EINVAL, "--%s: '%s' is not %s",
			grammar_flags[id].name, parser->invocation->flags[id],
			wanted);
}

/* Leaves @number as it is when the flag isn't given. */
static void take_number(struct parser *parser, enum flag_id id, double least,
			double most, double *number)
{
	const char *text = parser->invocation->flags[id];
	char wanted[80];
	char *end;
	double value;

	if (!text)
		return;
	value = strtod(text, &end);
	if (end != text && *end == '\0' && value >= least && value <= most) {
		*number = value;
		return;
	}
	(void)snprintf(wanted, sizeof(wanted), "a number from %g to %g", least,
		       most);
	refuse(parser, id, wanted);
}

static void take_count(struct parser *parser, enum flag_id id, double least,
		       double most, unsigned int *count)
{
	double value = *count;

	take_number(parser, id, least, most, &value);
	if (value == floor(value))
		*count = (unsigned int)value;
	else
		refuse(parser, id, "a whole number");
}

static void take_large_count(struct parser *parser, enum flag_id id,
			     double least, uint64_t *count)
{
	double value = (double)*count;

	take_number(parser, id, least, COUNT_MAX, &value);
	if (value == floor(value))
		*count = (uint64_t)value;
	else
		refuse(parser, id, "a whole number");
}

static void take_size(struct parser *parser, enum flag_id id, uint64_t *bytes)
{
	const char *text = parser->invocation->flags[id];
	uint64_t value = 0;

	if (!text)
		return;
	if (quantity_parse_size(text, &value) < 0)
		refuse(parser, id,
		       "a size; write digits and KiB, MiB, GiB or TiB");
	else
		*bytes = value;
}

static void take_block_size(struct parser *parser, uint32_t *block_bytes)
{
	uint64_t bytes = *block_bytes;

	take_size(parser, FLAG_BLOCK_SIZE, &bytes);
	if (bytes == 0 || bytes % SECTOR_BYTES != 0 ||
	    bytes > LOAD_BLOCK_BYTES_MAX)
		refuse(parser, FLAG_BLOCK_SIZE,
		       "a multiple of 512 bytes up to 4MiB");
	else
		*block_bytes = (uint32_t)bytes;
}

/* "zipf:1.2" */
static void take_pattern(struct parser *parser, struct load_options *options)
{
	const char *text = parser->invocation->flags[FLAG_PATTERN];
	char *end;

	options->theta = .99;
	if (!text || strcmp(text, "uniform") == 0)
		return;
	if (strcmp(text, "sequential") == 0) {
		options->pattern = PATTERN_SEQUENTIAL;
		return;
	}
	options->pattern = PATTERN_ZIPF;
	if (strcmp(text, "zipf") == 0)
		return;
	if (strncmp(text, "zipf:", 5) == 0) {
		options->theta = strtod(text + 5, &end);
		if (end != text + 5 && *end == '\0' && options->theta > 0 &&
		    options->theta <= PATTERN_THETA_MAX)
			return;
	}
	refuse(parser, FLAG_PATTERN,
	       "uniform, sequential, zipf or zipf:THETA with THETA up to 10");
}

static void take_notify(struct parser *parser, bool *polls)
{
	const char *text = parser->invocation->flags[FLAG_NOTIFY];

	if (text && strcmp(text, "poll") == 0)
		*polls = true;
	else if (text && strcmp(text, "interrupt") != 0)
		refuse(parser, FLAG_NOTIFY, "interrupt or poll");
}

static void take_mix(struct parser *parser, struct load_options *options)
{
	unsigned int *percent = options->percent;

	take_count(parser, FLAG_READ, 0, 100, &percent[LOAD_READ]);
	take_count(parser, FLAG_FLUSH, 0, 100, &percent[LOAD_FLUSH]);
	take_count(parser, FLAG_DISCARD, 0, 100, &percent[LOAD_DISCARD]);
	take_count(parser, FLAG_WRITE_ZEROES, 0, 100,
		   &percent[LOAD_WRITE_ZEROES]);
	take_count(parser, FLAG_FLUSH_EVERY, 0, 1e9, &options->flush_every);
	if (parser->result == 0 && percent[LOAD_FLUSH] + percent[LOAD_DISCARD] +
						   percent[LOAD_WRITE_ZEROES] >
					   100)
		parser->result = error_set(
			parser->error, -EINVAL,
			"--flush, --discard and --write-zeroes: together they "
			"are more than 100 percent");
}

static void take_length(struct parser *parser, struct load_options *options)
{
	const char *const *flags = parser->invocation->flags;

	take_large_count(parser, FLAG_REQUESTS, 1, &options->count);
	options->seconds = options->count > 0 ? SECONDS_MAX : SECONDS_DEFAULT;
	take_number(parser, FLAG_SECONDS, 0, SECONDS_MAX, &options->seconds);
	take_number(parser, FLAG_WARM_UP, 0, SECONDS_MAX,
		    &options->warm_up_seconds);
	take_number(parser, FLAG_RECONNECT, 0, SECONDS_MAX,
		    &options->reconnect_seconds);
	if (flags[FLAG_RATE])
		take_number(parser, FLAG_RATE, 1e-3, RATE_MAX, &options->rate);
	if (parser->result == 0 && options->seconds <= 0 &&
	    !options->journal_path)
		parser->result =
			error_set(parser->error, -EINVAL,
				  "--seconds: 0 only reads back what a "
				  "--journal FILE knows; name one");
}

static void take_range(struct parser *parser, struct load_options *options)
{
	take_size(parser, FLAG_OFFSET, &options->offset);
	if (options->offset % SECTOR_BYTES != 0)
		refuse(parser, FLAG_OFFSET, "a multiple of 512 bytes");
	take_size(parser, FLAG_SPAN, &options->span);
	if (parser->invocation->flags[FLAG_SPAN] && options->span == 0)
		refuse(parser, FLAG_SPAN, "a size above 0");
	take_size(parser, FLAG_MEMORY, &options->memory_bytes);
}

int bench_options_parse(const struct invocation *invocation,
			struct load_options *ret_options, struct error *error)
{
	struct parser parser = {.invocation = invocation, .error = error};
	const char *const *flags = invocation->flags;
	struct load_options options = {
		.block_bytes = 4096,
		.depth = 1,
		.queue_count = 1,
		.percent = {[LOAD_READ] = 100},
		.seed = 1,
		.packed = flags[FLAG_PACKED] != NULL,
		.journal_path = flags[FLAG_JOURNAL],
		.verify = flags[FLAG_VERIFY] || flags[FLAG_JOURNAL],
	};

	take_block_size(&parser, &options.block_bytes);
	take_count(&parser, FLAG_DEPTH, 1, TRANSPORT_DEPTH_MAX, &options.depth);
	take_count(&parser, FLAG_QUEUES, 1, TRANSPORT_QUEUES_MAX,
		   &options.queue_count);
	take_mix(&parser, &options);
	take_pattern(&parser, &options);
	take_length(&parser, &options);
	take_range(&parser, &options);
	take_notify(&parser, &options.polls);
	take_large_count(&parser, FLAG_SEED, 0, &options.seed);
	if (parser.result == 0)
		*ret_options = options;
	return parser.result;
}
