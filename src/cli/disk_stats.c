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
#define NS_IN_SECOND 1e9

/* How much of a document is worth a line. */
enum detail {
	DETAIL_ALL = 0,
	DETAIL_COUNTED /* no text, and no counter that is still 0 */
};

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

/* "log mode" -> "Log mode", "ssd flushes" -> "SSD flushes". */
static void polish(char *label)
{
	for (char *letter = label; *letter; letter++) {
		bool starts = letter == label || letter[-1] == ' ';

		if (*letter == '_')
			*letter = ' ';
		if (starts && strncmp(letter, "ssd", 3) == 0 &&
		    strchr("_ ", letter[3]))
			memcpy(letter, "SSD", 3);
	}
	if (label[0] >= 'a' && label[0] <= 'z')
		label[0] = (char)(label[0] - 'a' + 'A');
}

/* "Log", "dirty_bytes" -> "Log dirty" and UNIT_SIZE. A key that names no unit
 * has that of the object around it: {"delay_us": {"p50": 3}}. */
static enum unit read_key(const char *prefix, const char *key,
			  enum unit inherited, char label[LABEL_BYTES])
{
	static const struct {
		const char *end;
		enum unit unit;
	} units[] = {
		{"_bytes", UNIT_SIZE},
		{"_us", UNIT_LATENCY},
		{"_ns", UNIT_DURATION},
	};
	enum unit unit = ends_with(key, "ratio")	   ? UNIT_RATIO
			 : ends_with(key, "amplification") ? UNIT_FACTOR
			 : ends_with(key, "state")	   ? UNIT_STATE
							   : inherited;
	int key_bytes = (int)strlen(key);

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (ends_with(key, units[i].end)) {
			unit = units[i].unit;
			key_bytes -= (int)strlen(units[i].end);
		}
	}
	(void)snprintf(label, LABEL_BYTES, "%s%s%.*s", prefix,
		       *prefix ? " " : "", key_bytes, key);
	polish(label);
	return unit;
}

/* What a document is made of, on the way down into it. */
struct level {
	const char *prefix;
	enum unit unit;
	enum detail detail;
	unsigned int depth;
};

static bool is_shown(const json_t *value, const struct level *level)
{
	bool counted = level->detail == DETAIL_COUNTED;

	/* Lists are for -o json, and verbs of their own. */
	if (json_is_null(value) || json_is_array(value))
		return false;
	if (json_is_string(value))
		return !counted && *json_string_value(value);
	if (json_is_number(value) && (counted || level->depth > 0))
		return json_number_value(value) > 0;
	return true;
}

/* Nested objects are flattened, and of them only what has happened shows. */
static void add_status(struct table *table, const json_t *document,
		       struct level level)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)document, key, value)
	{
		char label[LABEL_BYTES];
		struct level inner = {.prefix = label,
				      .detail = level.detail,
				      .depth = level.depth + 1};

		inner.unit = read_key(level.prefix, key, level.unit, label);
		if (json_is_object(value) && level.depth < STATUS_DEPTH_MAX)
			add_status(table, value, inner);
		else if (is_shown(value, &level))
			table_pair(table, label, inner.unit, value);
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
			  const json_t *status, enum detail detail)
{
	const struct level top = {
		.prefix = "", .unit = UNIT_COUNT, .detail = detail};
	struct table *table;

	if (json_object_size(status) == 0)
		return 0;
	print_title(kind, name);
	table = table_create_pairs();
	add_status(table, status, top);
	return table_finish(table);
}

/* Their sockets are "disk show"'s; here is what went through them. */
static int present_exports(const json_t *exports)
{
	const char *kind;
	json_t *counters;
	int ret = 0;

	json_object_foreach((json_t *)exports, kind, counters)
	{
		char name[LABEL_BYTES];

		(void)snprintf(name, sizeof(name), "%s", kind);
		for (char *letter = name; *letter; letter++) {
			if (*letter == '_')
				*letter = '-';
		}
		if (ret == 0)
			ret = present_status("Export ", name, counters,
					     DETAIL_COUNTED);
	}
	return ret;
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

/* "read_time" and {"unit": "seconds", ...} as a key and value of a status. */
static void add_metric(json_t *status, const json_t *metric)
{
	const char *name = json_string_value(json_object_get(metric, "name"));
	const char *unit = json_string_value(json_object_get(metric, "unit"));
	bool seconds = unit && strcmp(unit, "seconds") == 0;
	bool bytes = unit && strcmp(unit, "bytes") == 0;
	bool histogram = json_object_get(metric, "count") != NULL;
	double value = json_number_value(
		json_object_get(metric, histogram ? "sum" : "value"));
	char key[LABEL_BYTES];

	if (!name)
		return;
	if (seconds)
		value *= NS_IN_SECOND;
	(void)snprintf(key, sizeof(key), "%s%s%s", name,
		       histogram ? "_sum" : "",
		       seconds ? "_ns"
		       : bytes ? "_bytes"
			       : "");
	json_object_set_new(status, key, json_integer((json_int_t)value));
	if (!histogram)
		return;
	(void)snprintf(key, sizeof(key), "%s_count", name);
	json_object_set(status, key, json_object_get(metric, "count"));
}

/* What the filter says, and what its disk's process says of it. */
static json_t *whole_status(const json_t *filter)
{
	static const char *const members[] = {"held", "blocked"};
	json_t *status = json_object();
	const json_t *metric;
	size_t index;

	json_object_update(status, json_object_get(filter, "status"));
	json_array_foreach(json_object_get(filter, "metrics"), index, metric)
		add_metric(status, metric);
	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++)
		json_object_set(status, members[i],
				json_object_get(filter, members[i]));
	return status;
}

int disk_view_filters(const json_t *list)
{
	const json_t *filters = json_object_get(list, "items");
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < json_array_size(filters); i++) {
		const json_t *filter = json_array_get(filters, i);
		const char *name =
			json_string_value(json_object_get(filter, "name"));
		json_t *status = whole_status(filter);

		ret = present_status("Filter ", name ? name : "", status,
				     DETAIL_ALL);
		json_decref(status);
	}
	return ret;
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
				     json_object_get(filter, "status"),
				     DETAIL_ALL);
	}
	if (ret == 0)
		ret = present_exports(json_object_get(stats, "exports"));
	if (ret == 0)
		ret = present_path(stats);
	return ret;
}
