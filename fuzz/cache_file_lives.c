/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_file_lives.c - see cache_file_lives.h. Hosts an engine in memory, in
 * virtual time.
 */
#include "cache_file_lives.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define IOS_MAX 1000000u

struct host host;
static uint8_t bases[BASES][FILE_BYTES];

static void transfer(uint8_t *medium, uint64_t size, const struct engine_io *io,
		     bool write)
{
	uint64_t at = io->offset;

	assert(io->offset <= size && io->length <= size - io->offset);
	for (uint32_t i = 0; i < io->iov_count; i++) {
		const struct iovec *part = &io->iov[i];

		assert(part->iov_len <= io->offset + io->length - at);
		if (write)
			memcpy(medium + at, part->iov_base, part->iov_len);
		else
			memcpy(part->iov_base, medium + at, part->iov_len);
		at += part->iov_len;
	}
	assert(at == io->offset + io->length);
}

static void end_io(struct engine_io *io)
{
	switch (io->type) {
	case ENGINE_SSD_READ:
	case ENGINE_SSD_WRITE:
		transfer(host.file, FILE_BYTES, io,
			 io->type == ENGINE_SSD_WRITE);
		break;
	case ENGINE_BELOW_READ:
	case ENGINE_BELOW_WRITE:
		transfer(host.disk, DISK_BYTES, io,
			 io->type == ENGINE_BELOW_WRITE);
		break;
	case ENGINE_BELOW_ZERO:
		assert(io->length <= DISK_BYTES &&
		       io->offset <= DISK_BYTES - io->length);
		memset(host.disk + io->offset, 0, io->length);
		break;
	case ENGINE_SSD_FLUSH:
	case ENGINE_BELOW_FLUSH:
	case ENGINE_VOID:
		break;
	}
	engine_io_done(host.engine, io, 0);
}

/* Goes on until there is nothing to do; time passes if that helps. */
static void run(bool wait)
{
	for (uint32_t turn = 0;; turn++) {
		struct engine_request *request;
		struct engine_io *io;
		uint64_t next;

		assert(turn < IOS_MAX);
		engine_poll(host.engine, host.now_ns);
		while ((request = engine_next_completed(host.engine)) != NULL)
			host.completed = true;
		if ((io = engine_next_io(host.engine)) != NULL) {
			end_io(io);
			continue;
		}
		next = engine_next_poll_ns(host.engine);
		if (!wait || host.completed || next == 0)
			return;
		host.now_ns = next > host.now_ns ? next : host.now_ns + 1;
	}
}

static void must(int status)
{
	assert(status == 0);
}

void lives_open(bool may_format)
{
	struct engine_config config = {
		.uuid = {1, 2, 3},
		.disk_bytes = DISK_BYTES,
		.file_bytes = FILE_BYTES,
		.epoch = 1,
		.max_dirty_age_ns = 1000000000,
		.mode = ENGINE_WRITE_BACK,
		.segment_blocks = SEGMENT_BLOCKS,
		.records_in_flight_max = 2,
		.dirty_limit_percent = 70,
		.summaries = true,
		.may_format = may_format,
	};
	struct error error = {0};

	if (!host.memory.own) {
		host.memory_bytes = engine_memory_bytes(&config);
		host.memory.own =
			aligned_alloc(LOG_BLOCK_BYTES, host.memory_bytes);
		host.kept_bytes = engine_kept_bytes(&config);
		host.memory.kept =
			aligned_alloc(LOG_BLOCK_BYTES, host.kept_bytes);
		assert(host.memory.own && host.memory.kept);
	}
	memset(host.memory.own, 0, host.memory_bytes);
	memset(host.memory.kept, 0, host.kept_bytes);
	must(engine_create(&config, &host.memory, &host.engine, &error));
	engine_start(host.engine);
	host.completed = false;
	run(false);
}

int lives_submit(enum engine_operation operation, uint64_t sector,
		 uint64_t sectors)
{
	struct iovec iov = {host.data, sectors * LOG_SECTOR_BYTES};
	struct engine_request request = {
		.operation = operation,
		.sector = sector,
		.sector_count = sectors,
		.iov = &iov,
		.iov_count = 1,
	};

	host.completed = false;
	engine_submit(host.engine, &request);
	run(true);
	assert(host.completed);
	return request.status;
}

static void fill_data(uint8_t value)
{
	memset(host.data, value, sizeof(host.data));
}

/* Lives of an engine: the first bit opens it again, the second goes around. */
static void make_base(uint32_t number)
{
	memset(host.file, 0, FILE_BYTES);
	lives_open(true);
	for (uint32_t i = 0; i < (number & 2 ? 40u : 8u); i++) {
		fill_data((uint8_t)(i + 1));
		must(lives_submit(ENGINE_WRITE, i * 24 % 300, 1 + i % 13));
		if (i % 3 == 0)
			must(lives_submit(ENGINE_READ, i * 8 % 300, 16));
		if (i % 4 == 0)
			must(lives_submit(ENGINE_FLUSH, 0, 0));
		if ((number & 1) && i % 8 == 7)
			lives_open(false);
	}
	must(lives_submit(ENGINE_ZERO, 5, 90));
	must(lives_submit(ENGINE_WRITE, 40, 13));
	must(lives_submit(ENGINE_DISCARD, 160, 64));
	must(lives_submit(ENGINE_FLUSH, 0, 0));
	memcpy(bases[number], host.file, FILE_BYTES);
}

