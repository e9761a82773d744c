// SPDX-License-Identifier: Apache-2.0
/*
 * medium.c - see medium.h.
 */
#include "medium.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SECTORS 512u
/* More than a medium has ten times over: most of it is history. */
#define COMPACT_SECTORS 65536u

struct medium_chunk {
	struct medium_sector sectors[CHUNK_SECTORS];
};

/* Of a multiply-xor hash: odd, its bits without a pattern. */
#define FACTOR 0xff51afd7ed558ccdull

static uint64_t mix(uint64_t number)
{
	number = (number ^ (number >> 33)) * FACTOR;
	number = (number ^ (number >> 33)) * 0xc4ceb9fe1a85ec53ull;
	return number ^ (number >> 33);
}

static uint64_t content_hash(const uint8_t *bytes)
{
	uint64_t lanes[4] = {1, 2, 3, 4};

	for (uint32_t at = 0; at < MEDIUM_SECTOR_BYTES; at += sizeof(lanes)) {
		uint64_t words[4];

		memcpy(words, bytes + at, sizeof(words));
		for (uint32_t i = 0; i < 4; i++)
			lanes[i] = (lanes[i] ^ words[i]) * FACTOR +
				   (lanes[i] >> 29);
	}
	return mix(lanes[0]) + mix(lanes[1]) * 3 + mix(lanes[2]) * 5 +
	       mix(lanes[3]) * 7;
}

/* What a sector contributes to the hash of an image. */
static uint64_t share(uint64_t at, const struct medium_sector *sector)
{
	return mix(sector->hash + at * FACTOR);
}

static void image_set(struct medium_image *image, uint64_t at,
		      struct medium_sector *sector)
{
	image->hash += share(at, sector) - share(at, image->sectors[at]);
	image->sectors[at] = sector;
}

static struct medium_sector *sector_new(struct medium_store *store)
{
	uint32_t chunk = store->used / CHUNK_SECTORS;

	if (chunk == store->chunk_count) {
		store->chunks =
			realloc(store->chunks,
				(chunk + 1) * sizeof(struct medium_chunk *));
		assert(store->chunks);
		store->chunks[chunk] = malloc(sizeof(struct medium_chunk));
		assert(store->chunks[chunk]);
		store->chunk_count++;
	}
	return &store->chunks[chunk]->sectors[store->used++ % CHUNK_SECTORS];
}

static void sector_seal(struct medium_sector *sector)
{
	sector->hash = content_hash(sector->bytes);
	sector->moved = NULL;
}

static void store_free(struct medium_store *store)
{
	for (uint32_t i = 0; i < store->chunk_count; i++)
		free(store->chunks[i]);
	free(store->chunks);
	*store = (struct medium_store){0};
}

static void image_init(struct medium_image *image, uint64_t count,
		       struct medium_sector *blank)
{
	image->sectors = calloc(count, sizeof(struct medium_sector *));
	assert(image->sectors);
	image->hash = 0;
	for (uint64_t i = 0; i < count; i++) {
		image->sectors[i] = blank;
		image->hash += share(i, blank);
	}
}

void medium_init(struct medium *medium, uint64_t bytes)
{
	struct medium_sector *blank;

	*medium = (struct medium){
		.sector_count = bytes / MEDIUM_SECTOR_BYTES,
	};
	blank = sector_new(&medium->store);
	memset(blank->bytes, 0, sizeof(blank->bytes));
	sector_seal(blank);
	image_init(&medium->visible, medium->sector_count, blank);
	image_init(&medium->durable, medium->sector_count, blank);
}

void medium_free(struct medium *medium)
{
	store_free(&medium->store);
	free(medium->visible.sectors);
	free(medium->durable.sectors);
	free(medium->writes);
	free(medium->pending);
	*medium = (struct medium){0};
}

static void forget_writes(struct medium *medium, size_t count)
{
	size_t at = count < medium->write_count ? medium->writes[count].at
						: medium->pending_count;

	if (count == 0)
		return;
	medium->write_count -= count;
	medium->pending_count -= at;
	memmove(medium->writes, medium->writes + count,
		medium->write_count * sizeof(*medium->writes));
	memmove(medium->pending, medium->pending + at,
		medium->pending_count * sizeof(struct medium_sector *));
	for (size_t i = 0; i < medium->write_count; i++)
		medium->writes[i].at -= at;
}

