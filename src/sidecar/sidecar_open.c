// SPDX-License-Identifier: Apache-2.0
/*
 * sidecar_open.c - labels; what is in the file; the journal put in place.
 *
 * Blocks: it is called before anything else runs. All that it changes stands in
 * the journal until the head is written that says that the journal is empty, so
 * a crash anywhere in it is followed by the same again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crc32c.h"
#include "sidecar_store_private.h"

static uint64_t slot_offset(uint32_t first_block, uint64_t serial)
{
	return (first_block + serial % 2) * SIDECAR_BLOCK_BYTES;
}

/* Labels. */

/*
 * Returns: the status of both together. No crash tears a sector, so one that is
 * damaged may have been the newer one.
 */
static int either(int status, int other)
{
	if (status == -EPROTONOSUPPORT || other == -EPROTONOSUPPORT)
		return -EPROTONOSUPPORT;
	if (status == -EUCLEAN || other == -EUCLEAN)
		return -EUCLEAN;
	return status == 0 || other == 0 ? 0 : -ENODATA;
}

int sidecar_label_read(const struct sidecar_medium *medium,
		       struct sidecar_label *ret_label)
{
	uint8_t sector[SIDECAR_SECTOR_BYTES];
	struct sidecar_label labels[2] = {0};
	int found[2];

	for (uint32_t i = 0; i < 2; i++) {
		int status = medium->read(medium->owner,
					  slot_offset(SIDECAR_LABEL_BLOCK, i),
					  sector, sizeof(sector));

		if (status < 0)
			return status;
		found[i] = sidecar_label_parse(sector, &labels[i]);
	}
	*ret_label = labels[labels[1].serial > labels[0].serial];
	return either(found[0], found[1]);
}

int sidecar_label_write(const struct sidecar_medium *medium,
			const struct sidecar_label *label)
{
	struct sidecar_label next = *label;
	struct sidecar_label before = {0};
	int status = sidecar_label_read(medium, &before);

	if (status < 0 && status != -ENODATA)
		return status;
	next.serial = before.serial + 1;
	sidecar_label_seal(&next);
	status = medium->write(medium->owner,
			       slot_offset(SIDECAR_LABEL_BLOCK, next.serial),
			       &next, sizeof(next));
	return status < 0 ? status : medium->sync(medium->owner);
}

/* Heads. */

static int read_head(const struct sidecar_medium *medium,
		     struct sidecar_head *ret_head)
{
	uint8_t sector[SIDECAR_SECTOR_BYTES];
	struct sidecar_head heads[2] = {0};
	int found[2];
	int status;

	for (uint32_t i = 0; i < 2; i++) {
		status = medium->read(medium->owner,
				      slot_offset(SIDECAR_HEAD_BLOCK, i),
				      sector, sizeof(sector));
		if (status < 0)
			return status;
		found[i] = sidecar_head_parse(sector, &heads[i]);
	}
	*ret_head = heads[heads[1].serial > heads[0].serial];
	status = either(found[0], found[1]);
	/* Who has a label has a head. */
	return status == -ENODATA ? -EUCLEAN : status;
}

static int write_head(const struct sidecar_medium *medium,
		      struct sidecar_head *head)
{
	int status;

	head->serial++;
	sidecar_head_seal(head);
	status = medium->write(medium->owner,
			       slot_offset(SIDECAR_HEAD_BLOCK, head->serial),
			       head, sizeof(*head));
	return status < 0 ? status : medium->sync(medium->owner);
}

int sidecar_store_format(const struct sidecar_medium *medium,
			 const struct sidecar_store_spec *spec)
{
	static const uint8_t blank[SIDECAR_SECTOR_BYTES];
	struct sidecar_head head = {
		.incarnation = (uint64_t)1 << 32 | spec->lot,
		.tail_sequence = 1,
		.journal_blocks = spec->journal_blocks,
	};
	int status =
		medium->resize(medium->owner, (uint64_t)(SIDECAR_JOURNAL_BLOCK +
							 spec->journal_blocks) *
						      SIDECAR_BLOCK_BYTES);

	/* One that was left half made may have a newer one. */
	if (status == 0)
		status = medium->write(medium->owner,
				       slot_offset(SIDECAR_HEAD_BLOCK, 0),
				       blank, sizeof(blank));
	return status < 0 ? status : write_head(medium, &head);
}