static uint8_t *block_at(uint32_t block)
{
	return host.file + (size_t)block * LOG_BLOCK_BYTES;
}

/* Its words, and the copies of headers as far as they can be told apart. */
static void seal_summary(uint32_t segment)
{
	uint32_t end = FIRST_BLOCK + (segment + 1) * SEGMENT_BLOCKS;
	struct log_summary *summary =
		(void *)(host.file + (size_t)end * LOG_BLOCK_BYTES -
			 sizeof(*summary));
	uint32_t at = 0;

	if (summary->magic != LOG_SUMMARY_MAGIC)
		return;
	log_summary_seal(summary);
	if (!log_summary_valid(summary, summary->uuid, SEGMENT_BLOCKS))
		return;
	while (at + sizeof(struct log_record_header) <= summary->copies_bytes) {
		struct log_record_header *header =
			(void *)(block_at(end - summary->blocks) + at);

		if (header->used_bytes < sizeof(*header) ||
		    header->used_bytes > summary->copies_bytes - at ||
		    header->used_bytes % 8 != 0)
			break;
		log_record_seal(header);
		at += header->used_bytes;
	}
}

/* Returns: checksum of the segment's last record. */
static uint32_t seal_segment(uint32_t segment, uint32_t previous_crc)
{
	uint32_t begin = FIRST_BLOCK + segment * SEGMENT_BLOCKS;
	uint32_t end = begin + SEGMENT_BLOCKS;
	struct log_segment_head *head = (void *)block_at(begin);
	uint32_t at = begin + 1;

	if (head->magic != LOG_SEGMENT_MAGIC)
		return previous_crc;
	log_segment_head_seal(head);
	while (at < end) {
		struct log_record_header *header = (void *)block_at(at);

		if (header->magic != LOG_RECORD_MAGIC ||
		    header->used_bytes < sizeof(*header) ||
		    header->used_bytes > LOG_BLOCK_BYTES)
			break;
		/* The first of a row follows nothing. */
		if (at > begin + 1 || header->previous_crc != 0)
			header->previous_crc = previous_crc;
		log_record_seal(header);
		previous_crc = header->crc;
		if (header->data_blocks >= SEGMENT_BLOCKS)
			break;
		at += 1 + header->data_blocks;
	}
	return previous_crc;
}

static uint64_t first_sequence(uint32_t segment)
{
	const struct log_segment_head *head =
		(const void *)block_at(FIRST_BLOCK + segment * SEGMENT_BLOCKS);

	return head->magic == LOG_SEGMENT_MAGIC ? head->first_sequence
						: UINT64_MAX;
}

static void seal_all(void)
{
	uint32_t oldest = 0;
	uint32_t crc = 0;

	for (uint32_t i = 0; i < LOG_SUPERBLOCK_COPIES; i++) {
		struct log_superblock *copy =
			(void *)block_at(i * LOG_SUPERBLOCK_BLOCKS);

		if (copy->magic == LOG_SUPERBLOCK_MAGIC)
			log_superblock_seal(copy);
	}
	for (uint32_t i = 1; i < SEGMENTS; i++)
		if (first_sequence(i) < first_sequence(oldest))
			oldest = i;
	for (uint32_t i = 0; i < SEGMENTS; i++)
		seal_summary(i);
	for (uint32_t i = 0; i < SEGMENTS; i++)
		crc = seal_segment((oldest + i) % SEGMENTS, crc);
}

/* Returns: bytes of the input that the change took; 0: there are no more. */
static size_t change(const uint8_t *bytes, size_t left)
{
	size_t segment_bytes = (size_t)SEGMENT_BLOCKS * LOG_BLOCK_BYTES;
	size_t offset;
	size_t count;
	uint8_t *at;

	if (left < 5)
		return 0;
	offset = (bytes[1] | bytes[2] << 8) % LOG_BLOCK_BYTES;
	count = bytes[3];
	if (count == 0) {
		at = block_at(FIRST_BLOCK);
		memmove(at + (bytes[4] >> 4) % SEGMENTS * segment_bytes,
			at + (bytes[4] & 15) % SEGMENTS * segment_bytes,
			segment_bytes);
		return 5;
	}
	if (count > left - 4)
		count = left - 4;
	if (count > LOG_BLOCK_BYTES - offset)
		count = LOG_BLOCK_BYTES - offset;
	memcpy(block_at(bytes[0] % FILE_BLOCKS) + offset, bytes + 4, count);
	return 4 + count;
}

void lives_file(const uint8_t *bytes, size_t count)
{
	size_t took;

	if (!host.memory.own)
		for (uint32_t i = 0; i < BASES; i++)
			make_base(i);
	memcpy(host.file, bases[bytes[0] % BASES], FILE_BYTES);
	for (size_t at = 1; (took = change(bytes + at, count - at)) > 0;)
		at += took;
	if (bytes[0] & LIVES_SEAL)
		seal_all();
}
