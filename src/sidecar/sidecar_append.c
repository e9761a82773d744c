// SPDX-License-Identifier: Apache-2.0
/*
 * sidecar_append.c - writes and resizes become records of the journal.
 *
 * What has gathered while a record was under way goes into the next one, whole
 * groups only, in the order in which it came. A RESIZE is a record of its own:
 *
 *   longer    the file, then the record: what is behind the end is zeros and
 *             no harm
 *   shorter   the record, made durable, then the file: after it the old
 *             contents are gone
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "crc32c.h"
#include "sidecar_store_private.h"

/* What would go into one record. */
struct batch {
	uint32_t requests;
	uint32_t blocks; /* of data */
	uint32_t iov_count;
};

static uint32_t blocks_of(const struct sidecar_request *request)
{
	return (uint32_t)(request->length / SIDECAR_BLOCK_BYTES);
}

/* Two of the largest fit, so that one fits wherever the journal begins. */
static bool fits(const struct sidecar_store *store, const struct batch *batch)
{
	uint32_t blocks = store->head.journal_blocks / 2 - 1;

	if (blocks > SIDECAR_RECORD_BLOCKS_MAX)
		blocks = SIDECAR_RECORD_BLOCKS_MAX;
	return batch->requests <= SIDECAR_ENTRIES_MAX &&
	       batch->blocks <= blocks &&
	       batch->iov_count <= SIDECAR_STORE_IOV_MAX;
}

/*
 * All whole groups that fit into one record, or the first one if it can't be
 * one: then *ret_error says why. None: it isn't whole yet.
 */
static struct batch pick(const struct sidecar_store *store, int *ret_error)
{
	const struct sidecar_request *request = store->queue.first;
	struct batch sum = {0}, picked = {0};
	int error = 0;

	*ret_error = 0;
	for (; request && request->kind == SIDECAR_WRITE;
	     request = request->next) {
		sum.requests++;
		if (request->result < 0) {
			error = request->result;
		} else {
			sum.blocks += blocks_of(request);
			sum.iov_count += request->iov_count;
		}
		if (request->more)
			continue;
		if (error == 0 && !fits(store, &sum))
			error = -EMSGSIZE;
		if (error < 0) {
			*ret_error = picked.requests > 0 ? 0 : error;
			return picked.requests > 0 ? picked : sum;
		}
		picked = sum;
	}
	return picked;
}

static void take_first(struct sidecar_store *store, uint32_t count,
		       struct sidecar_list *list)
{
	for (uint32_t i = 0; i < count; i++)
		sidecar_list_add(list, sidecar_list_take(&store->queue));
}

static void fail_first(struct sidecar_store *store, uint32_t count, int result)
{
	struct sidecar_list list = {0};

	take_first(store, count, &list);
	sidecar_finish_all(store, &list, result);
}

/* A record lies in one piece: what is too short for it at the end is skipped.
 */
static bool find_room(struct sidecar_store *store, uint32_t blocks)
{
	struct sidecar_append *append = &store->append;
	uint32_t end = store->head.journal_blocks;
	/* It may begin at the very end, and nothing is skipped. */
	bool wraps = store->next + blocks > end;
	uint32_t skipped = wraps ? end - store->next : 0;

	if (store->used + skipped + blocks > end)
		return false;
	append->skipped = skipped;
	append->at = wraps ? 0 : store->next;
	append->blocks = blocks;
	return true;
}

/* The check values of a request's blocks, over the bounds of its iovec. */
static void check_values(const struct sidecar_request *request,
			 uint32_t *ret_values)
{
	uint64_t at = 0;
	uint32_t crc = 0;

	for (uint32_t i = 0; i < request->iov_count; i++) {
		const uint8_t *from = request->iov[i].iov_base;
		uint64_t left = request->iov[i].iov_len;

		while (left > 0) {
			uint64_t bytes =
				SIDECAR_BLOCK_BYTES - at % SIDECAR_BLOCK_BYTES;

			if (bytes > left)
				bytes = left;
			crc = crc32c(crc, from, bytes);
			at += bytes;
			from += bytes;
			left -= bytes;
			if (at % SIDECAR_BLOCK_BYTES != 0)
				continue;
			*ret_values++ = crc;
			crc = 0;
		}
	}
}

static void begin_record(struct sidecar_store *store)
{
	struct sidecar_append *append = &store->append;

	memset(&append->record, 0, sizeof(append->record));
	append->record.incarnation = store->head.incarnation;
	append->record.sequence = store->completed + 1;
	append->iov[0] =
		(struct iovec){&append->record, sizeof(append->record)};
}

static void write_record(struct sidecar_store *store, uint32_t iov_count)
{
	struct sidecar_append *append = &store->append;
	const struct sidecar_io io = {
		.kind = SIDECAR_IO_WRITE,
		.offset = sidecar_journal_offset(append->at),
		.length = (uint64_t)append->blocks * SIDECAR_BLOCK_BYTES,
		.iov = append->iov,
		.iov_count = iov_count,
	};

	sidecar_record_seal(&append->record);
	append->step = SIDECAR_APPEND_RECORD;
	sidecar_start(store, SIDECAR_IO_APPEND, &io);
}

static void write_batch(struct sidecar_store *store)
{
	struct sidecar_append *append = &store->append;
	struct sidecar_record *record = &append->record;
	const struct sidecar_request *request = append->requests.first;
	uint32_t iov_count = 1;

	begin_record(store);
	for (; request; request = request->next) {
		check_values(request,
			     record->check_values + record->data_blocks);
		record->entries[record->entry_count++] = (struct sidecar_entry){
			.type = SIDECAR_ENTRY_WRITE,
			.count = blocks_of(request),
			.first = request->offset / SIDECAR_BLOCK_BYTES,
		};
		record->data_blocks += blocks_of(request);
		memcpy(append->iov + iov_count, request->iov,
		       request->iov_count * sizeof(*request->iov));
		iov_count += request->iov_count;
	}
	write_record(store, iov_count);
}