static void reserve(struct medium *medium, size_t writes, size_t pending)
{
	if (writes > medium->write_capacity) {
		medium->write_capacity = writes * 2 + 16;
		medium->writes = realloc(medium->writes,
					 medium->write_capacity *
						 sizeof(*medium->writes));
		assert(medium->writes);
	}
	if (pending > medium->pending_capacity) {
		medium->pending_capacity = pending * 2 + 256;
		medium->pending =
			realloc(medium->pending,
				medium->pending_capacity *
					sizeof(struct medium_sector *));
		assert(medium->pending);
	}
}

void medium_copy(struct medium *to, const struct medium *from)
{
	size_t bytes = from->sector_count * sizeof(struct medium_sector *);

	assert(to != from && to->sector_count == from->sector_count);
	to->store.used = 0;
	memcpy(to->visible.sectors, from->visible.sectors, bytes);
	memcpy(to->durable.sectors, from->durable.sectors, bytes);
	to->visible.hash = from->visible.hash;
	to->durable.hash = from->durable.hash;
	reserve(to, from->write_count, from->pending_count);
	to->write_count = from->write_count;
	to->pending_count = from->pending_count;
	if (from->write_count == 0)
		return;
	memcpy(to->writes, from->writes,
	       from->write_count * sizeof(*from->writes));
	memcpy(to->pending, from->pending,
	       from->pending_count * sizeof(struct medium_sector *));
}

static void own_all(struct medium_store *store, struct medium_sector **sectors,
		    uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		struct medium_sector *own = sector_new(store);

		memcpy(own, sectors[i], sizeof(*own));
		own->moved = NULL;
		sectors[i] = own;
	}
}

void medium_own(struct medium *medium)
{
	struct medium_store store = {0};

	own_all(&store, medium->visible.sectors, medium->sector_count);
	own_all(&store, medium->durable.sectors, medium->sector_count);
	own_all(&store, medium->pending, medium->pending_count);
	store_free(&medium->store);
	medium->store = store;
}

static void move_all(struct medium_store *store, struct medium_sector **sectors,
		     uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		struct medium_sector *sector = sectors[i];

		if (!sector->moved) {
			sector->moved = sector_new(store);
			memcpy(sector->moved, sector, sizeof(*sector));
			sector->moved->moved = NULL;
		}
		sectors[i] = sector->moved;
	}
}

void medium_compact(struct medium *medium)
{
	struct medium_store store = {0};

	if (medium->store.used < COMPACT_SECTORS)
		return;
	move_all(&store, medium->visible.sectors, medium->sector_count);
	move_all(&store, medium->durable.sectors, medium->sector_count);
	move_all(&store, medium->pending, medium->pending_count);
	store_free(&medium->store);
	medium->store = store;
}

/* The rest of one sector, @most at most. Returns: how many bytes that was. */
static uint64_t read_sector(const struct medium *medium, uint64_t offset,
			    uint8_t *to, uint64_t most)
{
	uint64_t at = offset / MEDIUM_SECTOR_BYTES;
	uint64_t in = offset % MEDIUM_SECTOR_BYTES;
	uint64_t bytes = MEDIUM_SECTOR_BYTES - in;

	assert(at < medium->sector_count);
	if (bytes > most)
		bytes = most;
	memcpy(to, medium->visible.sectors[at]->bytes + in, bytes);
	return bytes;
}

void medium_read(const struct medium *medium, uint64_t offset,
		 const struct iovec *iov, uint32_t iov_count)
{
	for (uint32_t i = 0; i < iov_count; i++) {
		uint8_t *to = iov[i].iov_base;
		uint8_t *end = to + iov[i].iov_len;

		while (to < end) {
			uint64_t bytes = read_sector(medium, offset, to,
						     (uint64_t)(end - to));

			to += bytes;
			offset += bytes;
		}
	}
}

