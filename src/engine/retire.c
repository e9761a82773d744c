// SPDX-License-Identifier: Apache-2.0
/*
 * retire.c - records that are on the SSD leave in sequence order.
 *
 * Before a record retires, its data are checked: did the guest leave its
 * buffers alone while they were written? A block that it changed has a wrong
 * check value on the SSD, and recovery would end the log there. It is appended
 * again from a copy, and the record retires only together with all others up to
 * the one that amends it: so nothing is acknowledged that recovery would not
 * accept.
 *
 * Retiring applies the record to the index and tells the owners of its items.
 */
#include "core.h"

#include <assert.h>
#include <string.h>

#include "bitmap.h"

void retire_item(struct engine *engine, struct append_item *item)
{
	struct engine_request *request = item->request;
	enum log_entry_type type = item->type;
	bool destage = item->destage;
	bool borrowed = item->borrowed;

	if (item->buffer && !borrowed)
		io_buffer_put(engine, item->buffer);
	if (type == LOG_FILL)
		hazard_fill_end(engine->hazards, item->fill_block, 1);
	if (request && item->last_sequence > request->target_sequence)
		request->target_sequence = item->last_sequence;
	append_item_put(engine, item);
	if (type == LOG_REAPPEND)
		evict_lost_carried(engine);
	if (!request) {
		if (destage)
			destage_clean_done(engine);
		if (borrowed)
			reappend_done(engine);
		return;
	}
	assert(request->parts > 0);
	if (--request->parts == 0)
		write_in_log(engine, request);
}

/* Which data blocks of an entry are not what was to be written? */
static bool entry_changed(const struct record *record, uint32_t seed,
			  const struct log_entry_cursor *cursor,
			  struct iov_cursor *data, struct apply *apply)
{
	const struct log_entry *entry = cursor->entry;
	bool changed = false;

	for (uint32_t i = 0; i < log_entry_data_blocks(entry); i++) {
		uint32_t check = io_check(seed, entry->first_block + i,
					  record->iov, data);

		if (check != cursor->checks[i]) {
			bitmap_set(apply->bad, cursor->data_block + i);
			changed = true;
		}
	}
	return changed;
}

/* Appends one changed block of a guest's write again. */
static void amend_block(struct engine *engine, struct record *record,
			const struct log_entry_cursor *cursor, uint32_t index)
{
	const struct log_entry *entry = cursor->entry;
	struct append_item *from = record->items[cursor->index];
	struct append_item *item = append_item_get(engine, true);

	assert(item);
	item->request = from->request;
	item->amends = record;
	item->type = LOG_WRITE;
	item->flags = LOG_ENTRY_AMENDS;
	item->upto = record->sequence;
	item->block = entry->first_block + index;
	item->block_count = 1;
	item->buffer = io_buffer_get(engine, true);
	assert(item->buffer);
	io_copy_in(
		engine, from->request,
		(item->block * LOG_SECTORS_PER_BLOCK - from->request->sector) *
			LOG_SECTOR_BYTES,
		item->buffer, LOG_BLOCK_BYTES);
	from->request->parts++;
	record->amends++;
	engine->stats.guest_changed_buffers++;
	append_queue(engine, item);
}

/* Looks once at what was written; true when nothing is left to amend. */
static bool record_good(struct engine *engine, struct record *record)
{
	struct apply *apply = &record->apply;
	struct iov_cursor data = {.index = record->first_data_iov};
	uint32_t seed = log_check_seed(engine->identity.uuid, record->sequence);
	struct log_entry_cursor cursor;

	if (record->checked)
		return record->amends == 0;
	/* The reserves hold what one record can need. */
	if (engine->append.free_item_count < LOG_RECORD_DATA_BLOCKS_MAX ||
	    engine->io.free_buffer_count < LOG_RECORD_DATA_BLOCKS_MAX)
		return false;
	record->checked = true;
	log_entries_start(&cursor, record->header);
	while (log_entries_next(&cursor)) {
		if (!entry_changed(record, seed, &cursor, &data, apply) ||
		    cursor.entry->type != LOG_WRITE)
			continue;
		for (uint32_t i = 0; i < cursor.entry->block_count; i++) {
			if (bitmap_test(apply->bad, cursor.data_block + i))
				amend_block(engine, record, &cursor, i);
		}
	}
	return record->amends == 0;
}

