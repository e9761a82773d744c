/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_advice.c - what a cache of another size would hit: a sentence, a table,
 * and on a terminal a curve.
 */
#include <langinfo.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "disk_view.h"
#include "table.h"

#define BAR_CELLS 24u
#define BAR_EIGHTHS (8u * BAR_CELLS)
/* A block character takes three bytes. */
#define BAR_BYTES (3u * BAR_CELLS + 1u)

/* Has the terminal block characters? */
static bool has_blocks(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

/* @ratio of BAR_CELLS cells, to an eighth of a cell if there are such. */
static void draw(double ratio, char bar[BAR_BYTES])
{
	static const char *const parts[] = {"",	 "▏", "▎", "▍",
					    "▌", "▋", "▊", "▉"};
	bool blocks = has_blocks();
	uint32_t eighths = (uint32_t)(ratio * BAR_EIGHTHS + 0.5);
	size_t used = 0;

	bar[0] = '\0';
	if (eighths > BAR_EIGHTHS)
		eighths = BAR_EIGHTHS;
	for (uint32_t i = 0; i < eighths / 8; i++)
		used += (size_t)snprintf(bar + used, BAR_BYTES - used, "%s",
					 blocks ? "█" : "#");
	(void)snprintf(bar + used, BAR_BYTES - used, "%s",
		       blocks ? parts[eighths % 8] : "");
}

static int present_points(const json_t *points)
{
	static const struct column columns[] = {
		{"size", UNIT_SIZE},	  {"hits", UNIT_RATIO},
		{"doubling", UNIT_RATIO}, {"present", UNIT_TEXT},
		{"curve", UNIT_TEXT},
	};
	/* The curve is for the eye alone. */
	size_t count = table_on_terminal() ? 5 : 4;
	struct table *table = table_create(columns, count);
	const json_t *point;
	size_t index;

	json_array_foreach(points, index, point)
	{
		json_t *hits = json_object_get(point, "hit_ratio");
		char bar[BAR_BYTES];

		draw(json_number_value(hits), bar);
		table_row(table,
			  json_pack("[O?O?O?O?s]",
				    json_object_get(point, "size_bytes"), hits,
				    json_object_get(point, "doubling_gain"),
				    json_object_get(point, "present"), bar));
	}
	return table_finish(table);
}

int disk_view_advice(const json_t *advice)
{
	const json_t *points = json_object_get(advice, "points");
	const char *summary =
		json_string_value(json_object_get(advice, "summary"));

	(void)printf("%s\n", summary ? summary : "");
	if (json_array_size(points) == 0)
		return 0;
	(void)printf("\n");
	return present_points(points);
}
