// SPDX-License-Identifier: Apache-2.0
/*
 * summary.c - one pass over the records, nothing is kept but counts.
 *
 * A read or write is sequential when it begins where the one of its kind before
 * it ended, in the order in which they ended.
 */
#include "summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "histogram.h"

#define OPERATIONS 7u

struct tally {
	uint64_t requests;
	uint64_t bytes;
	uint64_t errors;
	uint64_t sequential;
	uint64_t next_offset;
	struct histogram latency;
};

struct summary {
	struct tally tallies[OPERATIONS];
	uint64_t first_ns;
	uint64_t last_ns; /* the latest end */
};

static const char *const names[OPERATIONS] = {
	[FOREBAY_READ] = "read",
	[FOREBAY_WRITE] = "write",
	[FOREBAY_FLUSH] = "flush",
	[FOREBAY_DISCARD] = "discard",
	[FOREBAY_WRITE_ZEROES] = "write-zeroes",
	[FOREBAY_EXTENTS] = "extents",
	[FOREBAY_CACHE] = "cache",
};

const char *summary_operation_name(enum forebay_operation operation)
{
	return names[operation];
}

static void count(struct summary *summary, const struct trace_record *record)
{
	struct tally *tally = &summary->tallies[record->operation];
	uint64_t end_ns = record->begin_ns + record->took_ns;

	tally->sequential += tally->requests > 0 &&
			     record->offset == tally->next_offset &&
			     record->length > 0;
	tally->next_offset = record->offset + record->length;
	tally->requests++;
	tally->bytes += record->length;
	tally->errors += record->status < 0;
	histogram_add(&tally->latency, record->took_ns);
	if (record->begin_ns < summary->first_ns)
		summary->first_ns = record->begin_ns;
	if (end_ns > summary->last_ns)
		summary->last_ns = end_ns;
}

static double us(uint64_t ns)
{
	return (double)ns / NS_PER_US;
}

static double quantile_us(const struct tally *tally, double fraction)
{
	return us(histogram_quantile(&tally->latency, fraction));
}

static double seconds_of(const struct summary *summary)
{
	if (summary->last_ns <= summary->first_ns)
		return 0;
	return (double)(summary->last_ns - summary->first_ns) / NS_PER_SECOND;
}

static void print_json(const struct summary *summary,
		       const struct trace_file *file)
{
	const char *comma = "";

	printf("{\"seconds\": %.6f, \"records\": %" PRIu64
	       ", \"lost\": %" PRIu64 ", \"damaged_bytes\": %" PRIu64
	       ", \"disk_bytes\": %" PRIu64 ", \"begin_unix_ns\": %" PRIu64
	       ",\n \"operations\": {",
	       seconds_of(summary), file->record_count, file->lost_count,
	       file->damaged_bytes, file->disk_bytes, file->first_unix_ns);
	for (unsigned int i = 0; i < OPERATIONS; i++) {
		const struct tally *tally = &summary->tallies[i];

		if (tally->requests == 0)
			continue;
		printf("%s\n  \"%s\": {\"requests\": %" PRIu64
		       ", \"bytes\": %" PRIu64 ", \"errors\": %" PRIu64
		       ", \"sequential\": %" PRIu64
		       ", \"latency_us\": {\"p50\": %.1f, \"p90\": %.1f, "
		       "\"p99\": %.1f, \"max\": %.1f}}",
		       comma, names[i], tally->requests, tally->bytes,
		       tally->errors, tally->sequential, quantile_us(tally, .5),
		       quantile_us(tally, .9), quantile_us(tally, .99),
		       us(tally->latency.max_ns));
		comma = ",";
	}
	printf("}}\n");
}

static void print_table(const struct summary *summary,
			const struct trace_file *file)
{
	double seconds = seconds_of(summary);

	printf("%" PRIu64 " requests in %.3f s", file->record_count, seconds);
	if (file->lost_count > 0)
		printf(", and %" PRIu64 " that weren't recorded",
		       file->lost_count);
	if (file->damaged_bytes > 0)
		printf("; %" PRIu64 " bytes of the file can't be read",
		       file->damaged_bytes);
	printf("\n\n%-13s %10s %8s %11s %9s %6s %11s %11s %11s %7s\n",
	       "operation", "requests", "/s", "MiB", "mean KiB", "seq %",
	       "p50 us", "p99 us", "max us", "errors");
	for (unsigned int i = 0; i < OPERATIONS; i++) {
		const struct tally *tally = &summary->tallies[i];
		double requests = (double)tally->requests;

		if (tally->requests == 0)
			continue;
		printf("%-13s %10" PRIu64
		       " %8.0f %11.1f %9.1f %6.1f %11.1f %11.1f %11.1f "
		       "%7" PRIu64 "\n",
		       names[i], tally->requests,
		       seconds > 0 ? requests / seconds : 0,
		       (double)tally->bytes / (1 << 20),
		       (double)tally->bytes / requests / (1 << 10),
		       100 * (double)tally->sequential / requests,
		       quantile_us(tally, .5), quantile_us(tally, .99),
		       us(tally->latency.max_ns), tally->errors);
	}
}

void summary_print(struct trace_file *file, bool json)
{
	static struct summary summary; /* histograms: large */
	struct trace_record record;

	summary.first_ns = UINT64_MAX;
	while (trace_file_next(file, &record))
		count(&summary, &record);
	if (json)
		print_json(&summary, file);
	else
		print_table(&summary, file);
}

void summary_print_records(struct trace_file *file)
{
	struct trace_record record;

	printf("# begin_us operation offset length took_us errno flags\n");
	while (trace_file_next(file, &record))
		printf("%.3f %s %" PRIu64 " %" PRIu64 " %.3f %d %s%s%s%s\n",
		       us(record.begin_ns), names[record.operation],
		       record.offset, record.length, us(record.took_ns),
		       -record.status, record.flags & FOREBAY_FUA ? "fua," : "",
		       record.flags & FOREBAY_NO_HOLE ? "no-hole," : "",
		       record.flags & FOREBAY_FAST ? "fast," : "",
		       record.flags ? "" : "-");
}
