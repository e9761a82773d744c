// SPDX-License-Identifier: Apache-2.0
/*
 * append.c - items become records of the log.
 *
 * What waits together shares a record; at most records_in_flight_max are on
 * their way, and what arrives meanwhile forms the next (group commit). A
 * record's sequence and place are decided together, here; everything after
 * happens in that order (rule 3).
 *
 * Space: guest writes and fills leave `reserve_segments` free, so that records
 * which make room (CLEAN, DROP, amendments, a new tail) can always be written.
 */
#include "core.h"

#include <assert.h>
#include <string.h>

#include "bitmap.h"
#include "pressure.h"

#define SSD_WRITE_ATTEMPTS 3u
/*
 * Nobody waits for a fill, and a record for each would make half of the log
 * headers: when space is scarce, so many go together, or after so long, or with
 * what is written.
 */
#define FILLS_TOGETHER 32u
#define FILLS_WAIT_NS 1000000000ull

/* A record that is being filled. */
struct draft {
	struct record *record;
	uint32_t seed;
	uint32_t room; /* data blocks that still fit in the segment */
	uint32_t iov_count;
	uint32_t data_blocks;
	uint32_t zero_blocks;
	uint32_t written_blocks; /* by the guest, of the data */
	uint32_t filled_blocks; /* of those that nobody waits for */
};

void append_init(struct engine *engine)
{
	struct append *append = &engine->append;

	list_init(&append->meta);
	list_init(&append->data);
	list_init(&append->free_items);
	for (uint32_t i = 0; i < ITEMS_COUNT; i++)
		list_append(&append->free_items, &append->items[i].link);
	append->free_item_count = ITEMS_COUNT;
}

struct append_item *append_item_get(struct engine *engine, bool reserve)
{
	struct append *append = &engine->append;
	struct append_item *item;

	if (append->free_item_count <= (reserve ? 0 : ITEMS_RESERVE))
		return NULL;
	item = list_entry(append->free_items.next, struct append_item, link);
	list_remove(&item->link);
	append->free_item_count--;
	memset(item, 0, sizeof(*item));
	list_init(&item->link);
	return item;
}

void append_item_put(struct engine *engine, struct append_item *item)
{
	list_append(&engine->append.free_items, &item->link);
	engine->append.free_item_count++;
	engine->progress = true;
}

/* A fill that isn't a part of something that is waited for. */
static bool fills_alone(const struct append_item *item)
{
	return item->type == LOG_FILL && !item->borrowed;
}

/* It may not use the reserve, and waits in `data`. */
static bool of_guest(const struct append_item *item)
{
	return fills_alone(item) || item->type == LOG_ZERO ||
	       item->type == LOG_DISCARD ||
	       (item->type == LOG_WRITE && !(item->flags & LOG_ENTRY_AMENDS));
}

/* It leaves its queue, having its place or none. */
static void unqueue(struct engine *engine, struct append_item *item)
{
	list_remove(&item->link);
	list_init(&item->link);
	engine->append.data_count -= of_guest(item);
	if (fills_alone(item))
		engine->append.fills--;
}

void append_queue(struct engine *engine, struct append_item *item)
{
	struct append *append = &engine->append;
	bool guest = of_guest(item);

	if (withdrawn(engine)) {
		withdrawal_take(engine, item);
		return;
	}
	append->data_count += guest;
	if (fills_alone(item) && append->fills++ == 0)
		append->fills_since_ns = engine->now_ns;
	/* What the oldest record waits for goes first. */
	if (item->flags & LOG_ENTRY_AMENDS)
		list_prepend(&append->meta, &item->link);
	else
		list_append(guest ? &append->data : &append->meta, &item->link);
	engine->progress = true;
}

bool append_idle(const struct engine *engine)
{
	const struct append *append = &engine->append;

	return list_is_empty(&append->meta) && list_is_empty(&append->data) &&
	       append->first_in_flight == append->next_sequence;
}

bool append_admits(struct engine *engine, uint64_t blocks)
{
	return engine->append.free_item_count > ITEMS_RESERVE + 3 &&
	       pressure_admits(engine, blocks);
}

