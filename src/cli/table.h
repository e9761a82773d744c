/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.h - JSON values in columns on standard output.
 *
 * On a terminal numbers are human and states coloured (unless NO_COLOR is set);
 * in a pipe they are plain and exact, and the titles name the unit.
 */
#ifndef FOREBAY_CLI_TABLE_H
#define FOREBAY_CLI_TABLE_H

#include <jansson.h>
#include <stdbool.h>

struct table;

enum unit {
	UNIT_TEXT = 0,
	UNIT_STATE, /* text; green, red or yellow */
	UNIT_COUNT,
	UNIT_SIZE, /* bytes */
	UNIT_LATENCY, /* microseconds */
	UNIT_DURATION, /* nanoseconds */
	UNIT_RATIO, /* 0..1 */
	UNIT_FACTOR /* so many times */
};

struct column {
	const char *title;
	enum unit unit;
};

/* Of standard output; asked once. */
bool table_on_terminal(void);
bool table_in_colour(void);

/* Titles at the top. @columns is borrowed. NULL: out of memory. */
struct table *table_create(const struct column *columns, size_t column_count);
/* One cell for each column; null or a missing one shows as "-". Owns: takes
 * the reference of @row. */
void table_row(struct table *table, json_t *row);

/* A list of names and values, without titles. */
struct table *table_create_pairs(void);
void table_pair(struct table *table, const char *label, enum unit unit,
		const json_t *value);

/* Prints and destroys. Returns: 0 or -ENOMEM, also for what went wrong since
 * the table was created. @table may be NULL. */
int table_finish(struct table *table);
/* The same; on a terminal an empty table reads @nothing. */
int table_finish_list(struct table *table, const char *nothing);

#endif
