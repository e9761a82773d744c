// SPDX-License-Identifier: Apache-2.0
/*
 * source.c - see source.h.
 *
 * Who has no good superblock asks the heads of the segments: each names the
 * disk, and where they stand tells how long a segment is.
 */
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "image_lock.h"
#include "log_codec.h"

#define COPY_BYTES ((size_t)LOG_SUPERBLOCK_BLOCKS * LOG_BLOCK_BYTES)
/* How much of the file is asked for the length of its segments. */
#define GUESS_BYTES (UINT64_C(64) << 20)

int source_read(const struct source *source, void *bytes, size_t count,
		uint64_t offset)
{
	uint8_t *at = bytes;

	while (count > 0) {
		ssize_t got = pread(source->fd, at, count, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -EIO;
		at += got;
		count -= (size_t)got;
		offset += (uint64_t)got;
	}
	return 0;
}

static int lock(struct source *source, const char *path, bool force_read,
		struct error *error)
{
	char holder[128] = "another process";

	if (flock(source->fd, LOCK_SH | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return error_set(error, -errno, "%s: cannot be locked: %s",
				 path, strerror(errno));
	source->in_use = true;
	if (force_read)
		return 0;
	(void)image_lock_holder(source->fd, holder, sizeof(holder));
	return error_set(error, -EBUSY,
			 "%s: %s uses it; close its disk first, or say "
			 "--force-read for what may not fit together",
			 path, holder);
}

static int open_locked(const char *path, bool force_read, struct source *source,
		       struct error *error)
{
	struct stat facts;
	off_t end;

	/* O_NONBLOCK: a pipe must not hold us up. */
	source->fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (source->fd < 0)
		return error_set(error, -errno, "%s: cannot be opened: %s",
				 path, strerror(errno));
	if (fstat(source->fd, &facts) < 0)
		return error_set(error, -errno, "%s: %s", path,
				 strerror(errno));
	if (!S_ISREG(facts.st_mode) && !S_ISBLK(facts.st_mode))
		return error_set(error, -EINVAL,
				 "%s: is neither a file nor a block device",
				 path);
	end = lseek(source->fd, 0, SEEK_END);
	if (end < 0)
		return error_set(error, -errno, "%s: %s", path,
				 strerror(errno));
	source->bytes = (uint64_t)end;
	if (source->bytes == 0)
		return error_set(error, -EUCLEAN,
				 "%s: is empty, so no cache file", path);
	return lock(source, path, force_read, error);
}

static struct engine_config config_of(const struct log_superblock *superblock)
{
	uint32_t rows = superblock->row_count;
	struct engine_config config = {
		.disk_bytes = superblock->disk_bytes,
		.file_bytes = superblock->file_bytes,
		.epoch = 1,
		.mode = ENGINE_WRITE_BACK,
		.inspection = ENGINE_INSPECT,
		.segment_blocks = superblock->segment_blocks,
		.records_in_flight_max = 1,
		.dirty_limit_percent = 100,
	};

	memcpy(config.uuid, superblock->uuid, sizeof(config.uuid));
	/* Whoever wrote the file last is who we are. */
	if (rows > 0 && superblock->rows[rows - 1].epoch > 0)
		config.epoch = superblock->rows[rows - 1].epoch;
	return config;
}

static void read_copy(const struct source *source, uint32_t number,
		      struct log_superblock *copy)
{
	uint64_t offset = number * COPY_BYTES;

	if (source_read(source, copy, COPY_BYTES, offset) < 0)
		memset(copy, 0, COPY_BYTES);
}

/* Returns: the better copy's number, or -EUCLEAN. */
static int choose_copy(const struct source *source,
		       struct log_superblock *copies[LOG_SUPERBLOCK_COPIES],
		       struct error *error)
{
	int best = -EUCLEAN;

	for (uint32_t i = 0; i < LOG_SUPERBLOCK_COPIES; i++) {
		struct log_superblock *copy = copies[i];
		struct error why;

		read_copy(source, i, copy);
		if (log_superblock_check(copy, copy->uuid, &why) < 0) {
			if (copy->magic != 0 || error->message[0] == '\0')
				*error = why;
		} else if (best < 0 ||
			   copy->generation > copies[best]->generation) {
			best = (int)i;
		}
	}
	return best;
}

/*
 * Counts the heads up to byte @end where segments of that length have theirs.
 * One of them goes to *ret_head.
 */
static uint32_t count_heads(const struct source *source,
			    uint32_t segment_blocks, uint64_t end,
			    struct log_segment_head *ret_head)
{
	uint64_t step = (uint64_t)segment_blocks * LOG_BLOCK_BYTES;
	uint64_t begin = (uint64_t)log_first_segment_block(segment_blocks) *
			 LOG_BLOCK_BYTES;
	uint32_t count = 0;

	for (uint64_t at = begin; at + sizeof(*ret_head) <= end; at += step) {
		struct log_segment_head head;

		if (source_read(source, &head, sizeof(head), at) < 0 ||
		    !log_segment_head_valid(&head, head.uuid))
			continue;
		*ret_head = head;
		count++;
	}
	return count;
}

/*
 * Of the lengths under which most heads are found the longest is right: a
 * shorter one finds the same, a longer one not all. Returns: 0 if there are
 * none.
 */
static uint32_t guess_segment_blocks(const struct source *source,
				     struct log_segment_head *ret_head)
{
	uint64_t end =
		source->bytes < GUESS_BYTES ? source->bytes : GUESS_BYTES;
	uint32_t most = 0;
	uint32_t best = 0;

	for (uint32_t blocks = LOG_SEGMENT_BLOCKS_MAX;
	     blocks >= LOG_SEGMENT_BLOCKS_MIN; blocks /= 2) {
		uint32_t count = count_heads(source, blocks, end, ret_head);

		if (count > most) {
			most = count;
			best = blocks;
		}
	}
	if (best == 0 && count_heads(source, LOG_SEGMENT_BLOCKS_DEFAULT,
				     source->bytes, ret_head) > 0)
		best = LOG_SEGMENT_BLOCKS_DEFAULT;
	return best;
}

/* Returns: whether there is any segment. */
static bool guess_config(struct source *source)
{
	struct log_segment_head head = {0};
	struct log_superblock guess = {
		.disk_bytes = SOURCE_DISK_BYTES_GUESS,
		.file_bytes = source->bytes,
		.segment_blocks = guess_segment_blocks(source, &head),
	};

	if (guess.segment_blocks == 0)
		return false;
	memcpy(guess.uuid, head.uuid, sizeof(guess.uuid));
	source->config = config_of(&guess);
	return true;
}

static int take_superblock(struct source *source, const char *path,
			   const struct log_superblock *copy,
			   struct error *error)
{
	source->superblock = true;
	source->config = config_of(copy);
	if (copy->disk_bytes > SOURCE_DISK_BYTES_MAX ||
	    engine_memory_bytes(&source->config) == 0)
		return error_set(error, -EUCLEAN,
				 "%s: its superblock has impossible sizes: a "
				 "disk of %llu bytes, a file of %llu",
				 path, (unsigned long long)copy->disk_bytes,
				 (unsigned long long)copy->file_bytes);
	if (copy->file_bytes > source->bytes)
		snprintf(source->trouble, sizeof(source->trouble),
			 "it was cut: %llu of its %llu bytes are there",
			 (unsigned long long)source->bytes,
			 (unsigned long long)copy->file_bytes);
	return 0;
}

static int do_without(struct source *source, const char *path,
		      struct log_superblock *copies[LOG_SUPERBLOCK_COPIES],
		      const struct error *why, struct error *error)
{
	bool blank = true;

	for (uint32_t i = 0; i < LOG_SUPERBLOCK_COPIES; i++) {
		blank &= copies[i]->magic == 0;
		if (copies[i]->magic == LOG_SUPERBLOCK_MAGIC &&
		    (copies[i]->version < LOG_FORMAT_VERSION_OLDEST ||
		     copies[i]->version > LOG_FORMAT_VERSION))
			return error_set(error, -ENOTSUP,
					 "%s: it has format version %u, this "
					 "program knows version %u",
					 path, copies[i]->version,
					 LOG_FORMAT_VERSION);
	}
	if (guess_config(source)) {
		snprintf(source->trouble, sizeof(source->trouble), "%s",
			 why->message);
		return 0;
	}
	source->blank = blank && source->bytes >= 2 * COPY_BYTES;
	if (source->blank)
		return 0;
	return error_set(error, -EUCLEAN,
			 "%s: is no cache file: %s, and there is no segment "
			 "of a log",
			 path, why->message);
}

static int identify(struct source *source, const char *path,
		    struct error *error)
{
	struct log_superblock *copies[LOG_SUPERBLOCK_COPIES];
	uint8_t *memory = malloc(LOG_SUPERBLOCK_COPIES * COPY_BYTES);
	struct error why = {0};
	int best;
	int status;

	if (!memory)
		return error_set(error, -ENOMEM, "no memory");
	for (uint32_t i = 0; i < LOG_SUPERBLOCK_COPIES; i++)
		copies[i] = (void *)(memory + i * COPY_BYTES);
	best = choose_copy(source, copies, &why);
	status = best >= 0 ? take_superblock(source, path, copies[best], error)
			   : do_without(source, path, copies, &why, error);
	free(memory);
	return status;
}

int source_open(const char *path, bool force_read, struct source *ret_source,
		struct error *error)
{
	struct source source = {.fd = -1};
	int status = open_locked(path, force_read, &source, error);

	if (status == 0)
		status = identify(&source, path, error);
	if (status < 0) {
		source_close(&source);
		return status;
	}
	*ret_source = source;
	return 0;
}

void source_close(struct source *source)
{
	source->fd = fd_close(source->fd);
}
