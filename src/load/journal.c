// SPDX-License-Identifier: Apache-2.0
/*
 * journal.c - versions of blocks in a shared mapping.
 *
 * A request that failed may have happened or not, as one that was under way
 * when this process was killed: then both versions are right until one is
 * seen. A second such request on top leaves a block of which nothing is known
 * until it is written again.
 */
#include "journal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "stamp.h"

#define JOURNAL_MAGIC UINT64_C(0x6c6e726a79616266) /* "fbayjrnl" */
#define JOURNAL_VERSION 1u

enum version_kind { VERSION_ANYTHING = 0, VERSION_STAMP, VERSION_ZEROES };

struct journal_header {
	uint64_t magic;
	uint32_t version;
	uint32_t block_bytes;
	uint64_t seed;
	uint64_t disk_bytes;
	uint64_t first_byte;
	uint64_t block_count;
	uint64_t zero[2];
};
static_assert(sizeof(struct journal_header) == 64, "as journal.h draws it");

struct journal_block {
	uint32_t acked;
	uint32_t submitted;
};

struct journal {
	int fd; /* -1: in memory */
	struct journal_header *header; /* the mapping */
	struct journal_block *blocks; /* in it */
	size_t bytes;
	uint8_t *taken;
	struct journal_failures failures;
};

static struct journal_header header_of(const struct journal_shape *shape)
{
	return (struct journal_header){
		.magic = JOURNAL_MAGIC,
		.version = JOURNAL_VERSION,
		.block_bytes = shape->block_bytes,
		.disk_bytes = shape->disk_bytes,
		.first_byte = shape->first_byte,
		.block_count = shape->block_count,
	};
}

static int open_file(struct journal *journal, const char *path,
		     struct error *error)
{
	struct stat status;

	journal->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (journal->fd < 0 || fstat(journal->fd, &status) < 0)
		return error_set(error, -errno, "%s: cannot be opened: %s",
				 path, strerror(errno));
	if (flock(journal->fd, LOCK_EX | LOCK_NB) < 0)
		return error_set(error, -EBUSY,
				 "%s: another run has this journal open", path);
	if (status.st_size != 0 && (size_t)status.st_size != journal->bytes)
		return error_set(error, -EINVAL,
				 "%s: no journal of this disk with this "
				 "--block-size, --offset and --span",
				 path);
	/* Its space now: a full file system would kill us at some write. */
	errno = posix_fallocate(journal->fd, 0, (off_t)journal->bytes);
	if (errno)
		return error_set(error, -errno, "%s: no room: %s", path,
				 strerror(errno));
	return 0;
}

static int adopt(struct journal *journal, const char *path,
		 const struct journal_shape *shape, struct error *error)
{
	struct journal_header wanted = header_of(shape);
	struct journal_header *header = journal->header;

	if (header->magic == 0) {
		if (getrandom(&wanted.seed, sizeof(wanted.seed), 0) < 0)
			return error_set(error, -errno,
					 "forebay: no random "
					 "numbers");
		*header = wanted;
		return 0;
	}
	wanted.seed = header->seed;
	if (memcmp(header, &wanted, sizeof(wanted)) == 0)
		return 0;
	return error_set(error, -EINVAL,
			 "%s: no journal of this disk with this --block-size, "
			 "--offset and --span",
			 path);
}

int journal_open(const char *path, const struct journal_shape *shape,
		 struct journal **ret_journal, struct error *error)
{
	struct journal *journal = calloc(1, sizeof(*journal));
	void *mapping = MAP_FAILED;
	int result = 0;

	if (!journal)
		return error_set(error, -ENOMEM, "forebay: out of memory");
	journal->fd = -1;
	journal->bytes = sizeof(struct journal_header) +
			 shape->block_count * sizeof(struct journal_block);
	journal->taken = calloc(shape->block_count, 1);
	if (path)
		result = open_file(journal, path, error);
	if (result == 0)
		mapping = mmap(NULL, journal->bytes, PROT_READ | PROT_WRITE,
			       path ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS,
			       journal->fd, 0);
	if (result == 0 && (mapping == MAP_FAILED || !journal->taken))
		result = error_set(error, -ENOMEM,
				   "forebay: no memory to verify %llu blocks; "
				   "take fewer with --span",
				   (unsigned long long)shape->block_count);
	if (mapping != MAP_FAILED) {
		journal->header = mapping;
		journal->blocks = (void *)(journal->header + 1);
	}
	if (result == 0 && journal->header)
		result = adopt(journal, path ? path : "memory", shape, error);
	if (result < 0) {
		journal_close(journal);
		return result;
	}
	*ret_journal = journal;
	return 0;
}

void journal_close(struct journal *journal)
{
	if (!journal)
		return;
	if (journal->header)
		munmap(journal->header, journal->bytes);
	if (journal->fd >= 0)
		close(journal->fd);
	free(journal->taken);
	free(journal);
}

bool journal_knows(const struct journal *journal, uint64_t block)
{
	const struct journal_block *entry = &journal->blocks[block];

	return entry->acked % 4 != VERSION_ANYTHING &&
	       (entry->submitted == entry->acked ||
		entry->submitted % 4 != VERSION_ANYTHING);
}

