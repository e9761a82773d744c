/* SPDX-License-Identifier: Apache-2.0 */
/*
 * advice.c - puts the curve of a disk's cache into words and rows.
 *
 * Request threads. The cache filter tells how much it would hit with other
 * sizes (src/engine/curve.h); which of them is worth it is said here, for all
 * clients in the same way.
 */
#include "advice.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "data_plane.h"
#include "quantity.h"

/* What is within so much of the best is as good: the curve is no better. */
#define AS_GOOD 0.01
/* Sizes that differ by less than this share are the same. */
#define SAME_SIZE 0.05
#define SIZE_TEXT_BYTES 32u
#define SENTENCE_BYTES 200u

static double number(const json_t *object, const char *member)
{
	return json_number_value(json_object_get(object, member));
}

static bool is_size(double size, double wanted)
{
	return fabs(size - wanted) <= wanted * SAME_SIZE;
}

static const json_t *point_of_size(const json_t *points, double size)
{
	const json_t *point;
	size_t index;

	json_array_foreach(points, index, point)
	{
		if (is_size(number(point, "size_bytes"), size))
			return point;
	}
	return NULL;
}

static bool is_enough(const json_t *curve)
{
	return number(curve, "read_blocks") >= number(curve, "needed_blocks");
}

/* The smallest that hits about as much as the best of them. */
static const json_t *good_point(const json_t *points)
{
	double best = 0;

	for (size_t i = 0; i < json_array_size(points); i++)
		best = fmax(best,
			    number(json_array_get(points, i), "hit_ratio"));
	for (size_t i = 0; i < json_array_size(points); i++) {
		const json_t *point = json_array_get(points, i);

		if (number(point, "hit_ratio") >= best - AS_GOOD)
			return point;
	}
	return NULL;
}

static const char *size_text(double bytes, char buffer[SIZE_TEXT_BYTES])
{
	return quantity_format_size((uint64_t)bytes, buffer, SIZE_TEXT_BYTES);
}

static void write_sentence(const json_t *curve, char sentence[SENTENCE_BYTES])
{
	const json_t *good = good_point(json_object_get(curve, "points"));
	double size = number(curve, "size_bytes");
	double wanted = number(good, "size_bytes");
	double then = number(good, "hit_ratio") * 100;
	double now = number(curve, "hit_ratio") * 100;
	char has[SIZE_TEXT_BYTES], would[SIZE_TEXT_BYTES];

	size_text(size, has);
	size_text(wanted, would);
	if (!is_enough(curve))
		snprintf(sentence, SENTENCE_BYTES,
			 "too little was read so far to say: %.0f of %.0f "
			 "blocks; it has %s",
			 number(curve, "read_blocks"),
			 number(curve, "needed_blocks"), has);
	else if (is_size(size, wanted))
		snprintf(sentence, SENTENCE_BYTES,
			 "this disk has %s and hits %.0f %%; more would gain "
			 "next to nothing",
			 has, now);
	else if (wanted > size)
		snprintf(sentence, SENTENCE_BYTES,
			 "with %s this disk would hit %.0f %%; it has %s and "
			 "hits %.0f %%",
			 would, then, has, now);
	else
		snprintf(sentence, SENTENCE_BYTES,
			 "with %s this disk would still hit %.0f %%; it has %s "
			 "and hits %.0f %%",
			 would, then, has, now);
}

json_t *advice_sentence(const json_t *stats)
{
	const json_t *curve = data_plane_cache_says(stats, "curve");
	char sentence[SENTENCE_BYTES];

	if (!curve)
		return json_null();
	write_sentence(curve, sentence);
	return json_string(sentence);
}

/* What twice the size would hit more. */
static json_t *doubling_gain(const json_t *points, double size, double hits)
{
	const json_t *twice = point_of_size(points, 2 * size);

	return twice ? json_real(fmax(0, number(twice, "hit_ratio") - hits))
		     : json_null();
}

static void add_row(json_t *rows, double size, double hits, bool present,
		    json_t *gain)
{
	json_array_append_new(
		rows, json_pack("{s:I, s:f, s:o, s:b}", "size_bytes",
				(json_int_t)size, "hit_ratio", hits,
				"doubling_gain", gain, "present", present));
}

/* By size; the present one is among them, with what it does hit. */
static json_t *rows_of(const json_t *curve)
{
	const json_t *points = json_object_get(curve, "points");
	double present = number(curve, "size_bytes");
	double measured = number(curve, "hit_ratio");
	json_t *rows = json_array();
	const json_t *point;
	bool shown = false;
	size_t index;

	json_array_foreach(points, index, point)
	{
		double size = number(point, "size_bytes");
		double hits = number(point, "hit_ratio");
		bool is_present = is_size(size, present);

		if (!shown && !is_present && size > present)
			add_row(rows, present, measured, true,
				doubling_gain(points, present, measured));
		shown |= is_present || size > present;
		add_row(rows, is_present ? present : size,
			is_present ? measured : hits, is_present,
			doubling_gain(points, size, hits));
	}
	return rows;
}

static int no_curve(const json_t *stats, const char *name,
		    struct problem *problem)
{
	const json_t *mode = data_plane_cache_says(stats, "mode");
	const char *detail = json_string_value(json_object_get(mode, "detail"));

	if (mode)
		problem_set(problem, PROBLEM_NO_CACHE,
			    "disk %s runs without its cache now: %s", name,
			    detail ? detail : "it is starting");
	else
		problem_set(problem, PROBLEM_NO_CACHE,
			    "disk %s has no cache: its policy has no filter "
			    "that is one",
			    name);
	return problem_about(problem, "disk", name);
}

int advice_show(struct agent *agent, const char *reference, json_t **ret_advice,
		struct problem *problem)
{
	_cleanup_disk_ struct disk disk = {0};
	json_auto_t *stats = NULL;
	const json_t *curve;
	char sentence[SENTENCE_BYTES];
	int result = disk_load(agent, reference, &disk, problem);

	if (result == 0)
		result = disk_stats(agent, reference, &stats, problem);
	if (result < 0)
		return result;
	curve = data_plane_cache_says(stats, "curve");
	if (!curve)
		return no_curve(stats, disk.name, problem);
	write_sentence(curve, sentence);
	*ret_advice = json_pack(
		"{s:s, s:s, s:b, s:O, s:O, s:O, s:O, s:o}", "name", disk.name,
		"summary", sentence, "enough", is_enough(curve), "read_blocks",
		json_object_get(curve, "read_blocks"), "needed_blocks",
		json_object_get(curve, "needed_blocks"), "size_bytes",
		json_object_get(curve, "size_bytes"), "hit_ratio",
		json_object_get(curve, "hit_ratio"), "points",
		is_enough(curve) ? rows_of(curve) : json_array());
	return *ret_advice ? 0 : problem_internal(problem, "advice", -ENOMEM);
}
