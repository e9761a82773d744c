// SPDX-License-Identifier: Apache-2.0
/* bench_report.c - figures out of histograms, tables out of figures. */
#include "bench_report.h"

#include <errno.h>
#include <stdio.h>

#include "human.h"
#include "table.h"

static const char *const kind_names[LOAD_KINDS] = {
	[LOAD_READ] = "read",
	[LOAD_WRITE] = "write",
	[LOAD_FLUSH] = "flush",
	[LOAD_DISCARD] = "discard",
	[LOAD_WRITE_ZEROES] = "write_zeroes",
};

static double quantile_us(const struct histogram *latency, double fraction)
{
	return (double)histogram_quantile(latency, fraction) / 1000;
}

static json_t *latency_json(const struct histogram *latency)
{
	return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "mean",
			 histogram_mean_ns(latency) / 1000, "p50",
			 quantile_us(latency, .5), "p90",
			 quantile_us(latency, .9), "p99",
			 quantile_us(latency, .99), "p999",
			 quantile_us(latency, .999), "max",
			 (double)latency->max_ns / 1000);
}

static json_t *tallies_json(const struct load_options *options,
			    const struct load_result *result)
{
	json_t *tallies = json_object();

	for (unsigned int i = 0; i < LOAD_KINDS; i++) {
		const struct load_tally *tally = &result->tallies[i];
		uint64_t bytes = i == LOAD_FLUSH
					 ? 0
					 : tally->count * options->block_bytes;

		json_object_set_new(tallies, kind_names[i],
				    json_pack("{s:I, s:I, s:I, s:o}", "count",
					      (json_int_t)tally->count, "bytes",
					      (json_int_t)bytes, "errors",
					      (json_int_t)tally->errors,
					      "latency_us",
					      latency_json(&tally->latency)));
	}
	return tallies;
}

static json_t *verify_json(const struct load_options *options,
			   const struct load_result *result)
{
	const struct journal_failures *wrong = &result->wrong;
	json_t *first = NULL;

	if (!options->verify)
		return json_null();
	if (wrong->sectors > 0)
		first = json_pack("{s:I, s:s, s:s}", "sector",
				  (json_int_t)wrong->first_sector, "expected",
				  wrong->expected, "found", wrong->found);
	return json_pack("{s:I, s:I, s:I, s:I, s:o}", "read_back_blocks",
			 (json_int_t)result->read_back_blocks,
			 "read_back_errors",
			 (json_int_t)result->read_back_errors, "wrong_blocks",
			 (json_int_t)wrong->blocks, "wrong_sectors",
			 (json_int_t)wrong->sectors, "first_wrong",
			 first ? first : json_null());
}

json_t *bench_report_json(const struct load_options *options,
			  const struct load_result *result)
{
	double seconds = result->seconds > 0 ? result->seconds : 1;
	double iops = (double)result->latency.count / seconds;
	uint64_t ios = 0;
	json_t *server_cpu = result->server_cpu_us >= 0
				     ? json_real(result->server_cpu_us)
				     : json_null();
	json_t *server =
		result->server > 0 ? json_integer(result->server) : json_null();

	for (unsigned int i = 0; i < LOAD_KINDS; i++)
		ios += result->tallies[i].count;
	return json_pack(
		"{s:{s:s, s:s, s:I, s:o}, s:f, s:f, s:f, s:f, s:o, s:o, "
		"s:{s:f, s:o}, s:i, s:i, s:I, s:o}",
		"target", "protocol",
		options->protocol == LOAD_NBD ? "nbd" : "vhost-user-blk",
		"address", options->address, "size_bytes",
		(json_int_t)result->disk_bytes, "pid", server, "seconds",
		result->seconds, "iops", iops, "bytes_per_second",
		iops * (double)options->block_bytes, "requests_per_second",
		(double)ios / seconds, "latency_us",
		latency_json(&result->latency), "requests",
		tallies_json(options, result), "cpu_us_per_io", "load",
		result->load_cpu_us, "target", server_cpu, "depth_reached",
		(int)result->depth_reached, "reconnects",
		(int)result->reconnects, "errors",
		(json_int_t)load_errors(result), "verify",
		verify_json(options, result));
}

static const char *label_of(const char *kind)
{
	return kind[0] == 'w' && kind[5] == '_' ? "write zeroes" : kind;
}