static uint64_t iov_bytes(const struct iovec *iov, uint32_t iov_count)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < iov_count; i++)
		bytes += iov[i].iov_len;
	return bytes;
}

/* A write with new sectors, to be filled and sealed. */
static struct medium_write *add_write(struct medium *medium, uint64_t offset,
				      uint64_t bytes)
{
	struct medium_write *write;

	assert(offset % MEDIUM_SECTOR_BYTES == 0 &&
	       bytes % MEDIUM_SECTOR_BYTES == 0 &&
	       (offset + bytes) / MEDIUM_SECTOR_BYTES <= medium->sector_count);
	reserve(medium, medium->write_count + 1,
		medium->pending_count + bytes / MEDIUM_SECTOR_BYTES);
	write = &medium->writes[medium->write_count++];
	*write = (struct medium_write){
		.first = offset / MEDIUM_SECTOR_BYTES,
		.count = (uint32_t)(bytes / MEDIUM_SECTOR_BYTES),
		.at = medium->pending_count,
	};
	for (uint32_t i = 0; i < write->count; i++)
		medium->pending[medium->pending_count++] =
			sector_new(&medium->store);
	return write;
}

static void gather(struct medium *medium, const struct medium_write *write,
		   const struct iovec *iov, uint32_t iov_count)
{
	struct medium_sector **sectors = medium->pending + write->at;
	uint64_t at = 0;

	for (uint32_t i = 0; i < iov_count; i++) {
		const uint8_t *from = iov[i].iov_base;
		uint64_t left = iov[i].iov_len;

		while (left > 0) {
			uint64_t in = at % MEDIUM_SECTOR_BYTES;
			uint64_t bytes = MEDIUM_SECTOR_BYTES - in;

			if (bytes > left)
				bytes = left;
			memcpy(sectors[at / MEDIUM_SECTOR_BYTES]->bytes + in,
			       from, bytes);
			from += bytes;
			at += bytes;
			left -= bytes;
		}
	}
	for (uint32_t i = 0; i < write->count; i++)
		sector_seal(sectors[i]);
}

static void arrive(struct medium *medium, struct medium_image *image,
		   const struct medium_write *write, uint32_t sectors)
{
	for (uint32_t i = 0; i < sectors; i++)
		image_set(image, write->first + i,
			  medium->pending[write->at + i]);
}

void medium_write(struct medium *medium, uint64_t offset,
		  const struct iovec *iov, uint32_t iov_count)
{
	struct medium_write *write =
		add_write(medium, offset, iov_bytes(iov, iov_count));

	gather(medium, write, iov, iov_count);
	arrive(medium, &medium->visible, write, write->count);
}

void medium_flush(struct medium *medium, size_t count)
{
	assert(count <= medium->write_count);
	for (size_t i = 0; i < count; i++)
		arrive(medium, &medium->durable, &medium->writes[i],
		       medium->writes[i].count);
	forget_writes(medium, count);
}

void medium_flush_failed(struct medium *medium, struct random *random,
			 size_t count)
{
	assert(count <= medium->write_count);
	for (size_t i = 0; i < count; i++) {
		if (random_percent(random, 50))
			arrive(medium, &medium->durable, &medium->writes[i],
			       medium->writes[i].count);
	}
	forget_writes(medium, count);
}

/* Which sectors of a write arrive: all, a beginning, or any. */
static void arrive_torn(struct medium *medium, struct medium_image *image,
			const struct medium_write *write, struct random *random)
{
	uint64_t kind = random_below(random, 3);
	uint64_t prefix = random_below(random, write->count + 1ull);

	for (uint32_t i = 0; i < write->count; i++) {
		if ((kind == 1 && i >= prefix) ||
		    (kind == 2 && random_percent(random, 50)))
			continue;
		image_set(image, write->first + i,
			  medium->pending[write->at + i]);
	}
}