static void record_written(struct engine *engine, struct engine_io *io,
			   int status)
{
	struct record *record = io->owner;

	if (status < 0 && ++record->attempts < SSD_WRITE_ATTEMPTS &&
	    engine->state == ENGINE_RUNNING) {
		io_out(engine, io);
		return;
	}
	record->written = true;
	record->status = status;
	engine->progress = true;
	if (status == 0)
		retire_amended(engine, record);
	else
		engine_withdraw(engine, status,
				"writing record %llu to the SSD failed",
				(unsigned long long)record->sequence);
}

/* Appends [base, base + bytes) to the iovec, merging with what it follows. */
static void draft_add_iov(struct draft *draft, const struct iovec *part)
{
	struct iovec *last = &draft->record->iov[draft->iov_count - 1];

	if (draft->iov_count > draft->record->first_data_iov &&
	    (uint8_t *)last->iov_base + last->iov_len == part->iov_base)
		last->iov_len += part->iov_len;
	else
		draft->record->iov[draft->iov_count++] = *part;
}

/* Adds one block's data and returns its check value. */
static uint32_t draft_add_block(struct draft *draft, struct append_item *item,
				uint64_t block)
{
	struct iovec parts[LOG_SECTORS_PER_BLOCK];
	struct iov_cursor from = item->cursor;
	uint64_t bytes;
	uint32_t count;

	if (item->buffer) {
		struct iovec part = {item->buffer, LOG_BLOCK_BYTES};

		draft_add_iov(draft, &part);
		return log_check(draft->seed, block, item->buffer);
	}
	count = io_slice(item->request, &item->cursor, LOG_BLOCK_BYTES, parts,
			 LOG_SECTORS_PER_BLOCK, &bytes);
	assert(bytes == LOG_BLOCK_BYTES);
	for (uint32_t i = 0; i < count; i++)
		draft_add_iov(draft, &parts[i]);
	return io_check(draft->seed, block, item->request->iov, &from);
}

/* How many blocks of @item the draft can take. 0: the record is full. */
static uint32_t draft_takes(const struct draft *draft,
			    const struct append_item *item)
{
	const struct log_record_header *header = draft->record->header;
	uint32_t left = LOG_BLOCK_BYTES - header->used_bytes;
	uint32_t blocks = draft->room;

	if (header->entry_count >= RECORD_ENTRIES_MAX ||
	    left < sizeof(struct log_entry))
		return 0;
	left -= (uint32_t)sizeof(struct log_entry);
	if (blocks > LOG_RECORD_DATA_BLOCKS_MAX - draft->data_blocks)
		blocks = LOG_RECORD_DATA_BLOCKS_MAX - draft->data_blocks;
	/* Check values come in pairs of 8 bytes. */
	if (blocks > left / 8 * 2)
		blocks = left / 8 * 2;
	if (blocks >
	    (ENGINE_IOV_MAX - draft->iov_count) / LOG_SECTORS_PER_BLOCK)
		blocks = (ENGINE_IOV_MAX - draft->iov_count) /
			 LOG_SECTORS_PER_BLOCK;
	return blocks < item->block_count ? blocks
					  : (uint32_t)item->block_count;
}

static struct log_entry *draft_add_entry(struct draft *draft,
					 struct append_item *item,
					 uint32_t blocks)
{
	struct log_record_header *header = draft->record->header;
	struct log_entry *entry =
		(void *)((uint8_t *)header + header->used_bytes);

	*entry = (struct log_entry){
		.type = (uint8_t)item->type,
		.flags = item->flags,
		.mask = item->mask,
		.block_count = blocks,
		.first_block = item->block,
		.upto = item->upto,
	};
	draft->record->items[header->entry_count++] = item;
	item->placed++;
	item->last_sequence = draft->record->sequence;
	return entry;
}

/* Returns: false if the record is full. */
static bool draft_place_data(struct draft *draft, struct append_item *item)
{
	struct log_record_header *header = draft->record->header;
	uint32_t blocks = draft_takes(draft, item);
	struct log_entry *entry;
	uint32_t *checks;

	if (blocks == 0)
		return false;
	entry = draft_add_entry(draft, item, blocks);
	checks = (uint32_t *)(void *)(entry + 1);
	if (blocks % 2)
		checks[blocks] = 0;
	for (uint32_t i = 0; i < blocks; i++)
		checks[i] = draft_add_block(draft, item, item->block + i);
	header->used_bytes =
		(uint16_t)(header->used_bytes + log_entry_bytes(blocks));
	draft->data_blocks += blocks;
	draft->written_blocks += item->type == LOG_WRITE ? blocks : 0;
	draft->filled_blocks += fills_alone(item) ? blocks : 0;
	draft->room -= blocks;
	item->block += blocks;
	item->block_count -= blocks;
	return true;
}

