// SPDX-License-Identifier: Apache-2.0
/*
 * status.c - formats the status document.
 *
 * Values are numbers and words of ours; those that aren't lose what would need
 * escaping.
 */
#include "status.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "held.h"
#include "mode_reason.h"

#define PIECE_BYTES 96u
#define DETAIL_BYTES (ERROR_MESSAGE_BYTES + 96u)

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
	char piece[PIECE_BYTES + DETAIL_BYTES];

	snprintf(piece, sizeof(piece), "\"%s\":\"%s\",", name, word);
	add(text, piece);
}

static void add_bare(struct text *text, const char *name, const char *word)
{
	char piece[PIECE_BYTES];

	snprintf(piece, sizeof(piece), "\"%s\":%s,", name, word);
	add(text, piece);
}

static void add_number(struct text *text, const char *name, uint64_t value)
{
	char piece[PIECE_BYTES];

	snprintf(piece, sizeof(piece), "\"%s\":%" PRIu64 ",", name, value);
	add(text, piece);
}

/* Returns: false if nothing is in the way. */
static bool reason_of(const struct status *status, enum mode_reason *ret_reason)
{
	enum engine_mode_reason mode_reason = status->stats.mode_reason;

	if (status->failure)
		*ret_reason = MODE_REASON_CACHE_FAILED;
	else if (status->bypass)
		*ret_reason = status->bypass->code == -ENOSPC ||
					      status->bypass->code == -EDQUOT
				      ? MODE_REASON_POOL_FULL
				      : MODE_REASON_CACHE_AWAY;
	else if (mode_reason == ENGINE_MODE_DATA_LOST)
		*ret_reason = MODE_REASON_DATA_LOST;
	else if (mode_reason == ENGINE_MODE_SSD_FAILED)
		*ret_reason = MODE_REASON_SSD_OUT_OF_USE;
	else if (status->troubles.below == ENGINE_TROUBLE_REFUSING)
		*ret_reason = MODE_REASON_BACKEND_REFUSING;
	else if (status->troubles.below == ENGINE_TROUBLE_SILENT)
		*ret_reason = MODE_REASON_BACKEND_SILENT;
	else if (mode_reason == ENGINE_MODE_SSD_FAILING)
		*ret_reason = MODE_REASON_SSD_FAILING;
	else if (status->gives_way)
		*ret_reason = MODE_REASON_MIGRATING;
	else if (status->hold_error < 0)
		*ret_reason = MODE_REASON_NO_SIDECAR;
	else if (mode_reason != ENGINE_MODE_AS_REQUESTED)
		*ret_reason = held_stands(&status->hold) ? MODE_REASON_HOLD
							 : MODE_REASON_DRAINING;
	else
		return false;
	return true;
}

/* What the reason's own words don't say. NULL: nothing. */
static const char *cause_of(const struct status *status,
			    enum mode_reason reason)
{
	if (reason == MODE_REASON_CACHE_FAILED)
		return status->failure;
	if (status->bypass && !status->failure)
		return status->bypass->message;
	if (reason == MODE_REASON_BACKEND_REFUSING)
		return strerror(-status->troubles.code);
	if (reason == MODE_REASON_NO_SIDECAR)
		return strerror(-status->hold_error);
	return NULL;
}

static void add_reason(struct text *text, const struct status *status)
{
	enum mode_reason reason;
	const char *cause;
	char piece[DETAIL_BYTES];

	if (!reason_of(status, &reason)) {
		add(text, "\"reason\":null,\"detail\":null,");
		return;
	}
	cause = cause_of(status, reason);
	snprintf(piece, sizeof(piece), "%s%s%s", mode_reason_words(reason),
		 cause ? ": " : "", cause ? cause : "");
	/* Words of a library's. */
	for (char *at = piece; *at; at++) {
		if (*at == '"' || *at == '\\' || (unsigned char)*at < ' ')
			*at = '\'';
	}
	add_word(text, "reason", mode_reason_code(reason));
	add_word(text, "detail", piece);
}

static const char *requested(const struct status *status)
{
	return mode_name(status->gives_way || status->hold_error < 0
				 ? ENGINE_WRITE_BACK
				 : status->stats.mode_requested);
}

static void add_mode(struct text *text, const struct status *status)
{
	add(text, "\"mode\":{");
	add_word(text, "requested", requested(status));
	add_word(text, "actual",
		 status->failure || status->bypass
			 ? "none"
			 : mode_name(status->stats.mode_actual));
	add_reason(text, status);
	add_bare(text, "writes_wait",
		 status->troubles.writes_wait ? "true" : "false");
	/* The last one, without a comma. */
	add_number(text, "left_bytes", status->stats.mode_left_bytes);
	text->length--;
	add(text, "},");
}

static void add_ratio(struct text *text, const char *name, uint64_t part,
		      uint64_t whole)
{
	char piece[PIECE_BYTES];

	snprintf(piece, sizeof(piece), "\"%s\":%.4f,", name,
		 whole > 0 ? (double)part / (double)whole : 0.0);
	add(text, piece);
}

/* Without a write there is nothing that was made more of. */
static void add_amplification(struct text *text,
			      const struct engine_stats *stats)
{
	if (stats->write_bytes == 0)
		add_bare(text, "write_amplification", "null");
	else
		add_ratio(text, "write_amplification", stats->ssd_written_bytes,
			  stats->write_bytes);
}