void medium_write_torn(struct medium *medium, struct random *random,
		       uint64_t offset, const struct iovec *iov,
		       uint32_t iov_count)
{
	struct medium_write *write =
		add_write(medium, offset, iov_bytes(iov, iov_count));

	gather(medium, write, iov, iov_count);
	arrive_torn(medium, &medium->visible, write, random);
	/* What arrived is a finished write of its own. */
	for (uint32_t i = 0; i < write->count; i++)
		medium->pending[write->at + i] =
			medium->visible.sectors[write->first + i];
}

const uint8_t *medium_visible(const struct medium *medium, uint64_t sector)
{
	return medium->visible.sectors[sector]->bytes;
}

const uint8_t *medium_durable(const struct medium *medium, uint64_t sector)
{
	return medium->durable.sectors[sector]->bytes;
}

void medium_put(struct medium *medium, uint64_t sector, const void *bytes,
		uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		struct medium_sector *put = sector_new(&medium->store);

		memcpy(put->bytes,
		       (const uint8_t *)bytes + i * MEDIUM_SECTOR_BYTES,
		       MEDIUM_SECTOR_BYTES);
		sector_seal(put);
		image_set(&medium->visible, sector + i, put);
		image_set(&medium->durable, sector + i, put);
	}
}

size_t medium_fates(const struct medium *medium)
{
	size_t count = medium->write_count;

	if (count == 0)
		return 1;
	/* Nothing and everything are the ends of the prefixes. */
	return medium->pending_count + 1 + (count - 1) + (count - 1);
}

struct medium_fate medium_fate(const struct medium *medium, size_t number)
{
	size_t count = medium->write_count;

	if (number >= medium->pending_count + 1) {
		size_t rest = number - medium->pending_count - 1;

		return rest < count - 1
			       ? (struct medium_fate){.kind = MEDIUM_ALL_BUT,
						      .write = rest}
			       : (struct medium_fate){.kind = MEDIUM_ONLY,
						      .write =
							      rest - count + 2};
	}
	for (size_t i = 0; i < count; i++) {
		const struct medium_write *write = &medium->writes[i];

		if (number < write->at + write->count)
			return (struct medium_fate){
				.kind = MEDIUM_PREFIX,
				.sectors = (uint32_t)(number - write->at),
				.write = i,
			};
	}
	return (struct medium_fate){.kind = MEDIUM_EVERYTHING};
}

struct medium_fate medium_fate_draw(const struct medium *medium,
				    struct random *random)
{
	uint64_t shape = random_below(random, 8);

	if (shape < 4)
		return (struct medium_fate){.kind = MEDIUM_RANDOM};
	if (shape < 6)
		return medium_fate(medium,
				   random_below(random, medium_fates(medium)));
	return (struct medium_fate){.kind = shape == 6 ? MEDIUM_NOTHING
						       : MEDIUM_EVERYTHING};
}

static uint32_t kept_sectors(const struct medium_write *write, size_t number,
			     struct medium_fate fate)
{
	switch (fate.kind) {
	case MEDIUM_NOTHING:
	case MEDIUM_RANDOM:
		return 0;
	case MEDIUM_EVERYTHING:
		return write->count;
	case MEDIUM_PREFIX:
		if (number == fate.write)
			return fate.sectors;
		return number < fate.write ? write->count : 0;
	case MEDIUM_ALL_BUT:
		return number == fate.write ? 0 : write->count;
	case MEDIUM_ONLY:
		return number == fate.write ? write->count : 0;
	}
	__builtin_unreachable();
}

void medium_power_failure(struct medium *medium, struct medium_fate fate,
			  struct random *random)
{
	for (size_t i = 0; i < medium->write_count; i++) {
		const struct medium_write *write = &medium->writes[i];

		if (fate.kind != MEDIUM_RANDOM || random_percent(random, 50)) {
			arrive(medium, &medium->durable, write,
			       fate.kind == MEDIUM_RANDOM
				       ? write->count
				       : kept_sectors(write, i, fate));
		} else if (random_percent(random, 30)) {
			arrive_torn(medium, &medium->durable, write, random);
		}
	}
	forget_writes(medium, medium->write_count);
	memcpy(medium->visible.sectors, medium->durable.sectors,
	       medium->sector_count * sizeof(struct medium_sector *));
	medium->visible.hash = medium->durable.hash;
}
