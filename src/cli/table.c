/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.c - libsmartcols underneath: it knows the width of every character and
 * writes control characters as \x, so a hostile name can't move the cursor.
 */
#include "table.h"

#include <errno.h>
#include <libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "human.h"

#define TITLE_BYTES 64u
#define NUMBER_BYTES 48u

struct table {
	struct libscols_table *lines;
	const struct column *columns; /* NULL: pairs */
	size_t column_count;
	bool failed;
};

bool table_on_terminal(void)
{
	return isatty(STDOUT_FILENO);
}

bool table_in_colour(void)
{
	const char *refused = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	return table_on_terminal() && !(refused && *refused) && term &&
	       strcmp(term, "dumb") != 0;
}

static bool is_number(enum unit unit)
{
	return unit != UNIT_TEXT && unit != UNIT_STATE;
}

/* The unit that plain numbers are in. */
static const char *unit_name(enum unit unit)
{
	switch (unit) {
	case UNIT_SIZE:
		return "bytes";
	case UNIT_LATENCY:
		return "us";
	case UNIT_DURATION:
		return "ns";
	case UNIT_TEXT:
	case UNIT_STATE:
	case UNIT_COUNT:
	case UNIT_RATIO:
	case UNIT_FACTOR:
		return NULL;
	}
	return NULL;
}

static const char *state_colour(const char *state)
{
	static const char *const good[] = {"open", "ready", "running", "ok",
					   "write-back"};
	static const char *const bad[] = {"failed", "missing", "stuck"};
	static const char *const quiet[] = {"closed", "stopped", "none"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (strcmp(state, good[i]) == 0)
			return "green";
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (strcmp(state, bad[i]) == 0)
			return "red";
	}
	for (size_t i = 0; i < sizeof(quiet) / sizeof(quiet[0]); i++) {
		if (strcmp(state, quiet[i]) == 0)
			return NULL;
	}
	return "yellow";
}

static const char *human_number(double value, enum unit unit,
				char buffer[HUMAN_BYTES])
{
	switch (unit) {
	case UNIT_SIZE:
		return human_size((uint64_t)value, buffer);
	case UNIT_LATENCY:
		return human_latency(value, buffer);
	case UNIT_DURATION:
		return human_latency(value / 1000, buffer);
	case UNIT_RATIO:
		return human_percent(value, buffer);
	case UNIT_FACTOR:
		return human_factor(value, buffer);
	case UNIT_COUNT:
		return human_count((uint64_t)value, buffer);
	case UNIT_TEXT:
	case UNIT_STATE:
		break;
	}
	return NULL;
}

/* The cell's text: a string of its own, or NULL for lack of memory. */
static char *cell_text(const json_t *value, enum unit unit)
{
	char buffer[HUMAN_BYTES];

	if (!value || json_is_null(value))
		return strdup("-");
	if (json_is_string(value))
		return strdup(*json_string_value(value)
				      ? json_string_value(value)
				      : "-");
	if (json_is_boolean(value))
		return strdup(json_is_true(value) ? "yes" : "no");
	if (json_is_number(value) && is_number(unit) && table_on_terminal() &&
	    json_number_value(value) >= 0)
		return strdup(
			human_number(json_number_value(value), unit, buffer));
	return json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT |
					 JSON_REAL_PRECISION(6));
}

static bool set_cell(struct libscols_line *line, size_t index,
		     const json_t *value, enum unit unit)
{
	char *text = cell_text(value, unit);
	const char *colour = NULL;

	if (!text)
		return false;
	if (unit == UNIT_STATE)
		colour = state_colour(text);
	if (scols_line_refer_data(line, index, text) < 0) {
		free(text);
		return false;
	}
	return !colour || scols_cell_set_color(scols_line_get_cell(line, index),
					       colour) == 0;
}

/* "SIZE" on a terminal, "SIZE_BYTES" in a pipe. */
static bool add_column(struct libscols_table *lines,
		       const struct column *column)
{
	const char *unit = table_on_terminal() ? NULL : unit_name(column->unit);
	char title[TITLE_BYTES];
	struct libscols_column *added;

	(void)snprintf(title, sizeof(title), "%s%s%s", column->title,
		       unit ? "_" : "", unit ? unit : "");
	for (char *letter = title; *letter; letter++) {
		if (*letter >= 'a' && *letter <= 'z')
			*letter = (char)(*letter - 'a' + 'A');
	}
	added = scols_table_new_column(
		lines, title, 0, is_number(column->unit) ? SCOLS_FL_RIGHT : 0);
	if (!added)
		return false;
	return scols_cell_set_color(scols_column_get_header(added), "bold") ==
	       0;
}

static struct table *create(void)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->lines = scols_new_table();
	if (!table->lines) {
		free(table);
		return NULL;
	}
	scols_table_enable_colors(table->lines, table_in_colour());
	scols_table_set_stream(table->lines, stdout);
	scols_table_set_column_separator(table->lines, "  ");
	return table;
}

struct table *table_create(const struct column *columns, size_t column_count)
{
	struct table *table = create();

	if (!table)
		return NULL;
	table->columns = columns;
	table->column_count = column_count;
	for (size_t i = 0; i < column_count; i++) {
		if (!add_column(table->lines, &columns[i]))
			table->failed = true;
	}
	return table;
}

struct table *table_create_pairs(void)
{
	struct table *table = create();

	if (!table)
		return NULL;
	scols_table_enable_noheadings(table->lines, 1);
	if (!scols_table_new_column(table->lines, "NAME", 0, 0) ||
	    !scols_table_new_column(table->lines, "VALUE", 0, 0))
		table->failed = true;
	return table;
}

void table_row(struct table *table, json_t *row)
{
	struct libscols_line *line = NULL;

	if (table && row)
		line = scols_table_new_line(table->lines, NULL);
	if (table && !line)
		table->failed = true;
	for (size_t i = 0; line && i < table->column_count; i++) {
		if (!set_cell(line, i, json_array_get(row, i),
			      table->columns[i].unit))
			table->failed = true;
	}
	json_decref(row);
}

void table_pair(struct table *table, const char *label, enum unit unit,
		const json_t *value)
{
	const char *name = unit_name(unit);
	struct libscols_line *line;
	char title[TITLE_BYTES];

	if (!table)
		return;
	line = scols_table_new_line(table->lines, NULL);
	if (table_on_terminal() || !json_is_number(value))
		name = NULL;
	(void)snprintf(title, sizeof(title), "%s%s%s%s", label,
		       name ? " (" : "", name ? name : "", name ? ")" : "");
	if (!line || scols_line_set_data(line, 0, title) < 0 ||
	    scols_cell_set_color(scols_line_get_cell(line, 0), "bold") < 0 ||
	    !set_cell(line, 1, value, unit))
		table->failed = true;
}

int table_finish_list(struct table *table, const char *nothing)
{
	if (table && !table->failed && table_on_terminal() &&
	    scols_table_get_nlines(table->lines) == 0)
		(void)puts(nothing);
	return table_finish(table);
}

int table_finish(struct table *table)
{
	int ret;

	if (!table)
		return -ENOMEM;
	if (!table->failed && scols_print_table(table->lines) < 0)
		table->failed = true;
	ret = table->failed ? -ENOMEM : 0;
	scols_unref_table(table->lines);
	free(table);
	return ret;
}
