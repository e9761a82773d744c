/* SPDX-License-Identifier: Apache-2.0 */
/* rescue_report.c - see rescue_report.h. */
#include "rescue_report.h"

#include <errno.h>

#include "log_format.h"
#include "uuid_text.h"

static json_t *number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

/* A path need not be UTF-8, which JSON must. */
static json_t *name_json(const char *path)
{
	json_t *name = json_string(path);

	return name ? name : json_null();
}

static json_t *rows_json(const struct log_superblock *superblock)
{
	json_t *rows = json_array();

	for (uint32_t i = 0; i < superblock->row_count; i++) {
		const struct log_row *row = &superblock->rows[i];
		bool open = row->last_sequence == LOG_ROW_OPEN;

		json_array_append_new(
			rows,
			json_pack("{s:o,s:o,s:o,s:o}", "epoch",
				  number(row->epoch), "incarnation",
				  number(row->incarnation), "first_sequence",
				  number(row->first_sequence), "last_sequence",
				  open ? json_null()
				       : number(row->last_sequence)));
	}
	return rows;
}

static json_t *gaps_json(const struct inspect_log *log)
{
	json_t *gaps = json_array();

	for (uint32_t i = 0; i < log->gap_count; i++)
		json_array_append_new(gaps,
				      json_pack("{s:o,s:o}", "first_sequence",
						number(log->gaps[i].first),
						"last_sequence",
						number(log->gaps[i].last)));
	return gaps;
}

static int add_log(json_t *report, const struct recovered *recovered)
{
	const struct inspect_log *log = &recovered->log;
	json_t *more = json_pack(
		"{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}",
		"generation", number(log->superblock->generation), "segments",
		number(log->segments), "segments_used",
		number(log->segments_used), "records", number(log->records),
		"tail_sequence", number(log->tail_sequence), "durable_sequence",
		number(log->durable_sequence), "last_sequence",
		number(log->last_sequence), "dirty_bytes",
		number(log->dirty_blocks * LOG_BLOCK_BYTES), "clean_bytes",
		number((log->cached_blocks + log->zero_blocks -
			log->dirty_blocks) *
		       LOG_BLOCK_BYTES),
		"zero_bytes", number(log->zero_blocks * LOG_BLOCK_BYTES),
		"lost_bytes", number(log->lost_blocks * LOG_BLOCK_BYTES),
		"rows", rows_json(log->superblock), "missing_records",
		gaps_json(log), "segments_left_out", number(log->overlaps));
	int status = json_object_update(report, more);

	json_decref(more);
	return status;
}

json_t *rescue_report_log(const char *path, const struct source *source,
			  const struct recovered *recovered, const char *reason)
{
	char uuid[UUID_TEXT_BYTES];
	const char *state = reason[0] ? "damaged" : "whole";
	json_t *report;

	uuid_format(source->config.uuid, uuid);
	report = json_pack(
		"{s:o,s:s,s:o,s:o,s:o,s:o,s:b}", "file", name_json(path),
		"state", source->blank ? "blank" : state, "reason",
		reason[0] ? json_string(reason) : json_null(), "disk",
		source->blank ? json_null() : json_string(uuid), "disk_bytes",
		recovered && recovered->disk_bytes > 0
			? number(recovered->disk_bytes)
			: json_null(),
		"file_bytes", number(source->bytes), "in_use", source->in_use);
	if (report && recovered && add_log(report, recovered) < 0) {
		json_decref(report);
		return NULL;
	}
	return report;
}

static json_t *ranges_json(const struct ranges *ranges)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ranges->count; i++) {
		const struct range *range = &ranges->items[i];

		json_array_append_new(
			list,
			json_pack("{s:o,s:o,s:s,s:b}", "first_sector",
				  number(range->first_sector), "sector_count",
				  number(range->sector_count), "fault",
				  copy_fault_name(range->fault), "dirty",
				  range->dirty));
	}
	return list;
}

int rescue_report_add(json_t *report, const struct findings *findings)
{
	json_t *more =
		json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "good_dirty_bytes",
			  number(findings->dirty_bytes), "good_clean_bytes",
			  number(findings->clean_bytes), "bad_dirty_bytes",
			  number(findings->bad_dirty_bytes), "bad_clean_bytes",
			  number(findings->bad_clean_bytes), "bad",
			  ranges_json(&findings->bad), "doubtful",
			  ranges_json(&findings->doubtful));
	int status = more ? json_object_update(report, more) : -1;

	json_decref(more);
	return status < 0 ? -ENOMEM : 0;
}
