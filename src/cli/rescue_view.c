/* SPDX-License-Identifier: Apache-2.0 */
/* rescue_view.c - see rescue_view.h. */
#include "rescue_view.h"

#include <errno.h>

#include "table.h"

struct line {
	const char *label;
	const char *member;
	enum unit unit;
};

static int print_pairs(const json_t *report, const struct line *lines,
		       size_t count)
{
	struct table *table = table_create_pairs();

	for (size_t i = 0; table && i < count; i++) {
		const json_t *value = json_object_get(report, lines[i].member);

		if (value && !json_is_null(value))
			table_pair(table, lines[i].label, lines[i].unit, value);
	}
	return table ? table_finish(table) : -ENOMEM;
}

/* Rows of the members that @columns name in small letters. */
static int print_list(const char *heading, const json_t *list,
		      const struct column *columns, const char *const *members,
		      size_t count)
{
	struct table *table;
	const json_t *item;
	size_t index;

	if (json_array_size(list) == 0)
		return 0;
	(void)printf("\n%s:\n", heading);
	table = table_create(columns, count);
	if (!table)
		return -ENOMEM;
	json_array_foreach((json_t *)list, index, item)
	{
		json_t *row = json_array();

		for (size_t i = 0; i < count; i++)
			json_array_append(row,
					  json_object_get(item, members[i]));
		table_row(table, row);
	}
	return table_finish(table);
}

static int print_ranges(const char *heading, const json_t *list)
{
	static const struct column columns[] = {
		{"FIRST_SECTOR", UNIT_TEXT},
		{"SECTORS", UNIT_TEXT},
		{"DATA", UNIT_TEXT},
		{"DIRTY", UNIT_TEXT},
	};
	static const char *const members[] = {"first_sector", "sector_count",
					      "fault", "dirty"};

	return print_list(heading, list, columns, members, 4);
}

static int print_missing(const json_t *report)
{
	static const struct column columns[] = {
		{"FIRST", UNIT_TEXT},
		{"LAST", UNIT_TEXT},
	};
	static const char *const members[] = {"first_sequence",
					      "last_sequence"};

	return print_list("records that are missing",
			  json_object_get(report, "missing_records"), columns,
			  members, 2);
}

static int print_rows(const json_t *report)
{
	static const struct column columns[] = {
		{"EPOCH", UNIT_TEXT},
		{"INCARNATION", UNIT_TEXT},
		{"FIRST_RECORD", UNIT_TEXT},
		{"LAST_RECORD", UNIT_TEXT},
	};
	static const char *const members[] = {
		"epoch", "incarnation", "first_sequence", "last_sequence"};

	return print_list("times in which it was open",
			  json_object_get(report, "rows"), columns, members, 4);
}

static const struct line log_lines[] = {
	{"file", "file", UNIT_TEXT},
	{"state", "state", UNIT_STATE},
	{"reason", "reason", UNIT_TEXT},
	{"disk", "disk", UNIT_TEXT},
	{"disk size", "disk_bytes", UNIT_SIZE},
	{"file size", "file_bytes", UNIT_SIZE},
	{"dirty", "dirty_bytes", UNIT_SIZE},
	{"  of it zeros", "zero_bytes", UNIT_SIZE},
	{"clean", "clean_bytes", UNIT_SIZE},
	{"lost", "lost_bytes", UNIT_SIZE},
	{"segments", "segments", UNIT_COUNT},
	{"  in use", "segments_used", UNIT_COUNT},
	{"records", "records", UNIT_COUNT},
	{"  first needed", "tail_sequence", UNIT_TEXT},
	{"  known durable", "durable_sequence", UNIT_TEXT},
	{"  last", "last_sequence", UNIT_TEXT},
};

static const struct line data_lines[] = {
	{"file", "file", UNIT_TEXT},
	{"state", "state", UNIT_STATE},
	{"reason", "reason", UNIT_TEXT},
	{"disk", "disk", UNIT_TEXT},
	{"headers", "headers", UNIT_TEXT},
	{"image", "to", UNIT_TEXT},
	{"dirty, good", "good_dirty_bytes", UNIT_SIZE},
	{"dirty, bad", "bad_dirty_bytes", UNIT_SIZE},
	{"clean, good", "good_clean_bytes", UNIT_SIZE},
	{"clean, bad", "bad_clean_bytes", UNIT_SIZE},
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

int rescue_view_list(const json_t *report)
{
	int status = print_pairs(report, log_lines, COUNT_OF(log_lines));

	if (status == 0)
		status = print_rows(report);
	return status == 0 ? print_missing(report) : status;
}

static int print_data(const json_t *report, const char *bad)
{
	int status = print_pairs(report, data_lines, COUNT_OF(data_lines));

	if (status == 0)
		status = print_ranges(bad, json_object_get(report, "bad"));
	if (status == 0)
		status = print_ranges(
			"given, but a newer version may be missing",
			json_object_get(report, "doubtful"));
	return status == 0 ? print_missing(report) : status;
}

int rescue_view_check(const json_t *report)
{
	return print_data(report, "bad");
}

int rescue_view_extract(const json_t *report)
{
	return print_data(report, "not given");
}

void rescue_view_lines(FILE *stream, const char *what,
		       const struct ranges *ranges)
{
	for (size_t i = 0; i < ranges->count; i++) {
		const struct range *range = &ranges->items[i];

		(void)fprintf(stream,
			      "forebay: %s: sectors %llu to %llu: %s, %s\n",
			      what, (unsigned long long)range->first_sector,
			      (unsigned long long)(range->first_sector +
						   range->sector_count - 1),
			      copy_fault_name(range->fault),
			      range->dirty ? "dirty" : "clean");
	}
}
