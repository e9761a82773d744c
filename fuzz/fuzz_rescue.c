/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_rescue.c - a rescue reads a cache file that somebody changed, as
 * cache_file_lives.h says; CUT in the first byte takes the end of the file away
 * as well, by the second byte.
 *
 * Whatever it is: it is refused with words, or what a start of an engine finds
 * is found and salvage gives something; nothing is given outside of the disk,
 * and the file is as it was.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cache_file_lives.h"
#include "extract.h"
#include "findings.h"
#include "recovered.h"
#include "source.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

#define CUT 0x20u
/* An index of a disk of 1 PiB takes a second to walk. */
#define DISK_BYTES_TRIED (UINT64_C(1) << 34)
#define PATH_BYTES 32u

static int file = -1;
static int image = -1;
static char file_path[PATH_BYTES];
static char image_path[PATH_BYTES];

static void make_files(void)
{
	file = memfd_create("cache", MFD_CLOEXEC);
	image = memfd_create("image", MFD_CLOEXEC);
	assert(file >= 0 && image >= 0);
	snprintf(file_path, sizeof(file_path), "/proc/self/fd/%d", file);
	snprintf(image_path, sizeof(image_path), "/proc/self/fd/%d", image);
}

static void write_file(size_t bytes)
{
	assert(ftruncate(file, 0) == 0);
	assert(pwrite(file, host.file, bytes, 0) == (ssize_t)bytes);
	assert(ftruncate(image, 0) == 0);
}

static void check_unchanged(size_t bytes)
{
	static uint8_t now[FILE_BYTES];

	assert(pread(file, now, sizeof(now), 0) == (ssize_t)bytes);
	assert(memcmp(now, host.file, bytes) == 0);
}

static void check_ranges(const struct ranges *ranges, uint64_t disk_bytes)
{
	uint64_t end = 0;

	for (size_t i = 0; i < ranges->count; i++) {
		const struct range *range = &ranges->items[i];

		assert(range->sector_count > 0 && range->first_sector >= end);
		end = range->first_sector + range->sector_count;
		assert(disk_bytes == 0 || end * LOG_SECTOR_BYTES <= disk_bytes);
	}
}

static void give(struct recovered *recovered)
{
	struct extract_options options = {.to = image_path, .in_place = true};
	struct findings checked;
	struct findings given;
	struct error error = {0};
	off_t image_bytes =
		(off_t)(recovered->disk_bytes > 0 ? recovered->disk_bytes
						  : DISK_BYTES);
	int status;

	status = findings_check(recovered, NULL, NULL, &checked, &error);
	assert(status == 0);
	check_ranges(&checked.bad, recovered->disk_bytes);
	check_ranges(&checked.doubtful, recovered->disk_bytes);
	assert(ftruncate(image, image_bytes) == 0);
	status = extract(recovered, &options, &given, &error);
	assert(status == 0);
	check_ranges(&given.bad, (uint64_t)image_bytes);
	assert(given.dirty_bytes <= checked.dirty_bytes);
	assert(given.clean_bytes == 0);
	assert(lseek(image, 0, SEEK_END) == image_bytes);
	findings_release(&checked);
	findings_release(&given);
}

/* The disk that cache_file_lives.c has, as its own engine sees it. */
static bool same_disk(const struct source *source)
{
	const struct engine_config *config = &source->config;

	return source->superblock && !source->trouble[0] &&
	       config->epoch == 1 && config->disk_bytes == DISK_BYTES &&
	       config->file_bytes == FILE_BYTES &&
	       config->segment_blocks == SEGMENT_BLOCKS &&
	       memcmp(config->uuid, "\1\2\3", 4) == 0;
}

/* The engine starts on the same file and must come to the same. */
static void compare(const struct recovered *recovered, const char *refusal)
{
	struct engine_stats stats;

	lives_open(false);
	if (engine_state(host.engine) == ENGINE_FAILED) {
		const struct error *failure = engine_failure(host.engine);

		/* Only who writes needs room for a row. */
		if (failure->code != -ENOSPC)
			assert(strcmp(failure->message, refusal) == 0);
		return;
	}
	assert(refusal[0] == '\0');
	engine_stats(host.engine, &stats);
	assert(stats.recovered_records == recovered->log.records);
	/* An engine that runs may have made room in a full log already. */
	if (stats.tail_sequence == recovered->log.tail_sequence)
		assert(stats.cached_bytes ==
		       recovered->log.cached_blocks * LOG_BLOCK_BYTES);
	else
		assert(stats.tail_sequence > recovered->log.tail_sequence &&
		       stats.cached_bytes <=
			       recovered->log.cached_blocks * LOG_BLOCK_BYTES);
}

static void recover(const struct source *source, enum engine_inspection how)
{
	struct recovered recovered = {0};
	struct error error = {0};
	int status = recovered_make(source, how, &recovered, &error);

	if (status < 0) {
		assert(error.message[0] != '\0');
		/* Zeroes may need more room than an index has. */
		assert(how != ENGINE_SALVAGE || status == -ENOMEM ||
		       status == -ENOSPC);
	} else if (how == ENGINE_SALVAGE) {
		give(&recovered);
	}
	/* Last: it changes host.file. */
	if (how == ENGINE_INSPECT && same_disk(source))
		compare(&recovered, error.message);
	recovered_release(&recovered);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	struct source source;
	struct error error = {0};
	size_t left = FILE_BYTES;

	if (count == 0)
		return 0;
	if (file < 0)
		make_files();
	lives_file(bytes, count);
	if ((bytes[0] & CUT) && count > 1)
		left -= bytes[1] % FILE_BLOCKS * (size_t)LOG_BLOCK_BYTES;
	write_file(left);
	if (source_open(file_path, false, &source, &error) < 0) {
		assert(error.message[0] != '\0');
		return 0;
	}
	if (!source.superblock)
		source.config.disk_bytes = DISK_BYTES_TRIED;
	if (!source.blank && source.config.disk_bytes <= DISK_BYTES_TRIED) {
		recover(&source, ENGINE_SALVAGE);
		recover(&source, ENGINE_INSPECT_HEADERS);
		check_unchanged(left);
		recover(&source, ENGINE_INSPECT);
	}
	source_close(&source);
	return 0;
}
