// SPDX-License-Identifier: Apache-2.0
/*
 * failpoint.c - the names of the failpoints, and what a test wants at them.
 *
 * Linked into the programs of tests/failures alone. The test makes a file,
 * names it in FOREBAY_FAILPOINTS and maps it; every process of it that starts
 * maps it too, before it has begun anything:
 *
 *   entry, 64 bytes, one for each name, in the order of the enumeration
 *   0       44     48          52       56       64
 *   +-------+------+-----------+--------+--------+
 *   | name  | what | countdown | error  | hits   |
 *   +-------+------+-----------+--------+--------+
 *
 * The hit that brings the countdown to 0 does what there is to do. Hits count
 * over all processes and lives, so a place that is reached once in a life has
 * its 32nd hit in the 32nd.
 */
#include "failpoint.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum failpoint_action {
	FAILPOINT_NOTHING,
	FAILPOINT_DIE,
	FAILPOINT_STOP, /* until somebody sends SIGCONT */
	FAILPOINT_FAIL,
	FAILPOINT_CRASH, /* of a wild pointer */
};

struct failpoint_entry {
	char name[44];
	uint32_t action;
	uint32_t countdown; /* 0: nothing happens */
	int32_t error; /* negative errno, of FAIL */
	uint64_t hits;
};

_Static_assert(sizeof(struct failpoint_entry) == 64, "tests read it");

static const char *const names[FAILPOINT_COUNT] = {
	[FAILPOINT_SSD_READ_BEGIN] = "ssd.read.begin",
	[FAILPOINT_SSD_READ_DONE] = "ssd.read.done",
	[FAILPOINT_SSD_WRITE_BEGIN] = "ssd.write.begin",
	[FAILPOINT_SSD_WRITE_DONE] = "ssd.write.done",
	[FAILPOINT_SSD_FLUSH_BEGIN] = "ssd.flush.begin",
	[FAILPOINT_SSD_FLUSH_DONE] = "ssd.flush.done",
	[FAILPOINT_SUPERBLOCK_BEGIN] = "superblock.begin",
	[FAILPOINT_SUPERBLOCK_DONE] = "superblock.done",
	[FAILPOINT_BELOW_READ_BEGIN] = "below.read.begin",
	[FAILPOINT_BELOW_READ_DONE] = "below.read.done",
	[FAILPOINT_BELOW_WRITE_BEGIN] = "below.write.begin",
	[FAILPOINT_BELOW_WRITE_DONE] = "below.write.done",
	[FAILPOINT_BELOW_FLUSH_BEGIN] = "below.flush.begin",
	[FAILPOINT_BELOW_FLUSH_DONE] = "below.flush.done",
	[FAILPOINT_BELOW_ZERO_BEGIN] = "below.zero.begin",
	[FAILPOINT_BELOW_ZERO_DONE] = "below.zero.done",
	[FAILPOINT_VOID_BEGIN] = "void.begin",
	[FAILPOINT_VOID_DONE] = "void.done",
	[FAILPOINT_ENGINE_POLLED] = "engine.polled",
	[FAILPOINT_ENGINE_COMPLETED] = "engine.completed",
	[FAILPOINT_ENGINE_CLOSING] = "engine.closing",
	[FAILPOINT_ENGINE_CLOSED] = "engine.closed",
	[FAILPOINT_CACHE_GRANTED] = "cache.granted",
	[FAILPOINT_CACHE_LOCKED] = "cache.locked",
	[FAILPOINT_CACHE_RECALLED] = "cache.recalled",
	[FAILPOINT_KEPT_MAPPED] = "kept.mapped",
	[FAILPOINT_POOL_FILE_OPENED] = "pool.file.opened",
	[FAILPOINT_POOL_FILE_ALLOCATED] = "pool.file.allocated",
	[FAILPOINT_POOL_FILE_SYNCED] = "pool.file.synced",
	[FAILPOINT_POOL_FILE_NAMED] = "pool.file.named",
	[FAILPOINT_POOL_FILE_MADE] = "pool.file.made",
	[FAILPOINT_POOL_FILE_GRANTED] = "pool.file.granted",
	[FAILPOINT_POOL_FILE_DELETED] = "pool.file.deleted",
	[FAILPOINT_KEPT_MADE] = "kept.made",
	[FAILPOINT_KEPT_GIVEN] = "kept.given",
	[FAILPOINT_QUEUE_TAKEN] = "queue.taken",
	[FAILPOINT_SPLIT_COUNTED] = "split.counted",
	[FAILPOINT_INFLIGHT_SET] = "inflight.set",
	[FAILPOINT_QUEUE_REPLAYED] = "queue.replayed",
	[FAILPOINT_USED_STAGED] = "used.staged",
	[FAILPOINT_SPLIT_LINKED] = "split.linked",
	[FAILPOINT_INFLIGHT_STAGED] = "inflight.staged",
	[FAILPOINT_INFLIGHT_PREPARED] = "inflight.prepared",
	[FAILPOINT_USED_SHOWN] = "used.shown",
	[FAILPOINT_SPLIT_CLEARED] = "split.cleared",
	[FAILPOINT_INFLIGHT_CLEARED] = "inflight.cleared",
	[FAILPOINT_QUEUE_NOTIFIED] = "queue.notified",
	[FAILPOINT_PACKED_MARKED] = "packed.marked",
	[FAILPOINT_PACKED_FILLED] = "packed.filled",
	[FAILPOINT_PACKED_LISTED] = "packed.listed",
	[FAILPOINT_PACKED_CLEARED] = "packed.cleared",
	[FAILPOINT_INFLIGHT_RESUMED] = "inflight.resumed",
	[FAILPOINT_NBD_REPLY_BEGIN] = "nbd.reply.begin",
	[FAILPOINT_NBD_REPLY_SENT] = "nbd.reply.sent",
	[FAILPOINT_SIDECAR_OPENED] = "sidecar.opened",
	[FAILPOINT_SIDECAR_SIZED] = "sidecar.sized",
	[FAILPOINT_SIDECAR_NAMED] = "sidecar.named",
	[FAILPOINT_SIDECAR_BEGIN] = "sidecar.begin",
	[FAILPOINT_SIDECAR_WRITTEN] = "sidecar.written",
	[FAILPOINT_SIDECAR_SYNCED] = "sidecar.synced",
	[FAILPOINT_CLAIM_RAISED] = "claim.raised",
	[FAILPOINT_CLAIM_CLEARED] = "claim.cleared",
	[FAILPOINT_CLAIM_UNLOCKED] = "claim.unlocked",
	[FAILPOINT_IMAGE_GROWN] = "image.grown",
	[FAILPOINT_IMAGE_GROWTH_SYNCED] = "image.growth.synced",
	[FAILPOINT_DISK_OPENED] = "disk.opened",
	[FAILPOINT_DISK_EXPORTED] = "disk.exported",
	[FAILPOINT_DISK_CONFINED] = "disk.confined",
	[FAILPOINT_DISK_READY] = "disk.ready",
	[FAILPOINT_DISK_QUIET] = "disk.quiet",
	[FAILPOINT_DISK_DRAINED] = "disk.drained",
	[FAILPOINT_DISK_CLOSED] = "disk.closed",
	[FAILPOINT_DISK_ANSWERED] = "disk.answered",
	[FAILPOINT_RESIZE_PARKED] = "resize.parked",
	[FAILPOINT_RESIZE_CLOSED] = "resize.closed",
	[FAILPOINT_RESIZE_REOPENED] = "resize.reopened",
	[FAILPOINT_LEAVING_PARKED] = "leaving.parked",
	[FAILPOINT_LEAVING_DRAINED] = "leaving.drained",
	[FAILPOINT_LEAVING_CLOSED] = "leaving.closed",
	[FAILPOINT_LEAVING_TOLD] = "leaving.told",
	[FAILPOINT_ARRIVING_BEGIN] = "arriving.begin",
	[FAILPOINT_ARRIVING_OPENED] = "arriving.opened",
	[FAILPOINT_ARRIVING_TOLD] = "arriving.told",
	[FAILPOINT_CALL] = "call",
};

