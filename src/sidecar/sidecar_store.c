// SPDX-License-Identifier: Apache-2.0
/*
 * sidecar_store.c - requests come in, syncs are shared, ends are told.
 *
 * done() may submit the next request, so it is called when the store is in
 * order again, and a request that is submitted inside it only takes its place.
 */
#include "sidecar_store.h"

#include <assert.h>
#include <errno.h>

#include "sidecar_store_private.h"

void sidecar_list_add(struct sidecar_list *list,
		      struct sidecar_request *request)
{
	request->next = NULL;
	if (list->first)
		list->last->next = request;
	else
		list->first = request;
	list->last = request;
}

struct sidecar_request *sidecar_list_take(struct sidecar_list *list)
{
	struct sidecar_request *request = list->first;

	if (request)
		list->first = request->next;
	return request;
}

void sidecar_finish(struct sidecar_store *store,
		    struct sidecar_request *request, int result)
{
	request->result = result;
	sidecar_list_add(&store->ended, request);
}

void sidecar_finish_all(struct sidecar_store *store, struct sidecar_list *list,
			int result)
{
	struct sidecar_request *request;

	while ((request = sidecar_list_take(list)) != NULL)
		sidecar_finish(store, request, result);
}

uint64_t sidecar_journal_offset(uint32_t block)
{
	return (uint64_t)(SIDECAR_JOURNAL_BLOCK + block) * SIDECAR_BLOCK_BYTES;
}

uint64_t sidecar_data_offset(const struct sidecar_store *store, uint64_t block)
{
	return (SIDECAR_JOURNAL_BLOCK + store->head.journal_blocks + block) *
	       SIDECAR_BLOCK_BYTES;
}

void sidecar_start(struct sidecar_store *store, uint32_t number,
		   const struct sidecar_io *io)
{
	assert(!(store->under_way & (1u << number)));
	store->under_way |= 1u << number;
	store->ios[number] = *io;
	store->ios[number].number = number;
	store->host.start(store->host.owner, &store->ios[number]);
}

/* Syncs: one at a time, and one for all who want it. */

uint64_t sidecar_sync_want(struct sidecar_store *store)
{
	store->sync_wanted = store->sync_started + 1;
	return store->sync_wanted;
}

static void start_sync(struct sidecar_store *store)
{
	const struct sidecar_io io = {.kind = SIDECAR_IO_SYNC};

	if (store->sync_wanted <= store->sync_started || store->broken ||
	    store->under_way & (1u << SIDECAR_IO_SYNCING))
		return;
	store->sync_started++;
	store->sync_covers = store->completed;
	sidecar_start(store, SIDECAR_IO_SYNCING, &io);
}

static void on_synced(struct sidecar_store *store, int result)
{
	if (result < 0) {
		sidecar_break(store, result);
		return;
	}
	store->sync_finished = store->sync_started;
	store->durable = store->sync_covers;
	/* Tickets rise in the order in which they were given. */
	while (store->flushes.first &&
	       store->flushes.first->ticket <= store->sync_finished)
		sidecar_finish(store, sidecar_list_take(&store->flushes), 0);
}

void sidecar_break(struct sidecar_store *store, int error)
{
	if (store->broken == 0)
		store->broken = error;
	sidecar_finish_all(store, &store->flushes, store->broken);
}

/* Requests. */

static bool is_whole(uint64_t bytes)
{
	return bytes % SIDECAR_BLOCK_BYTES == 0;
}

static bool group_is_open(const struct sidecar_store *store)
{
	return store->queue.first && store->queue.last->more;
}

static int check_range(const struct sidecar_request *request,
		       uint64_t length_bytes)
{
	if (request->length == 0 ||
	    request->length > SIDECAR_STORE_LENGTH_MAX ||
	    request->iov_count > SIDECAR_READ_IOV_MAX)
		return -EINVAL;
	return request->offset > length_bytes ||
			       request->length > length_bytes - request->offset
		       ? -EINVAL
		       : 0;
}