static bool draft_place_mark(struct draft *draft, struct append_item *item)
{
	struct log_record_header *header = draft->record->header;

	if (header->entry_count >= RECORD_ENTRIES_MAX ||
	    header->used_bytes + log_entry_bytes(0) > LOG_BLOCK_BYTES)
		return false;
	draft_add_entry(draft, item, (uint32_t)item->block_count);
	header->used_bytes =
		(uint16_t)(header->used_bytes + log_entry_bytes(0));
	item->block_count = 0;
	return true;
}

/* What a record makes zeros is bounded, and so is the time to apply it. */
static bool draft_place_zeroes(struct draft *draft, struct append_item *item)
{
	if (draft->zero_blocks + item->block_count > LOG_ZERO_BLOCKS_MAX)
		return false;
	draft->zero_blocks += (uint32_t)item->block_count;
	return draft_place_mark(draft, item);
}

static bool draft_place(struct draft *draft, struct append_item *item)
{
	switch (item->type) {
	case LOG_DROP:
	case LOG_CLEAN:
		return draft_place_mark(draft, item);
	case LOG_ZERO:
	case LOG_DISCARD:
		return draft_place_zeroes(draft, item);
	case LOG_WRITE:
	case LOG_FILL:
	case LOG_REAPPEND:
		break;
	}
	return draft_place_data(draft, item);
}

/* A fill or re-append that a write has overtaken is forgotten (rule 3). */
static bool overtaken(struct engine *engine, struct append_item *item)
{
	if (engine_bug(engine, ENGINE_BUG_FILL_UNCHECKED))
		return false;
	return (item->type == LOG_FILL || item->type == LOG_REAPPEND) &&
	       hazard_generation(engine->hazards, item->fill_block, 1) !=
		       item->generation;
}

/* What of it is in a record already ends with that record. */
static void cut_off(struct engine *engine, struct append_item *item)
{
	unqueue(engine, item);
	item->block_count = 0;
	if (item->placed == 0)
		retire_item(engine, item);
}

static void draft_take_queue(struct engine *engine, struct draft *draft,
			     struct list *queue)
{
	while (!list_is_empty(queue)) {
		struct append_item *item =
			list_entry(queue->next, struct append_item, link);

		if (overtaken(engine, item)) {
			cut_off(engine, item);
			continue;
		}
		if (!draft_place(draft, item))
			return;
		if (item->block_count > 0)
			return;
		unqueue(engine, item);
	}
}

/* With no other segment free, a record is worth more than a summary. */
static uint32_t segment_room(const struct engine *engine)
{
	const struct append *append = &engine->append;
	uint32_t reserve =
		engine->segments.free > 0 ? summary_reserve(engine) : 0;
	uint32_t room;

	if (!append->has_active)
		return 0;
	room = engine->segments.segment_blocks -
	       engine->segments.segments[append->active].used_blocks;
	return room > reserve ? room - reserve : 0;
}

/* Makes sure that @blocks fit in the active segment. */
static bool make_room(struct engine *engine, uint32_t blocks, bool meta)
{
	struct append *append = &engine->append;
	struct segment_table *table = &engine->segments;

	if (segment_room(engine) >= blocks)
		return true;
	if (table->free <= (meta ? 0 : engine->reserve_segments) ||
	    zero_ahead_blocks(engine))
		return false;
	if (append->has_active) {
		table->segments[append->active].state = SEGMENT_SEALED;
		summary_write(engine);
	}
	segments_open(table, append->next_sequence, engine->now_ns,
		      &append->active);
	append->has_active = true;
	summary_begin(engine);
	if (table->held == 1)
		engine_set_tail(engine, append->next_sequence);
	engine->progress = true;
	return true;
}