static void apply_record(struct engine *engine, struct record *record)
{
	struct append *append = &engine->append;
	struct segment_table *table = &engine->segments;
	struct log_entry_cursor cursor;
	uint32_t offset =
		(record->location - table->first_block) % table->segment_blocks;

	log_entries_start(&cursor, record->header);
	while (log_entries_next(&cursor))
		apply_entry(engine, &record->apply, &cursor);
	table->segments[segments_of(table, record->location)].retired_blocks =
		offset + 1 + record->header->data_blocks;
	append->completed_sequence = record->sequence;
	kept_applied(engine, record->sequence);
	append->completed_tail = record->header->tail_sequence;
	if (append->unflushed_bytes == 0)
		append->unflushed_since_ns = engine->now_ns;
	append->unflushed_bytes += record->io.length;
}

static void release_items(struct engine *engine, struct record *record)
{
	for (uint32_t i = 0; i < record->header->entry_count; i++) {
		struct append_item *item = record->items[i];

		assert(item->placed > 0);
		item->placed--;
		if (item->placed == 0 && item->block_count == 0)
			retire_item(engine, item);
	}
}

void retire_amended(struct engine *engine, struct record *record)
{
	for (uint32_t i = 0; i < record->header->entry_count; i++) {
		struct append_item *item = record->items[i];

		if (!item->amends)
			continue;
		/* Its data are copies of ours; the guest can't change them. */
		record->checked = true;
		item->amends->amends--;
		item->amends->amended_by = record->sequence;
		item->amends = NULL;
		io_buffer_put(engine, item->buffer);
		item->buffer = NULL;
	}
}

static struct record *record_at(struct engine *engine, uint64_t sequence)
{
	struct append *append = &engine->append;

	return sequence < append->next_sequence
		       ? &append->records[sequence % append->ring]
		       : NULL;
}

/*
 * The oldest record, and those that must retire with it. Returns: the last
 * sequence of the group, or 0 while one of them isn't ready.
 */
static uint64_t group_ready(struct engine *engine)
{
	uint64_t sequence = engine->append.first_in_flight;
	uint64_t last = sequence;

	for (; sequence <= last; sequence++) {
		struct record *record = record_at(engine, sequence);

		if (!record || !record->written || record->status < 0 ||
		    !record_good(engine, record))
			return 0;
		if (record->amended_by > last)
			last = record->amended_by;
	}
	return last;
}

static bool retire_group(struct engine *engine)
{
	struct append *append = &engine->append;
	uint64_t last = group_ready(engine);

	if (last == 0)
		return false;
	while (append->first_in_flight <= last) {
		struct record *record =
			record_at(engine, append->first_in_flight);

		append->first_in_flight++;
		apply_record(engine, record);
		release_items(engine, record);
	}
	engine->progress = true;
	return true;
}

/* After a failure nothing is applied: the records' owners are told. */
static bool retire_failed(struct engine *engine)
{
	struct append *append = &engine->append;
	struct record *record = record_at(engine, append->first_in_flight);

	if (!record || !record->written)
		return false;
	append->first_in_flight++;
	release_items(engine, record);
	engine->progress = true;
	return true;
}

void retire_abort(struct engine *engine)
{
	struct append *append = &engine->append;

	while (append->first_in_flight < append->next_sequence) {
		struct record *record =
			record_at(engine, append->first_in_flight);

		append->first_in_flight++;
		for (uint32_t i = 0; i < record->header->entry_count; i++) {
			if (record->items[i]->request)
				record->items[i]->request->retry = true;
		}
		release_items(engine, record);
	}
}

void retire_advance(struct engine *engine)
{
	while (engine->state == ENGINE_RUNNING ? retire_group(engine)
					       : retire_failed(engine))
		;
}