/* Returns: whether there is room; if not, it is being made. */
static bool make_room(struct sidecar_store *store, uint32_t blocks,
		      uint32_t requests)
{
	int error = store->checkpoint.error;

	if (find_room(store, blocks))
		return true;
	if (error < 0) {
		store->checkpoint.error = 0;
		fail_first(store, requests, error);
		return false;
	}
	store->checkpoint.wanted = true;
	return false;
}

static void start_batch(struct sidecar_store *store)
{
	int error;
	struct batch batch = pick(store, &error);

	if (batch.requests == 0)
		return;
	if (error < 0) {
		fail_first(store, batch.requests, error);
		return;
	}
	if (!make_room(store, 1 + batch.blocks, batch.requests))
		return;
	take_first(store, batch.requests, &store->append.requests);
	write_batch(store);
}

/* Resizes. */

static uint64_t new_length(const struct sidecar_store *store)
{
	return store->append.requests.first->length;
}

static void resize_file(struct sidecar_store *store)
{
	const struct sidecar_io io = {
		.kind = SIDECAR_IO_RESIZE,
		.offset = sidecar_data_offset(
			store, new_length(store) / SIDECAR_BLOCK_BYTES),
	};

	store->append.step = SIDECAR_APPEND_RESIZE;
	sidecar_start(store, SIDECAR_IO_APPEND, &io);
}

static void record_resize(struct sidecar_store *store)
{
	struct sidecar_record *record = &store->append.record;
	bool there_is = find_room(store, 1);

	assert(there_is);
	begin_record(store);
	record->entry_count = 1;
	record->entries[0] = (struct sidecar_entry){
		.type = SIDECAR_ENTRY_RESIZE,
		.first = new_length(store) / SIDECAR_BLOCK_BYTES,
	};
	write_record(store, 1);
}

static void end_append(struct sidecar_store *store, int result)
{
	store->append.step = SIDECAR_APPEND_IDLE;
	sidecar_finish_all(store, &store->append.requests, result);
}

/* What was queued behind it counted on it. */
static void fail_resize(struct sidecar_store *store, int error)
{
	end_append(store, error);
	sidecar_finish_all(store, &store->queue, error);
	store->planned_bytes = store->length_bytes;
}

static void start_resize(struct sidecar_store *store)
{
	int error = store->checkpoint.error;

	if (store->used > 0 && error < 0) {
		store->checkpoint.error = 0;
		take_first(store, 1, &store->append.requests);
		fail_resize(store, error);
		return;
	}
	if (store->used > 0 ||
	    store->checkpoint.step != SIDECAR_CHECKPOINT_IDLE) {
		store->checkpoint.wanted = true;
		return;
	}
	take_first(store, 1, &store->append.requests);
	if (new_length(store) > store->length_bytes)
		resize_file(store);
	else
		record_resize(store);
}

void sidecar_append_start(struct sidecar_store *store)
{
	struct sidecar_append *append = &store->append;

	if (append->step == SIDECAR_APPEND_SYNC) {
		if (store->broken)
			fail_resize(store, store->broken);
		else if (store->sync_finished >= append->ticket)
			resize_file(store);
		return;
	}
	if (append->step != SIDECAR_APPEND_IDLE || !store->queue.first)
		return;
	if (store->broken)
		sidecar_finish_all(store, &store->queue, store->broken);
	else if (store->queue.first->kind == SIDECAR_RESIZE)
		start_resize(store);
	else
		start_batch(store);
}

/* From here on reads find it. */
static void apply(struct sidecar_store *store)
{
	const struct sidecar_append *append = &store->append;
	const struct sidecar_record *record = &append->record;
	uint32_t location = SIDECAR_JOURNAL_BLOCK + append->at + 1;

	store->completed = record->sequence;
	store->records++;
	store->used += append->skipped + append->blocks;
	store->next = append->at + append->blocks;
	for (uint32_t i = 0; i < record->entry_count; i++)
		for (uint32_t j = 0; j < record->entries[i].count; j++)
			sidecar_index_put(&store->index,
					  (uint32_t)record->entries[i].first +
						  j,
					  location++);
}

static void recorded(struct sidecar_store *store)
{
	struct sidecar_append *append = &store->append;

	apply(store);
	if (append->record.data_blocks > 0) {
		end_append(store, 0);
		return;
	}
	if (new_length(store) < store->length_bytes) {
		append->step = SIDECAR_APPEND_SYNC;
		append->ticket = sidecar_sync_want(store);
		return;
	}
	store->length_bytes = new_length(store);
	end_append(store, 0);
}

void sidecar_append_done(struct sidecar_store *store, int result)
{
	struct sidecar_append *append = &store->append;
	bool longer;

	if (append->step == SIDECAR_APPEND_RECORD) {
		if (result == 0) {
			recorded(store);
			return;
		}
		/* How much of it is there can't be known. */
		sidecar_break(store, result);
		end_append(store, result);
		return;
	}
	longer = new_length(store) > store->length_bytes;
	if (result == 0 && longer) {
		record_resize(store);
		return;
	}
	if (result < 0) {
		if (!longer) /* its record stands */
			sidecar_break(store, result);
		fail_resize(store, result);
		return;
	}
	store->length_bytes = new_length(store);
	end_append(store, 0);
}