static void draft_start(struct engine *engine, struct draft *draft)
{
	struct append *append = &engine->append;
	const struct segment *segment =
		&engine->segments.segments[append->active];
	struct record *record =
		&append->records[append->next_sequence % append->ring];
	struct log_record_header *header = record->header;
	bool first = segment->used_blocks == 1;

	*header = (struct log_record_header){
		.used_bytes = sizeof(*header),
		.epoch = engine->identity.epoch,
		.incarnation = engine->identity.incarnation,
		.sequence = append->next_sequence,
		.tail_sequence = engine->tail_sequence,
		.durable_sequence = engine->flusher.durable_sequence,
		.previous_crc = append->previous_crc,
		.mode = (uint8_t)engine->config.mode,
	};
	memcpy(header->uuid, engine->identity.uuid, 16);
	record->sequence = append->next_sequence;
	record->location = segments_block(&engine->segments, append->active) +
			   segment->used_blocks;
	record->attempts = 0;
	record->status = 0;
	record->written = false;
	record->checked = false;
	record->amends = 0;
	record->amended_by = 0;
	record->apply = (struct apply){
		.header = header,
		.location = record->location,
	};
	draft->record = record;
	draft->seed = log_check_seed(engine->identity.uuid, record->sequence);
	draft->room = segment_room(engine) - 1;
	if (first) {
		memcpy(record->head->uuid, engine->identity.uuid, 16);
		record->head->epoch = engine->identity.epoch;
		record->head->incarnation = engine->identity.incarnation;
		record->head->first_sequence = record->sequence;
		log_segment_head_seal(record->head);
		record->iov[draft->iov_count++] =
			(struct iovec){record->head, LOG_BLOCK_BYTES};
	}
	record->iov[draft->iov_count++] =
		(struct iovec){header, LOG_BLOCK_BYTES};
	record->first_data_iov = draft->iov_count;
}

static void draft_send(struct engine *engine, struct draft *draft)
{
	struct append *append = &engine->append;
	struct record *record = draft->record;
	struct log_record_header *header = record->header;
	struct segment *segment = &engine->segments.segments[append->active];
	uint32_t head = record->first_data_iov - 1;

	header->data_blocks = draft->data_blocks;
	log_record_seal(header);
	summary_add(engine, header);
	append->previous_crc = header->crc;
	bitmap_set(segment->starts, segment->used_blocks);
	segment->used_blocks += 1 + draft->data_blocks;
	segment->last_sequence = record->sequence;
	record->io = (struct engine_io){
		.type = ENGINE_SSD_WRITE,
		.timed = true,
		.iov = record->iov,
		.iov_count = draft->iov_count,
		.offset = (uint64_t)(record->location - head) * LOG_BLOCK_BYTES,
		.length = (uint64_t)(head + 1 + draft->data_blocks) *
			  LOG_BLOCK_BYTES,
		.done = record_written,
		.owner = record,
	};
	engine->stats.records++;
	if (engine->curve)
		curve_record(engine->curve, draft->written_blocks,
			     draft->filled_blocks,
			     draft->data_blocks - draft->written_blocks -
				     draft->filled_blocks,
			     evict_has_spare(engine));
	engine->stats.ssd_written_bytes += record->io.length;
	append->next_sequence++;
	append->carry_tail = false;
	engine->progress = true;
	io_out(engine, &record->io);
}

/* Blocks that the first thing to append needs: header, and data if it has any.
 */
static uint32_t first_need(const struct append *append, bool meta)
{
	const struct append_item *item;

	if (!meta || list_is_empty(&append->meta))
		return meta ? 1 : 2;
	item = list_entry(append->meta.next, struct append_item, link);
	return item->type == LOG_WRITE || item->type == LOG_REAPPEND ||
			       item->type == LOG_FILL
		       ? 2
		       : 1;
}

static bool amends_wait(const struct append *append)
{
	const struct append_item *item =
		list_entry(append->meta.next, struct append_item, link);

	return !list_is_empty(&append->meta) && item->type == LOG_WRITE;
}

/* Amendments may go beyond the limit: older records wait for them. */
static bool may_send(const struct engine *engine)
{
	const struct append *append = &engine->append;
	uint64_t in_flight = append->next_sequence - append->first_in_flight;

	return in_flight < engine->config.records_in_flight_max ||
	       (in_flight < append->ring && amends_wait(append));
}