bool journal_take(struct journal *journal, uint64_t block)
{
	if (journal->taken[block])
		return false;
	journal->taken[block] = 1;
	return true;
}

static uint64_t first_sector(const struct journal *journal, uint64_t block)
{
	const struct journal_header *header = journal->header;

	return (header->first_byte + block * header->block_bytes) /
	       STAMP_SECTOR_BYTES;
}

static void fill(const struct journal *journal, struct load_io *io,
		 uint32_t sequence)
{
	struct stamp stamp = {
		.seed = journal->header->seed,
		.sector = first_sector(journal, io->block),
		.sequence = sequence,
	};

	for (uint32_t at = 0; at < io->bytes; at += STAMP_SECTOR_BYTES) {
		stamp_fill(&stamp, io->data + at);
		stamp.sector++;
	}
}

void journal_begin(struct journal *journal, struct load_io *io)
{
	struct journal_block *entry = &journal->blocks[io->block];
	uint32_t sequence = entry->submitted / 4 + 1;
	enum version_kind kind = VERSION_ANYTHING;

	if (io->kind == LOAD_READ)
		return;
	if (entry->acked != entry->submitted)
		entry->acked = entry->submitted / 4 * 4 + VERSION_ANYTHING;
	if (io->kind == LOAD_WRITE) {
		kind = VERSION_STAMP;
		fill(journal, io, sequence);
	} else if (io->kind == LOAD_WRITE_ZEROES) {
		kind = VERSION_ZEROES;
	}
	/* In the file before anybody can see the request. */
	__atomic_store_n(&entry->submitted, sequence * 4 + kind,
			 __ATOMIC_SEQ_CST);
}

/* Returns: whether the sector may hold this. */
static bool allowed(const struct journal *journal, uint64_t sector,
		    uint32_t version, const void *data)
{
	struct stamp found;
	enum stamp_state state = stamp_read(data, &found);

	switch ((enum version_kind)(version % 4)) {
	case VERSION_ANYTHING:
		return true;
	case VERSION_STAMP:
		return state == STAMP_GOOD && found.sector == sector &&
		       found.seed == journal->header->seed &&
		       found.sequence == version / 4;
	case VERSION_ZEROES:
		return state == STAMP_ZEROES;
	}
	return false;
}

static void describe(char buffer[JOURNAL_TEXT_BYTES], uint32_t acked,
		     uint32_t submitted)
{
	char first[64], second[64] = "";

	(void)snprintf(first, sizeof(first), "%s %u",
		       acked % 4 == VERSION_ZEROES ? "zeroes of sequence"
						   : "sequence",
		       acked / 4);
	if (acked != submitted)
		(void)snprintf(second, sizeof(second), ", or %s %u",
			       submitted % 4 == VERSION_ZEROES
				       ? "zeroes of sequence"
				       : "sequence",
			       submitted / 4);
	(void)snprintf(buffer, JOURNAL_TEXT_BYTES, "%s%s", first, second);
}

static void fail(struct journal *journal, const struct journal_block *entry,
		 uint64_t sector, const void *data)
{
	const struct stamp wanted = {
		.seed = journal->header->seed,
		.sector = sector,
	};
	char text[STAMP_TEXT_BYTES];

	if (journal->failures.sectors++ > 0)
		return;
	journal->failures.first_sector = sector;
	describe(journal->failures.expected, entry->acked, entry->submitted);
	(void)snprintf(journal->failures.found, JOURNAL_TEXT_BYTES, "%s",
		       stamp_describe(data, &wanted, text));
}

static void check(struct journal *journal, const struct load_io *io)
{
	struct journal_block *entry = &journal->blocks[io->block];
	uint64_t sector = first_sector(journal, io->block);
	bool all_acked = true, all_submitted = true, wrong = false;

	for (uint32_t at = 0; at < io->bytes; at += STAMP_SECTOR_BYTES) {
		const uint8_t *data = io->data + at;
		bool acked = allowed(journal, sector, entry->acked, data);
		bool submitted = entry->submitted == entry->acked
					 ? acked
					 : allowed(journal, sector,
						   entry->submitted, data);

		all_acked &= acked;
		all_submitted &= submitted;
		if (!acked && !submitted) {
			wrong = true;
			fail(journal, entry, sector, data);
		}
		sector++;
	}
	journal->failures.blocks += wrong;
	/* What has been seen must not turn back. */
	if (all_submitted)
		entry->acked = entry->submitted;
	else if (all_acked && entry->acked % 4 != VERSION_ANYTHING)
		entry->submitted = entry->acked;
}

void journal_end(struct journal *journal, const struct load_io *io)
{
	struct journal_block *entry = &journal->blocks[io->block];

	journal->taken[io->block] = 0;
	if (io->error)
		return;
	if (io->kind == LOAD_READ)
		check(journal, io);
	else
		__atomic_store_n(&entry->acked, entry->submitted,
				 __ATOMIC_SEQ_CST);
}

const struct journal_failures *journal_failures(const struct journal *journal)
{
	return &journal->failures;
}
