// SPDX-License-Identifier: Apache-2.0
/*
 * medium.c - see medium.h.
 */
#include "medium.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR_BYTES 512u

static void *allocate(size_t bytes)
{
	void *memory;

	assert(bytes > 0);
	memory = calloc(1, bytes);
	assert(memory);
	return memory;
}

void medium_init(struct medium *medium, uint64_t bytes)
{
	*medium = (struct medium){
		.bytes = bytes,
		.visible = allocate(bytes),
		.durable = allocate(bytes),
	};
}

static void forget_writes(struct medium *medium, size_t count)
{
	if (count == 0)
		return;
	for (size_t i = 0; i < count; i++)
		free(medium->writes[i].data);
	medium->write_count -= count;
	memmove(medium->writes, medium->writes + count,
		medium->write_count * sizeof(*medium->writes));
}

void medium_free(struct medium *medium)
{
	forget_writes(medium, medium->write_count);
	free(medium->writes);
	free(medium->visible);
	free(medium->durable);
	*medium = (struct medium){0};
}

static struct medium_write *add_write(struct medium *medium, uint64_t offset,
				      uint64_t bytes)
{
	struct medium_write *write;

	assert(offset + bytes <= medium->bytes);
	if (medium->write_count == medium->write_capacity) {
		medium->write_capacity = medium->write_capacity * 2 + 16;
		medium->writes = realloc(medium->writes,
					 medium->write_capacity *
						 sizeof(*medium->writes));
		assert(medium->writes);
	}
	write = &medium->writes[medium->write_count++];
	*write = (struct medium_write){
		.offset = offset,
		.bytes = bytes,
		.data = allocate(bytes),
	};
	return write;
}

void medium_copy(struct medium *to, const struct medium *from)
{
	assert(to != from && to->bytes == from->bytes);
	forget_writes(to, to->write_count);
	memcpy(to->visible, from->visible, from->bytes);
	memcpy(to->durable, from->durable, from->bytes);
	for (size_t i = 0; i < from->write_count; i++) {
		const struct medium_write *write = &from->writes[i];

		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): not @to's. */
		memcpy(add_write(to, write->offset, write->bytes)->data,
		       write->data, write->bytes);
	}
}

void medium_read(const struct medium *medium, uint64_t offset,
		 const struct iovec *iov, uint32_t iov_count)
{
	for (uint32_t i = 0; i < iov_count; i++) {
		assert(offset + iov[i].iov_len <= medium->bytes);
		memcpy(iov[i].iov_base, medium->visible + offset,
		       iov[i].iov_len);
		offset += iov[i].iov_len;
	}
}

static uint64_t iov_bytes(const struct iovec *iov, uint32_t iov_count)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < iov_count; i++)
		bytes += iov[i].iov_len;
	return bytes;
}

static void gather(uint8_t *to, const struct iovec *iov, uint32_t iov_count)
{
	for (uint32_t i = 0; i < iov_count; i++) {
		memcpy(to, iov[i].iov_base, iov[i].iov_len);
		to += iov[i].iov_len;
	}
}

void medium_write(struct medium *medium, uint64_t offset,
		  const struct iovec *iov, uint32_t iov_count)
{
	struct medium_write *write =
		add_write(medium, offset, iov_bytes(iov, iov_count));

	gather(write->data, iov, iov_count);
	memcpy(medium->visible + offset, write->data, write->bytes);
}

void medium_flush(struct medium *medium, size_t count)
{
	assert(count <= medium->write_count);
	for (size_t i = 0; i < count; i++)
		memcpy(medium->durable + medium->writes[i].offset,
		       medium->writes[i].data, medium->writes[i].bytes);
	forget_writes(medium, count);
}

void medium_flush_failed(struct medium *medium, struct random *random,
			 size_t count)
{
	assert(count <= medium->write_count);
	for (size_t i = 0; i < count; i++) {
		const struct medium_write *write = &medium->writes[i];

		if (random_percent(random, 50))
			memcpy(medium->durable + write->offset, write->data,
			       write->bytes);
	}
	forget_writes(medium, count);
}

/* Which sectors of a write arrive: all, a beginning, or any. */
static void apply_torn(uint8_t *image, struct random *random,
		       const struct medium_write *write)
{
	uint64_t sectors = write->bytes / SECTOR_BYTES;
	uint64_t kind = random_below(random, 3);
	uint64_t prefix = random_below(random, sectors + 1);

	for (uint64_t i = 0; i < sectors; i++) {
		if ((kind == 1 && i >= prefix) ||
		    (kind == 2 && random_percent(random, 50)))
			continue;
		memcpy(image + write->offset + i * SECTOR_BYTES,
		       write->data + i * SECTOR_BYTES, SECTOR_BYTES);
	}
}

void medium_write_torn(struct medium *medium, struct random *random,
		       uint64_t offset, const struct iovec *iov,
		       uint32_t iov_count)
{
	struct medium_write write = {
		.offset = offset,
		.bytes = iov_bytes(iov, iov_count),
	};

	write.data = allocate(write.bytes);
	gather(write.data, iov, iov_count);
	apply_torn(medium->visible, random, &write);
	/* What arrived is a finished write of its own. */
	memcpy(write.data, medium->visible + offset, write.bytes);
	memcpy(add_write(medium, offset, write.bytes)->data, write.data,
	       write.bytes);
	free(write.data);
}

/*
 * Shapes of what survives: all up to a point, all but one, only one, a random
 * part, nothing, everything.
 */
void medium_power_failure(struct medium *medium, struct random *random)
{
	uint64_t shape = random_below(random, 6);
	size_t count = medium->write_count;
	size_t chosen = count ? random_below(random, count) : 0;

	for (size_t i = 0; i < count; i++) {
		const struct medium_write *write = &medium->writes[i];
		bool keep = (shape == 0 && i < chosen) ||
			    (shape == 1 && i != chosen) ||
			    (shape == 2 && i == chosen) ||
			    (shape == 3 && random_percent(random, 50)) ||
			    shape == 5;

		if (keep)
			memcpy(medium->durable + write->offset, write->data,
			       write->bytes);
		else if (random_percent(random, 30))
			apply_torn(medium->durable, random, write);
	}
	forget_writes(medium, count);
	memcpy(medium->visible, medium->durable, medium->bytes);
}
