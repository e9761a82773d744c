// SPDX-License-Identifier: Apache-2.0
/*
 * status.c - formats the status document.
 *
 * Every value is a number or a word of ours, so nothing needs escaping.
 */
#include "status.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define PIECE_BYTES 96u

struct text {
	char *buffer;
	size_t bytes;
	size_t length; /* what it would be in a buffer without an end */
};

static void add(struct text *text, const char *piece)
{
	size_t used = text->length < text->bytes ? text->length : text->bytes;
	size_t length = strlen(piece);

	snprintf(text->buffer + used, text->bytes - used, "%s", piece);
	text->length += length;
}

static const char *mode_name(enum engine_mode mode)
{
	switch (mode) {
	case ENGINE_WRITE_BACK:
		return "write-back";
	case ENGINE_WRITE_THROUGH:
		return "write-through";
	case ENGINE_WRITE_AROUND:
		return "write-around";
	}
	return "starting";
}

static void add_word(struct text *text, const char *name, const char *word)
{
	char piece[PIECE_BYTES];

	snprintf(piece, sizeof(piece), "\"%s\":\"%s\",", name, word);
	add(text, piece);
}

static void add_number(struct text *text, const char *name, uint64_t value)
{
	char piece[PIECE_BYTES];

	snprintf(piece, sizeof(piece), "\"%s\":%" PRIu64 ",", name, value);
	add(text, piece);
}

static const char *const reasons[] = {
	[ENGINE_MODE_AS_REQUESTED] = "\"reason\":null,",
	[ENGINE_MODE_DRAINING] = "\"reason\":\"draining\",",
	[ENGINE_MODE_BACKEND_REFUSING] = "\"reason\":\"backend refusing\",",
	[ENGINE_MODE_DATA_LOST] = "\"reason\":\"data lost on the SSD\",",
	[ENGINE_MODE_SSD_FAILING] =
		"\"reason\":\"SSD failing: its data goes down first\",",
	[ENGINE_MODE_SSD_FAILED] = "\"reason\":\"SSD out of use\",",
};

static void add_mode(struct text *text, const struct engine_stats *stats,
		     bool gives_way)
{
	add(text, "\"mode\":{");
	add_word(text, "requested",
		 mode_name(gives_way ? ENGINE_WRITE_BACK
				     : stats->mode_requested));
	add_word(text, "actual", mode_name(stats->mode_actual));
	if (gives_way)
		add_word(text, "reason", "migrating");
	else
		add(text, reasons[stats->mode_reason]);
	/* The last one, without a comma. */
	add_number(text, "left_bytes", stats->mode_left_bytes);
	text->length--;
	add(text, "},");
}

static void add_hit_ratio(struct text *text, const struct engine_stats *stats)
{
	double hit = (double)stats->read_hit_bytes;
	double all = hit + (double)stats->read_miss_bytes;
	char piece[PIECE_BYTES];

	snprintf(piece, sizeof(piece), "\"hit_ratio\":%.4f,",
		 all > 0 ? hit / all : 0.0);
	add(text, piece);
}

static void add_log(struct text *text, const struct engine_stats *stats)
{
	add(text, "\"log\":{");
	add_number(text, "records", stats->records);
	add_number(text, "recovered_records", stats->recovered_records);
	add_number(text, "warm_start", stats->warm);
	add_number(text, "recovery_read_bytes", stats->recovery_read_bytes);
	add_number(text, "recovery_checked_records",
		   stats->recovery_checked_records);
	add_number(text, "recovery_summaries", stats->recovery_summaries);
	add_number(text, "recovery_whole_segments",
		   stats->recovery_whole_segments);
	add_number(text, "segments", stats->segments);
	add_number(text, "segments_free", stats->segments_free);
	add_number(text, "sequence", stats->sequence);
	add_number(text, "durable_sequence", stats->durable_sequence);
	add_number(text, "tail_sequence", stats->tail_sequence);
	add_number(text, "fill_bytes", stats->fill_bytes);
	add_number(text, "ssd_flushes", stats->ssd_flushes);
	add_number(text, "below_flushes", stats->below_flushes);
	add_number(text, "guest_changed_buffers", stats->guest_changed_buffers);
	add_number(text, "bad_blocks", stats->bad_blocks);
	add_number(text, "lost_blocks", stats->lost_blocks);
	add_number(text, "destage_failures", stats->destage_failures);
	/* The last one, without a comma. */
	add_number(text, "throttled_ns", stats->throttled_ns);
	text->length--;
	add(text, "}");
}

int status_format(const struct engine_stats *stats, bool gives_way,
		  char *buffer, size_t buffer_bytes)
{
	struct text text = {.buffer = buffer, .bytes = buffer_bytes};

	add(&text, "{");
	add_mode(&text, stats, gives_way);
	add_number(&text, "read_hit_bytes", stats->read_hit_bytes);
	add_number(&text, "read_miss_bytes", stats->read_miss_bytes);
	add_hit_ratio(&text, stats);
	add_number(&text, "write_bytes", stats->write_bytes);
	add_number(&text, "zeroed_bytes", stats->zeroed_bytes);
	add_number(&text, "dirty_bytes", stats->dirty_bytes);
	add_number(&text, "dirty_zero_bytes", stats->dirty_zero_bytes);
	add_number(&text, "cached_bytes", stats->cached_bytes);
	add_number(&text, "capacity_bytes", stats->capacity_bytes);
	add_number(&text, "destaged_bytes", stats->destaged_bytes);
	add_number(&text, "zeroed_below_bytes", stats->zeroed_below_bytes);
	add_number(&text, "ssd_written_bytes", stats->ssd_written_bytes);
	add_number(&text, "forgotten_bytes", stats->forgotten_bytes);
	add_log(&text, stats);
	add(&text, "}");
	return text.length < buffer_bytes ? (int)text.length : -ENOSPC;
}