static int check(const struct sidecar_store *store,
		 const struct sidecar_request *request)
{
	if (!is_whole(request->offset) || !is_whole(request->length))
		return -EINVAL;
	if (request->kind == SIDECAR_READ)
		return check_range(request, store->length_bytes);
	if (!store->spec.writable)
		return -EROFS;
	if (request->kind == SIDECAR_WRITE)
		return check_range(request, store->planned_bytes);
	/* A RESIZE would stand inside of the group. */
	if (group_is_open(store))
		return -EINVAL;
	return request->length > store->spec.length_bytes_max ? -EFBIG : 0;
}

/* One write of a group that can't be done takes the others with it. */
static void queue(struct sidecar_store *store, struct sidecar_request *request,
		  int refusal)
{
	bool grouped = request->kind == SIDECAR_WRITE &&
		       (request->more || group_is_open(store));

	if (refusal < 0 && !grouped) {
		sidecar_finish(store, request, refusal);
		return;
	}
	if (request->kind == SIDECAR_RESIZE)
		store->planned_bytes = request->length;
	request->result = refusal;
	sidecar_list_add(&store->queue, request);
}

static void flush(struct sidecar_store *store, struct sidecar_request *request)
{
	if (store->broken || store->durable >= store->completed) {
		sidecar_finish(store, request, store->broken);
		return;
	}
	request->ticket = sidecar_sync_want(store);
	sidecar_list_add(&store->flushes, request);
}

static void take(struct sidecar_store *store, struct sidecar_request *request)
{
	int status;

	switch (request->kind) {
	case SIDECAR_READ:
		status = check(store, request);
		if (status < 0)
			sidecar_finish(store, request, status);
		else
			sidecar_list_add(&store->reads, request);
		return;
	case SIDECAR_WRITE:
	case SIDECAR_RESIZE:
		queue(store, request, check(store, request));
		return;
	case SIDECAR_FLUSH:
		flush(store, request);
		return;
	}
}

/* Returns: whether any was told. */
static bool tell(struct sidecar_store *store)
{
	struct sidecar_request *request;
	bool told = false;

	while ((request = sidecar_list_take(&store->ended)) != NULL) {
		told = true;
		request->done(request, request->result);
	}
	return told;
}

static void advance(struct sidecar_store *store)
{
	if (store->advancing)
		return;
	store->advancing = true;
	do {
		store->changed = false;
		sidecar_read_start(store);
		sidecar_append_start(store);
		sidecar_checkpoint_start(store);
		start_sync(store);
	} while (tell(store) || store->changed);
	store->advancing = false;
}

void sidecar_store_submit(struct sidecar_store *store,
			  struct sidecar_request *request)
{
	take(store, request);
	advance(store);
}

void sidecar_store_io_done(struct sidecar_store *store, uint32_t number,
			   int result)
{
	assert(store->under_way & (1u << number));
	store->under_way &= ~(1u << number);
	if (number < SIDECAR_STORE_READS_MAX)
		sidecar_read_done(store, number, result);
	else if (number == SIDECAR_IO_APPEND)
		sidecar_append_done(store, result);
	else if (number == SIDECAR_IO_SYNCING)
		on_synced(store, result);
	else
		sidecar_checkpoint_done(store, result);
	advance(store);
}

bool sidecar_store_quiet(const struct sidecar_store *store)
{
	return store->under_way == 0 && !store->queue.first &&
	       !store->reads.first && !store->flushes.first &&
	       !store->ended.first && !store->advancing;
}

void sidecar_store_figures(const struct sidecar_store *store,
			   struct sidecar_store_figures *ret_figures)
{
	*ret_figures = (struct sidecar_store_figures){
		.length_bytes = store->length_bytes,
		.journal_bytes = (uint64_t)store->used * SIDECAR_BLOCK_BYTES,
		.records = store->records,
		.checkpoints = store->checkpoint.complete,
		.failed = store->broken,
	};
}