/* The journal. */

struct scan {
	const struct sidecar_medium *medium;
	struct sidecar_store *store;
	uint32_t at; /* where the next record should be */
	uint32_t passed; /* blocks that have been looked at */
	uint64_t sequence; /* of the next record */
};

static bool data_is_right(const struct scan *scan,
			  const struct sidecar_record *record, uint32_t at,
			  int *ret_status)
{
	uint8_t *buffer = scan->store->checkpoint.buffer;

	for (uint32_t i = 0; i < record->data_blocks; i++) {
		*ret_status = scan->medium->read(
			scan->medium->owner, sidecar_journal_offset(at + 1 + i),
			buffer, SIDECAR_BLOCK_BYTES);
		if (*ret_status < 0 || crc32c(0, buffer, SIDECAR_BLOCK_BYTES) !=
					       record->check_values[i])
			return false;
	}
	return true;
}

/* Whether the next record begins at @at. *ret_status: of the medium. */
static bool look(const struct scan *scan, uint32_t at,
		 struct sidecar_record *ret_record, int *ret_status)
{
	uint8_t *buffer = scan->store->checkpoint.buffer;

	if (at >= scan->store->head.journal_blocks)
		return false;
	*ret_status = scan->medium->read(scan->medium->owner,
					 sidecar_journal_offset(at), buffer,
					 SIDECAR_BLOCK_BYTES);
	return *ret_status == 0 &&
	       sidecar_record_parse(buffer, &scan->store->head, scan->sequence,
				    at, ret_record) &&
	       data_is_right(scan, ret_record, at, ret_status);
}

/* Returns: whether the entry is possible here. */
static bool take_entry(struct sidecar_store *store,
		       const struct sidecar_entry *entry, uint32_t location)
{
	uint64_t blocks = store->length_bytes / SIDECAR_BLOCK_BYTES;

	if (entry->type == SIDECAR_ENTRY_RESIZE) {
		/* It has the journal for itself. */
		store->length_bytes = entry->first * SIDECAR_BLOCK_BYTES;
		return store->index.count == 0;
	}
	if (entry->first + entry->count > blocks)
		return false;
	for (uint32_t i = 0; i < entry->count; i++)
		sidecar_index_put(&store->index, (uint32_t)entry->first + i,
				  location + i);
	return true;
}

static int take_record(struct scan *scan, const struct sidecar_record *record,
		       uint32_t at)
{
	uint32_t location = SIDECAR_JOURNAL_BLOCK + at + 1;

	for (uint32_t i = 0; i < record->entry_count; i++) {
		if (!take_entry(scan->store, &record->entries[i], location))
			return -EUCLEAN;
		location += record->entries[i].count;
	}
	scan->at = at + 1 + record->data_blocks;
	scan->passed += 1 + record->data_blocks;
	scan->sequence++;
	return 0;
}

/* Where it ends isn't damage: a crash cut it off there. */
static int scan_journal(struct scan *scan)
{
	struct sidecar_record record;
	int status = 0;

	while (scan->passed < scan->store->head.journal_blocks) {
		uint32_t at = scan->at;
		bool found = look(scan, at, &record, &status);

		if (!found && status == 0 && at > 0) {
			at = 0;
			found = look(scan, at, &record, &status);
		}
		if (!found)
			break;
		status = take_record(scan, &record, at);
		if (status < 0)
			break;
	}
	return status;
}

