// SPDX-License-Identifier: Apache-2.0
/*
 * retire.c - records that are on the SSD leave in sequence order.
 *
 * Retiring a record checks that the guest left its buffers alone while they
 * were written, applies the record to the index, and tells the owners of its
 * items. A block that the guest changed has a wrong check value on the SSD: it
 * isn't applied, and is appended again as an amendment before its write is
 * acknowledged. A changed fill is merely left out.
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

	if (item->buffer)
		io_buffer_put(engine, item->buffer);
	if (request && item->last_sequence > request->target_sequence)
		request->target_sequence = item->last_sequence;
	append_item_put(engine, item);
	if (!request) {
		if (destage)
			destage_clean_done(engine);
		return;
	}
	if (type == LOG_FILL) {
		read_part_done(engine, request, 0);
		return;
	}
	assert(request->parts > 0);
	if (--request->parts == 0)
		write_in_log(engine, request);
}

/* Notes that the bad entry of record @bad is replaced in record @good. */
static void mend_note(struct append *append, uint64_t bad, uint64_t good)
{
	struct mend *mend = &append->mends[append->mend_count];

	if (append->mend_count < MENDS_MAX) {
		append->mend_count++;
		*mend = (struct mend){bad, good};
		return;
	}
	/* No room: one that stands for both. It only delays durability. */
	mend--;
	if (bad < mend->bad)
		mend->bad = bad;
	if (good > mend->good)
		mend->good = good;
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

/* Appends the bad blocks of a guest's write again. */
static void amend(struct engine *engine, const struct record *record,
		  const struct log_entry_cursor *cursor,
		  const struct apply *apply)
{
	const struct log_entry *entry = cursor->entry;
	struct append_item *item = append_item_get(engine, true);
	struct append_item *from = record->items[cursor->index];
	uint32_t end = cursor->data_block + entry->block_count;
	uint32_t first =
		(uint32_t)bitmap_find_set(apply->bad, end, cursor->data_block);
	uint32_t last = end - 1;
	uint64_t offset;

	while (!bitmap_test(apply->bad, last))
		last--;
	assert(item && first <= last);
	item->request = from->request;
	item->type = LOG_WRITE;
	item->flags = LOG_ENTRY_AMENDS;
	item->upto = entry->flags & LOG_ENTRY_AMENDS ? entry->upto
						     : record->sequence;
	item->block = entry->first_block + first - cursor->data_block;
	item->block_count = last - first + 1;
	offset = (item->block * LOG_SECTORS_PER_BLOCK - from->request->sector) *
		 LOG_SECTOR_BYTES;
	item->cursor = io_seek(from->request, offset);
	/* One block is copied, so that it can't change again. */
	if (item->block_count == 1 && (item->buffer = io_buffer_get(engine)))
		io_copy_in(engine, from->request, offset, item->buffer,
			   LOG_BLOCK_BYTES);
	from->request->parts++;
	engine->stats.guest_changed_buffers++;
	append_queue(engine, item);
}

static void release_items(struct engine *engine, struct record *record)
{
	struct log_entry_cursor cursor;

	log_entries_start(&cursor, record->header);
	while (log_entries_next(&cursor)) {
		struct append_item *item = record->items[cursor.index];

		assert(item->placed > 0);
		item->placed--;
		if (item->flags & LOG_ENTRY_AMENDS && item->placed == 0 &&
		    item->block_count == 0)
			mend_note(&engine->append, item->upto,
				  record->sequence);
		if (item->placed == 0 && item->block_count == 0)
			retire_item(engine, item);
	}
}

static void apply_record(struct engine *engine, struct record *record)
{
	struct apply apply = {.header = record->header,
			      .location = record->location};
	struct iov_cursor data = {.index = record->first_data_iov};
	uint32_t seed = log_check_seed(engine->identity.uuid, record->sequence);
	struct log_entry_cursor cursor;

	log_entries_start(&cursor, record->header);
	while (log_entries_next(&cursor)) {
		if (entry_changed(record, seed, &cursor, &data, &apply) &&
		    cursor.entry->type == LOG_WRITE)
			amend(engine, record, &cursor, &apply);
		apply_entry(engine, &apply, &cursor);
	}
}

static bool retire_record(struct engine *engine)
{
	struct append *append = &engine->append;
	struct record *record =
		&append->records[append->first_in_flight %
				 engine->config.records_in_flight_max];
	uint32_t offset;
	struct segment *segment;

	if (append->first_in_flight == append->next_sequence ||
	    !record->written)
		return false;
	/* Amendments come from the reserve, which is that large. */
	if (append->free_item_count < RECORD_ENTRIES_MAX)
		return false;
	segment = &engine->segments.segments[segments_of(&engine->segments,
							 record->location)];
	offset = (record->location - engine->segments.first_block) %
		 engine->segments.segment_blocks;
	append->first_in_flight++;
	engine->progress = true;
	if (engine->state == ENGINE_RUNNING) {
		apply_record(engine, record);
		segment->retired_blocks =
			offset + 1 + record->header->data_blocks;
		append->completed_sequence = record->sequence;
		append->completed_tail = record->header->tail_sequence;
		if (append->unflushed_bytes == 0)
			append->unflushed_since_ns = engine->now_ns;
		append->unflushed_bytes += record->io.length;
	}
	release_items(engine, record);
	return true;
}

void retire_advance(struct engine *engine)
{
	while (retire_record(engine))
		;
}