/* Are there writes, or fills that have waited long enough for some? */
static bool data_waits(const struct engine *engine)
{
	const struct append *append = &engine->append;

	if (list_is_empty(&append->data))
		return false;
	return append->fills >= FILLS_TOGETHER ||
	       append->data_count > append->fills || engine->destage.quiesced ||
	       evict_has_spare(engine) ||
	       engine->now_ns >= append->fills_since_ns + FILLS_WAIT_NS;
}

uint64_t append_next_ns(const struct engine *engine)
{
	const struct append *append = &engine->append;
	uint64_t due = append->fills_since_ns + FILLS_WAIT_NS;

	/* Those that are due wait for room, not for time. */
	return append->fills > 0 && due > engine->now_ns ? due : UINT64_MAX;
}

static bool append_record(struct engine *engine)
{
	struct append *append = &engine->append;
	bool amends = amends_wait(append);
	bool meta = !list_is_empty(&append->meta) || append->carry_tail;
	bool data = data_waits(engine) &&
		    engine->segments.free >= engine->reserve_segments;
	struct draft draft = {0};

	if ((!meta && !data) || !may_send(engine) ||
	    !make_room(engine, first_need(append, meta), meta))
		return false;
	draft_start(engine, &draft);
	draft_take_queue(engine, &draft, &append->meta);
	/* A record that amends is itself never to be amended. */
	if (!amends && engine->segments.free >= engine->reserve_segments)
		draft_take_queue(engine, &draft, &append->data);
	/* All that was queued may have been fills that were overtaken. */
	if (draft.record->header->entry_count == 0 && !append->carry_tail)
		return false;
	draft_send(engine, &draft);
	return true;
}

static void note_throttling(struct engine *engine)
{
	struct append *append = &engine->append;
	bool no_segment =
		engine->segments.free < engine->reserve_segments + 1 &&
		(!list_is_empty(&append->data) ||
		 !list_is_empty(&engine->writes.waiting));

	if (no_segment || engine->writes.held_back) {
		if (append->throttled_since_ns == 0)
			append->throttled_since_ns = engine->now_ns;
	} else if (append->throttled_since_ns != 0) {
		engine->stats.throttled_ns +=
			engine->now_ns - append->throttled_since_ns;
		append->throttled_since_ns = 0;
	}
}

void append_advance(struct engine *engine)
{
	if (withdrawn(engine))
		return;
	while (append_record(engine))
		;
	note_throttling(engine);
}

static void fail_queue(struct engine *engine, struct list *queue)
{
	list_for_each_safe (node, queue)
		cut_off(engine, list_entry(node, struct append_item, link));
}

/*
 * The log has no room for a single record: the CLEANs that wait take effect
 * without one. Losing a CLEAN only repeats a destage.
 */
struct log_entry append_item_entry(const struct append_item *item)
{
	return (struct log_entry){
		.type = (uint8_t)item->type,
		.block_count = (uint32_t)item->block_count,
		.first_block = item->block,
		.upto = item->upto,
	};
}

void append_spill_cleans(struct engine *engine)
{
	list_for_each_safe (node, &engine->append.meta) {
		struct append_item *item =
			list_entry(node, struct append_item, link);
		struct log_entry entry;

		if (item->type != LOG_CLEAN)
			continue;
		entry = append_item_entry(item);
		list_remove(node);
		list_init(node);
		apply_spilled_clean(engine, &entry);
		item->block_count = 0;
		retire_item(engine, item);
	}
}

void append_drop_reappends(struct engine *engine)
{
	list_for_each_safe (node, &engine->append.meta) {
		struct append_item *item =
			list_entry(node, struct append_item, link);

		if (item->borrowed)
			cut_off(engine, item);
	}
}

bool append_has_room(const struct engine *engine)
{
	return segment_room(engine) > 0 || engine->segments.free > 0;
}

static void abort_queue(struct engine *engine, struct list *queue)
{
	list_for_each_safe (node, queue) {
		struct append_item *item =
			list_entry(node, struct append_item, link);

		unqueue(engine, item);
		withdrawal_take(engine, item);
	}
}

void append_abort(struct engine *engine)
{
	abort_queue(engine, &engine->append.meta);
	abort_queue(engine, &engine->append.data);
}

void append_fail_all(struct engine *engine)
{
	fail_queue(engine, &engine->append.meta);
	fail_queue(engine, &engine->append.data);
}
