// SPDX-License-Identifier: Apache-2.0
/*
 * sidecar_checkpoint.c - the journal is copied into the data and emptied.
 *
 *   sync (the records) -> copies -> sync (the data) -> readers of the journal
 *   have ended -> head -> sync -> its room is free
 *
 * It covers the records that were complete when it began; others are appended
 * meanwhile. The newer copy of a block stays in the index, and its older one in
 * the data does no harm: what is newer is replayed over it.
 */
#include <errno.h>

#include "sidecar_store_private.h"

static void begin(struct sidecar_store *store)
{
	struct sidecar_checkpoint *checkpoint = &store->checkpoint;

	checkpoint->used = store->used;
	checkpoint->next = store->next;
	checkpoint->sequence = store->completed;
	checkpoint->count = store->index.count;
	checkpoint->copied = 0;
	sidecar_index_list(&store->index, checkpoint->places);
	checkpoint->ticket = store->durable < store->completed
				     ? sidecar_sync_want(store)
				     : store->sync_finished;
	checkpoint->step = SIDECAR_CHECKPOINT_JOURNAL_SYNC;
}

static void give_up(struct sidecar_store *store, int error)
{
	struct sidecar_checkpoint *checkpoint = &store->checkpoint;

	checkpoint->step = SIDECAR_CHECKPOINT_IDLE;
	checkpoint->failed = true;
	checkpoint->error = checkpoint->wanted ? error : 0;
	checkpoint->wanted = false;
	store->changed = true;
}

/* A run lies side by side in both places. */
static void find_run(struct sidecar_checkpoint *checkpoint)
{
	const struct sidecar_place *place =
		&checkpoint->places[checkpoint->copied];
	uint32_t most = checkpoint->count - checkpoint->copied;
	uint32_t count = 1;

	if (most > SIDECAR_COPY_BLOCKS)
		most = SIDECAR_COPY_BLOCKS;
	while (count < most && place[count].block == place->block + count &&
	       place[count].location == place->location + count)
		count++;
	checkpoint->run = count;
	checkpoint->iov = (struct iovec){
		.iov_base = checkpoint->buffer,
		.iov_len = (size_t)count * SIDECAR_BLOCK_BYTES,
	};
}

static void copy(struct sidecar_store *store, enum sidecar_io_kind kind,
		 uint64_t offset)
{
	const struct sidecar_io io = {
		.kind = kind,
		.offset = offset,
		.length = store->checkpoint.iov.iov_len,
		.iov = &store->checkpoint.iov,
		.iov_count = 1,
	};

	sidecar_start(store, SIDECAR_IO_COPY, &io);
}

static void copy_next(struct sidecar_store *store)
{
	struct sidecar_checkpoint *checkpoint = &store->checkpoint;
	uint64_t location;

	if (checkpoint->copied == checkpoint->count) {
		checkpoint->step = SIDECAR_CHECKPOINT_DATA_SYNC;
		checkpoint->ticket = sidecar_sync_want(store);
		return;
	}
	find_run(checkpoint);
	location = checkpoint->places[checkpoint->copied].location;
	checkpoint->step = SIDECAR_CHECKPOINT_COPY_READ;
	copy(store, SIDECAR_IO_READ, location * SIDECAR_BLOCK_BYTES);
}

/* From here on nobody begins to read there. */
static void leave_journal(struct sidecar_store *store)
{
	struct sidecar_checkpoint *checkpoint = &store->checkpoint;

	for (uint32_t i = 0; i < checkpoint->count; i++)
		sidecar_index_remove(&store->index, checkpoint->places[i].block,
				     checkpoint->places[i].location);
	store->phase = !store->phase;
	checkpoint->step = SIDECAR_CHECKPOINT_READERS;
}

static void write_head(struct sidecar_store *store)
{
	struct sidecar_checkpoint *checkpoint = &store->checkpoint;
	struct sidecar_head *head = &store->head;

	head->serial++;
	head->tail_sequence = checkpoint->sequence + 1;
	head->tail_block = checkpoint->next;
	head->length_bytes = store->length_bytes;
	sidecar_head_seal(head);
	checkpoint->iov = (struct iovec){head, sizeof(*head)};
	checkpoint->step = SIDECAR_CHECKPOINT_HEAD_WRITE;
	copy(store, SIDECAR_IO_WRITE,
	     (SIDECAR_HEAD_BLOCK + head->serial % 2) * SIDECAR_BLOCK_BYTES);
}

static void complete(struct sidecar_store *store)
{
	struct sidecar_checkpoint *checkpoint = &store->checkpoint;

	store->used -= checkpoint->used;
	checkpoint->failed = false;
	checkpoint->wanted = false;
	checkpoint->complete++;
	checkpoint->step = SIDECAR_CHECKPOINT_IDLE;
	store->changed = true;
}

static void consider(struct sidecar_store *store)
{
	const struct sidecar_checkpoint *checkpoint = &store->checkpoint;
	bool half_full = store->used > store->head.journal_blocks / 2;

	if (store->used > 0 && !store->broken &&
	    (checkpoint->wanted || (half_full && !checkpoint->failed)))
		begin(store);
}

/* Whether the sync that it waits for has been. */
static bool synced(const struct sidecar_store *store)
{
	return store->sync_finished >= store->checkpoint.ticket;
}

void sidecar_checkpoint_start(struct sidecar_store *store)
{
	struct sidecar_checkpoint *checkpoint = &store->checkpoint;

	if (checkpoint->step == SIDECAR_CHECKPOINT_IDLE)
		consider(store);
	if (store->under_way & (1u << SIDECAR_IO_COPY))
		return;
	if (store->broken && checkpoint->step != SIDECAR_CHECKPOINT_IDLE)
		give_up(store, store->broken);
	if (checkpoint->step == SIDECAR_CHECKPOINT_JOURNAL_SYNC &&
	    synced(store))
		copy_next(store);
	if (checkpoint->step == SIDECAR_CHECKPOINT_DATA_SYNC && synced(store))
		leave_journal(store);
	if (checkpoint->step == SIDECAR_CHECKPOINT_READERS &&
	    store->phase_readers[!store->phase] == 0)
		write_head(store);
	if (checkpoint->step == SIDECAR_CHECKPOINT_HEAD_SYNC && synced(store))
		complete(store);
}

void sidecar_checkpoint_done(struct sidecar_store *store, int result)
{
	struct sidecar_checkpoint *checkpoint = &store->checkpoint;

	if (checkpoint->step == SIDECAR_CHECKPOINT_HEAD_WRITE) {
		if (result < 0)
			sidecar_break(store, result);
		checkpoint->step = SIDECAR_CHECKPOINT_HEAD_SYNC;
		checkpoint->ticket = sidecar_sync_want(store);
		return;
	}
	if (result < 0 || store->broken) {
		/* All that it copied is in the journal yet. */
		give_up(store, result < 0 ? result : store->broken);
		return;
	}
	if (checkpoint->step == SIDECAR_CHECKPOINT_COPY_READ) {
		checkpoint->step = SIDECAR_CHECKPOINT_COPY_WRITE;
		copy(store, SIDECAR_IO_WRITE,
		     sidecar_data_offset(
			     store,
			     checkpoint->places[checkpoint->copied].block));
		return;
	}
	checkpoint->copied += checkpoint->run;
	copy_next(store);
}