static void add_bypassed(struct text *text, const struct engine_stats *stats)
{
	add(text, "\"bypassed\":{");
	add_number(text, "first_miss_bytes", stats->bypassed_first_bytes);
	add_number(text, "stream_bytes", stats->bypassed_stream_bytes);
	add_number(text, "in_use_bytes", stats->bypassed_in_use_bytes);
	add_number(text, "large_read_bytes", stats->bypassed_large_bytes);
	add_number(text, "busy_bytes", stats->bypassed_busy_bytes);
	add_number(text, "fenced_bytes", stats->bypassed_fenced_bytes);
	add_number(text, "mode_bytes", stats->bypassed_mode_bytes);
	/* The last one, without a comma. */
	add_number(text, "not_durable_below_bytes",
		   stats->bypassed_undurable_bytes);
	text->length--;
	add(text, "},");
}

static void add_lost(struct text *text, const struct status *status)
{
	add(text, "\"lost\":{");
	add_number(text, "bytes", status->lost_bytes);
	add_bare(text, "more", status->lost_more ? "true" : "false");
	add(text, "\"ranges\":[");
	for (uint32_t i = 0; i < status->lost_count; i++) {
		char piece[PIECE_BYTES];

		snprintf(piece, sizeof(piece),
			 "%s{\"offset\":%" PRIu64 ",\"length\":%" PRIu64 "}",
			 i > 0 ? "," : "", status->lost[i].offset,
			 status->lost[i].length);
		add(text, piece);
	}
	add(text, "]},");
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
	add(text, "},");
}

static void add_point(struct text *text, const struct engine_curve *curve,
		      const struct engine_curve_point *point)
{
	add(text, "{");
	add_number(text, "size_bytes", point->file_bytes);
	add_bare(text, "full", point->full ? "true" : "false");
	/* The last one, without a comma. */
	add_ratio(text, "hit_ratio", point->hits, curve->reads);
	text->length--;
	add(text, "},");
}

/* Without a log there is none. */
static void add_curve(struct text *text, const struct status *status)
{
	const struct engine_curve *curve = &status->curve;

	if (!status->has_curve) {
		add(text, "\"curve\":null,");
		return;
	}
	add(text, "\"curve\":{");
	add_number(text, "read_blocks", curve->reads);
	add_number(text, "needed_blocks", curve->reads_needed);
	add_number(text, "size_bytes", curve->file_bytes);
	add_ratio(text, "hit_ratio", curve->hits, curve->reads);
	add(text, "\"points\":[");
	for (uint32_t i = 0; i < ENGINE_CURVE_SIZES; i++) {
		if (curve->points[i].file_bytes > 0)
			add_point(text, curve, &curve->points[i]);
	}
	/* The largest size is always possible: there is a comma to drop. */
	text->length--;
	add(text, "]},");
}

static void add_hold(struct text *text, const struct status *status)
{
	char hold[HELD_JSON_BYTES];

	held_format(&status->hold, status->now_ns, hold);
	add(text, "\"hold\":");
	add(text, hold);
}

int status_format(const struct status *status, char *buffer,
		  size_t buffer_bytes)
{
	const struct engine_stats *stats = &status->stats;
	struct text text = {.buffer = buffer, .bytes = buffer_bytes};

	add(&text, "{");
	add_mode(&text, status);
	add_number(&text, "read_hit_bytes", stats->read_hit_bytes);
	add_number(&text, "read_miss_bytes", stats->read_miss_bytes);
	add_ratio(&text, "hit_ratio", stats->read_hit_bytes,
		  stats->read_hit_bytes + stats->read_miss_bytes);
	add_number(&text, "write_bytes", stats->write_bytes);
	add_number(&text, "zeroed_bytes", stats->zeroed_bytes);
	add_number(&text, "dirty_bytes", stats->dirty_bytes);
	add_number(&text, "dirty_limit_bytes", stats->dirty_limit_bytes);
	add_number(&text, "dirty_age_ns", stats->dirty_age_ns);
	add_number(&text, "dirty_zero_bytes", stats->dirty_zero_bytes);
	add_number(&text, "cached_bytes", stats->cached_bytes);
	add_number(&text, "capacity_bytes", stats->capacity_bytes);
	add_ratio(&text, "occupancy_ratio", stats->cached_bytes,
		  stats->capacity_bytes);
	add_number(&text, "destaged_bytes", stats->destaged_bytes);
	add_number(&text, "destage_bytes_per_s", stats->destage_rate);
	add_number(&text, "destage_ios_max", stats->destage_ios);
	add_number(&text, "zeroed_below_bytes", stats->zeroed_below_bytes);
	add_number(&text, "ssd_written_bytes", stats->ssd_written_bytes);
	add_amplification(&text, stats);
	add_number(&text, "reappended_bytes", stats->reappended_bytes);
	add_number(&text, "copied_bytes", stats->copied_bytes);
	add_number(&text, "forgotten_bytes", stats->forgotten_bytes);
	add_bypassed(&text, stats);
	add_lost(&text, status);
	add_log(&text, stats);
	add_curve(&text, status);
	add_hold(&text, status);
	add(&text, "}");
	return text.length < buffer_bytes ? (int)text.length : -ENOSPC;
}