static int copy_all(struct sidecar_store *store,
		    const struct sidecar_medium *medium)
{
	struct sidecar_checkpoint *checkpoint = &store->checkpoint;
	int status = medium->resize(
		medium->owner,
		sidecar_data_offset(store,
				    store->length_bytes / SIDECAR_BLOCK_BYTES));

	sidecar_index_list(&store->index, checkpoint->places);
	for (uint32_t i = 0; i < store->index.count && status == 0; i++) {
		const struct sidecar_place *place = &checkpoint->places[i];

		status = medium->read(medium->owner,
				      (uint64_t)place->location *
					      SIDECAR_BLOCK_BYTES,
				      checkpoint->buffer, SIDECAR_BLOCK_BYTES);
		if (status == 0)
			status = medium->write(
				medium->owner,
				sidecar_data_offset(store, place->block),
				checkpoint->buffer, SIDECAR_BLOCK_BYTES);
	}
	return status < 0 ? status : medium->sync(medium->owner);
}

/*
 * What the scan believed may be in memory only, and nothing that isn't durable
 * may be copied.
 */
static int empty_journal(struct sidecar_store *store,
			 const struct sidecar_medium *medium,
			 uint64_t next_sequence)
{
	struct sidecar_head *head = &store->head;
	int status = medium->sync(medium->owner);

	if (status == 0)
		status = copy_all(store, medium);
	if (status < 0)
		return status;
	for (uint32_t i = store->index.count; i > 0; i--)
		sidecar_index_remove(&store->index,
				     store->checkpoint.places[i - 1].block,
				     store->checkpoint.places[i - 1].location);
	head->incarnation =
		((head->incarnation >> 32) + 1) << 32 | store->spec.lot;
	head->tail_sequence = next_sequence;
	head->tail_block = 0;
	head->length_bytes = store->length_bytes;
	return write_head(medium, head);
}

/* What no crash of ours leaves. */
static bool too_many(const struct sidecar_store *store)
{
	return store->head.serial >= SIDECAR_NUMBER_MAX / 2 ||
	       store->head.tail_sequence >= SIDECAR_NUMBER_MAX / 2;
}

static int load(struct sidecar_store *store,
		const struct sidecar_medium *medium)
{
	struct scan scan = {
		.medium = medium,
		.store = store,
		.at = store->head.tail_block,
		.sequence = store->head.tail_sequence,
	};
	int status;

	store->length_bytes = store->head.length_bytes;
	status = too_many(store) ? -EUCLEAN : scan_journal(&scan);
	if (status == 0 && store->spec.writable)
		status = empty_journal(store, medium, scan.sequence);
	store->planned_bytes = store->length_bytes;
	store->completed = scan.sequence - 1;
	store->durable = store->completed;
	return status;
}

static int allocate(struct sidecar_store *store)
{
	uint32_t blocks = store->head.journal_blocks;
	struct sidecar_checkpoint *checkpoint = &store->checkpoint;

	if (sidecar_index_init(&store->index, blocks) < 0)
		return -ENOMEM;
	checkpoint->places = calloc(blocks, sizeof(*checkpoint->places));
	checkpoint->buffer =
		malloc((size_t)SIDECAR_COPY_BLOCKS * SIDECAR_BLOCK_BYTES);
	return checkpoint->places && checkpoint->buffer ? 0 : -ENOMEM;
}

int sidecar_store_open(const struct sidecar_medium *medium,
		       const struct sidecar_store_spec *spec,
		       const struct sidecar_store_host *host,
		       struct sidecar_store **ret_store)
{
	struct sidecar_store *store = calloc(1, sizeof(*store));
	int status;

	if (!store)
		return -ENOMEM;
	store->spec = *spec;
	store->host = *host;
	status = read_head(medium, &store->head);
	if (status == 0)
		status = allocate(store);
	if (status == 0)
		status = load(store, medium);
	if (status < 0) {
		sidecar_store_close(store);
		return status;
	}
	*ret_store = store;
	return 0;
}

void sidecar_store_close(struct sidecar_store *store)
{
	if (!store)
		return;
	sidecar_index_release(&store->index);
	free(store->checkpoint.places);
	free(store->checkpoint.buffer);
	free(store);
}