static int present_requests(const json_t *report)
{
	static const struct column columns[] = {
		{"request", UNIT_TEXT}, {"count", UNIT_COUNT},
		{"errors", UNIT_COUNT}, {"mean", UNIT_LATENCY},
		{"p50", UNIT_LATENCY},	{"p90", UNIT_LATENCY},
		{"p99", UNIT_LATENCY},	{"p99.9", UNIT_LATENCY},
		{"max", UNIT_LATENCY},
	};
	struct table *table =
		table_create(columns, sizeof(columns) / sizeof(columns[0]));
	const json_t *requests = json_object_get(report, "requests");

	for (unsigned int i = 0; i < LOAD_KINDS; i++) {
		const json_t *tally = json_object_get(requests, kind_names[i]);
		const json_t *latency = json_object_get(tally, "latency_us");

		if (json_integer_value(json_object_get(tally, "count")) == 0)
			continue;
		table_row(table, json_pack("[s, O, O, O, O, O, O, O, O]",
					   label_of(kind_names[i]),
					   json_object_get(tally, "count"),
					   json_object_get(tally, "errors"),
					   json_object_get(latency, "mean"),
					   json_object_get(latency, "p50"),
					   json_object_get(latency, "p90"),
					   json_object_get(latency, "p99"),
					   json_object_get(latency, "p999"),
					   json_object_get(latency, "max")));
	}
	return table_finish(table);
}

static void pair_text(struct table *table, const char *label, json_t *text)
{
	table_pair(table, label, UNIT_TEXT, text);
	json_decref(text);
}

static void present_verify(struct table *table, const json_t *verify)
{
	const json_t *first = json_object_get(verify, "first_wrong");

	if (!json_is_object(verify))
		return;
	table_pair(table, "Blocks read back", UNIT_COUNT,
		   json_object_get(verify, "read_back_blocks"));
	table_pair(table, "Wrong sectors", UNIT_COUNT,
		   json_object_get(verify, "wrong_sectors"));
	if (json_is_object(first))
		pair_text(table, "  first",
			  json_sprintf("sector %" JSON_INTEGER_FORMAT
				       ": expected %s, found %s",
				       json_integer_value(json_object_get(
					       first, "sector")),
				       json_string_value(json_object_get(
					       first, "expected")),
				       json_string_value(json_object_get(
					       first, "found"))));
}

int bench_report_present(const json_t *report)
{
	struct table *table = table_create_pairs();
	const json_t *cpu = json_object_get(report, "cpu_us_per_io");
	char rate[HUMAN_BYTES];
	double bytes =
		json_number_value(json_object_get(report, "bytes_per_second"));
	int result;

	pair_text(table, "Target",
		  json_sprintf("%s %s",
			       json_string_value(json_object_get(
				       json_object_get(report, "target"),
				       "protocol")),
			       json_string_value(json_object_get(
				       json_object_get(report, "target"),
				       "address"))));
	pair_text(
		table, "Rate",
		json_sprintf("%.0f IOPS, %s/s",
			     json_number_value(json_object_get(report, "iops")),
			     human_size((uint64_t)bytes, rate)));
	pair_text(table, "Time",
		  json_sprintf("%.2f s", json_number_value(json_object_get(
						 report, "seconds"))));
	table_pair(table, "CPU of the target per request", UNIT_LATENCY,
		   json_object_get(cpu, "target"));
	table_pair(table, "CPU of the load per request", UNIT_LATENCY,
		   json_object_get(cpu, "load"));
	table_pair(table, "Requests under way at most", UNIT_COUNT,
		   json_object_get(report, "depth_reached"));
	table_pair(table, "Reconnects", UNIT_COUNT,
		   json_object_get(report, "reconnects"));
	present_verify(table, json_object_get(report, "verify"));
	result = table_finish(table);
	if (result < 0 || json_number_value(json_object_get(
				  report, "requests_per_second")) <= 0)
		return result;
	(void)putchar('\n');
	return present_requests(report);
}

void bench_report_progress(void *context, const struct load_progress *progress)
{
	char rate[HUMAN_BYTES], p99[HUMAN_BYTES];

	(void)context;
	if (progress->reading_back)
		(void)fprintf(stderr, "\r\033[K%6.0f s  reading back",
			      progress->seconds);
	else
		(void)fprintf(
			stderr, "\r\033[K%6.0f s  %9.0f IOPS  %s/s  p99 %s",
			progress->seconds, progress->iops,
			human_size((uint64_t)progress->bytes_per_second, rate),
			human_latency((double)progress->p99_ns / 1000, p99));
	(void)fflush(stderr);
}
