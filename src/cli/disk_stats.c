/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_stats.c - requests by operation, then what each filter says of itself.
 *
 * A filter's status document is its own: names and units are read off its keys
 * ("dirty_bytes"), so that a filter nobody here knows looks as good as ours.
 */
#include <stdio.h>
#include <string.h>

#include "disk_view.h"
#include "table.h"

#define LABEL_BYTES 64u
#define STATUS_DEPTH_MAX 4u

static void print_title(const char *kind, const char *name)
{
	bool colour = table_in_colour();

	(void)printf("\n%s%s%s%s\n", colour ? "\033[1m" : "", kind, name,
		     colour ? "\033[0m" : "");
}

static bool ends_with(const char *text, const char *end)
{
	size_t text_bytes = strlen(text);
	size_t end_bytes = strlen(end);

	return text_bytes >= end_bytes &&
	       strcmp(text + text_bytes - end_bytes, end) == 0;
}

/* "mode", "dirty_bytes" -> "Mode dirty" and UNIT_SIZE. */
static enum unit read_key(const char *prefix, const char *key,
			  char label[LABEL_BYTES])
{
	static const struct {
		const char *end;
		enum unit unit;
	} units[] = {
		{"_bytes", UNIT_SIZE},
		{"_us", UNIT_LATENCY},
		{"_ns", UNIT_DURATION},
	};
	enum unit unit = ends_with(key, "ratio")   ? UNIT_RATIO
			 : ends_with(key, "state") ? UNIT_STATE
						   : UNIT_COUNT;
	int key_bytes = (int)strlen(key);

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (ends_with(key, units[i].end)) {
			unit = units[i].unit;
			key_bytes -= (int)strlen(units[i].end);
		}
	}
	(void)snprintf(label, LABEL_BYTES, "%s%s%.*s", prefix,
		       *prefix ? " " : "", key_bytes, key);
	for (char *letter = label; *letter; letter++) {
		if (*letter == '_')
			*letter = ' ';
	}
	if (label[0] >= 'a' && label[0] <= 'z')
		label[0] = (char)(label[0] - 'a' + 'A');
	return unit;
}

/* Nested objects are flattened; what has no value isn't shown. */
static void add_status(struct table *table, const char *prefix,
		       const json_t *document, unsigned int depth)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)document, key, value)
	{
		char label[LABEL_BYTES];
		enum unit unit = read_key(prefix, key, label);

		if (json_is_object(value) && depth < STATUS_DEPTH_MAX)
			add_status(table, label, value, depth + 1);
		else if (!json_is_null(value) &&
			 !(json_is_string(value) && !*json_string_value(value)))
			table_pair(table, label, unit, value);
	}
}

static int present_requests(const json_t *requests)
{
	static const struct column columns[] = {
		{"operation", UNIT_TEXT}, {"count", UNIT_COUNT},
		{"data", UNIT_SIZE},	  {"errors", UNIT_COUNT},
		{"p50", UNIT_LATENCY},	  {"p99", UNIT_LATENCY},
		{"p99.9", UNIT_LATENCY},  {"max", UNIT_LATENCY}};
	struct table *table = table_create(columns, 8);
	const char *operation;
	json_t *counters;

	json_object_foreach((json_t *)requests, operation, counters)
	{
		const json_t *latency = json_object_get(counters, "latency_us");

		/* Without a request there is no latency, and 0 would lie. */
		if (json_integer_value(json_object_get(counters, "count")) == 0)
			latency = NULL;
		table_row(table, json_pack("[sO?O?O?O?O?O?O?]", operation,
					   json_object_get(counters, "count"),
					   json_object_get(counters, "bytes"),
					   json_object_get(counters, "errors"),
					   json_object_get(latency, "p50"),
					   json_object_get(latency, "p99"),
					   json_object_get(latency, "p999"),
					   json_object_get(latency, "max")));
	}
	return table_finish(table);
}

static int present_status(const char *kind, const char *name,
			  const json_t *status)
{
	struct table *table;

	if (json_object_size(status) == 0)
		return 0;
	print_title(kind, name);
	table = table_create_pairs();
	add_status(table, "", status, 0);
	return table_finish(table);
}

static int present_path(const json_t *stats)
{
	struct table *table;

	print_title("Path", "");
	table = table_create_pairs();
	table_pair(table, "In flight", UNIT_COUNT,
		   json_object_get(stats, "in_flight"));
	table_pair(table, "Copied", UNIT_SIZE,
		   json_object_get(stats, "copied_bytes"));
	return table_finish(table);
}

int disk_view_stats(const json_t *stats)
{
	const json_t *filters = json_object_get(stats, "filters");
	int ret = present_requests(json_object_get(stats, "requests"));

	for (size_t i = 0; ret == 0 && i < json_array_size(filters); i++) {
		const json_t *filter = json_array_get(filters, i);
		const char *name =
			json_string_value(json_object_get(filter, "name"));

		ret = present_status("Filter ", name ? name : "",
				     json_object_get(filter, "status"));
	}
	if (ret == 0)
		ret = present_status("Exports", "",
				     json_object_get(stats, "exports"));
	if (ret == 0)
		ret = present_path(stats);
	return ret;
}