static struct failpoint_entry *entries;

__attribute__((constructor)) static void failpoints_map(void)
{
	const char *path = getenv("FOREBAY_FAILPOINTS");
	size_t bytes = FAILPOINT_COUNT * sizeof(struct failpoint_entry);
	void *map = MAP_FAILED;
	int fd;

	if (!path)
		return;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0 && ftruncate(fd, (off_t)bytes) == 0)
		map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			   0);
	if (map == MAP_FAILED) {
		perror(path);
		_exit(EXIT_FAILURE);
	}
	close(fd);
	entries = map;
	for (unsigned int i = 0; i < FAILPOINT_COUNT; i++)
		snprintf(entries[i].name, sizeof(entries[i].name), "%s",
			 names[i]);
}

/* Returns: whether this is the hit that the test waits for. */
static int counted_down(struct failpoint_entry *entry)
{
	uint32_t left = __atomic_load_n(&entry->countdown, __ATOMIC_ACQUIRE);

	while (left > 0)
		if (__atomic_compare_exchange_n(&entry->countdown, &left,
						left - 1, 0, __ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE))
			return left == 1;
	return 0;
}

int failpoint_hit(enum failpoint point)
{
	struct failpoint_entry *entry;

	if (!entries)
		return 0;
	entry = &entries[point];
	__atomic_fetch_add(&entry->hits, 1, __ATOMIC_RELAXED);
	if (!counted_down(entry))
		return 0;
	switch ((enum failpoint_action)entry->action) {
	case FAILPOINT_DIE:
		raise(SIGKILL);
		break;
	case FAILPOINT_STOP:
		raise(SIGSTOP);
		break;
	case FAILPOINT_CRASH:
		raise(SIGSEGV);
		break;
	case FAILPOINT_FAIL:
		return entry->error;
	case FAILPOINT_NOTHING:
		break;
	}
	return 0;
}
