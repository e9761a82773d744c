/* SPDX-License-Identifier: Apache-2.0 */
/*
 * failpoint.h - named places where a test ends, stops or fails the process.
 *
 * A program that is built with FOREBAY_FAILPOINTS has them (tests/failures);
 * in all others a failpoint is nothing, not even its name. Names and what
 * happens at one are in os/failpoint.c; this is the part that the layers which
 * make no system call may see.
 *
 * A place has a failpoint where a kill leaves something half done: before and
 * after whatever another process, the next one or the storage sees.
 */
#ifndef FOREBAY_BASE_FAILPOINT_H
#define FOREBAY_BASE_FAILPOINT_H

enum failpoint {
	/* The engine's I/O, where it is given away and where it is back. */
	FAILPOINT_SSD_READ_BEGIN,
	FAILPOINT_SSD_READ_DONE,
	FAILPOINT_SSD_WRITE_BEGIN,
	FAILPOINT_SSD_WRITE_DONE,
	FAILPOINT_SSD_FLUSH_BEGIN,
	FAILPOINT_SSD_FLUSH_DONE,
	FAILPOINT_SUPERBLOCK_BEGIN,
	FAILPOINT_SUPERBLOCK_DONE,
	FAILPOINT_BELOW_READ_BEGIN,
	FAILPOINT_BELOW_READ_DONE,
	FAILPOINT_BELOW_WRITE_BEGIN,
	FAILPOINT_BELOW_WRITE_DONE,
	FAILPOINT_BELOW_FLUSH_BEGIN,
	FAILPOINT_BELOW_FLUSH_DONE,
	FAILPOINT_BELOW_ZERO_BEGIN,
	FAILPOINT_BELOW_ZERO_DONE,
	FAILPOINT_VOID_BEGIN,
	FAILPOINT_VOID_DONE,
	/* It has applied records, retired and cleaned; nothing is told yet. */
	FAILPOINT_ENGINE_POLLED,
	FAILPOINT_ENGINE_COMPLETED,
	FAILPOINT_ENGINE_CLOSING,
	FAILPOINT_ENGINE_CLOSED,
	/* The cache file and the kept memory, on the disk's side. */
	FAILPOINT_CACHE_GRANTED,
	FAILPOINT_CACHE_LOCKED,
	FAILPOINT_CACHE_RECALLED,
	FAILPOINT_KEPT_MAPPED,
	/* The same on the side of forebay-cached. */
	FAILPOINT_POOL_FILE_OPENED,
	FAILPOINT_POOL_FILE_ALLOCATED,
	FAILPOINT_POOL_FILE_SYNCED,
	FAILPOINT_POOL_FILE_NAMED,
	FAILPOINT_POOL_FILE_MADE,
	FAILPOINT_POOL_FILE_GRANTED,
	FAILPOINT_POOL_FILE_DELETED,
	FAILPOINT_KEPT_MADE,
	FAILPOINT_KEPT_GIVEN,
	/* A request of a virtqueue, from taken to told. */
	FAILPOINT_QUEUE_TAKEN,
	FAILPOINT_SPLIT_COUNTED,
	FAILPOINT_INFLIGHT_SET,
	FAILPOINT_QUEUE_REPLAYED,
	FAILPOINT_USED_STAGED,
	FAILPOINT_SPLIT_LINKED,
	FAILPOINT_INFLIGHT_STAGED,
	FAILPOINT_INFLIGHT_PREPARED,
	FAILPOINT_USED_SHOWN,
	FAILPOINT_SPLIT_CLEARED,
	FAILPOINT_INFLIGHT_CLEARED,
	FAILPOINT_QUEUE_NOTIFIED,
	FAILPOINT_PACKED_MARKED,
	FAILPOINT_PACKED_FILLED,
	FAILPOINT_PACKED_LISTED,
	FAILPOINT_PACKED_CLEARED,
	FAILPOINT_INFLIGHT_RESUMED,
	/* A request of NBD. */
	FAILPOINT_NBD_REPLY_BEGIN,
	FAILPOINT_NBD_REPLY_SENT,
	/* Whose the backend is. */
	FAILPOINT_SIDECAR_OPENED,
	FAILPOINT_SIDECAR_SIZED,
	FAILPOINT_SIDECAR_NAMED,
	FAILPOINT_SIDECAR_BEGIN,
	FAILPOINT_SIDECAR_WRITTEN,
	FAILPOINT_SIDECAR_SYNCED,
	FAILPOINT_CLAIM_RAISED,
	FAILPOINT_CLAIM_CLEARED,
	FAILPOINT_CLAIM_UNLOCKED,
	FAILPOINT_IMAGE_GROWN,
	FAILPOINT_IMAGE_GROWTH_SYNCED,
	/* The life of an open disk. */
	FAILPOINT_DISK_OPENED,
	FAILPOINT_DISK_EXPORTED,
	FAILPOINT_DISK_CONFINED,
	FAILPOINT_DISK_READY,
	FAILPOINT_DISK_QUIET,
	FAILPOINT_DISK_DRAINED,
	FAILPOINT_DISK_CLOSED,
	FAILPOINT_DISK_ANSWERED,
	FAILPOINT_RESIZE_PARKED,
	FAILPOINT_RESIZE_CLOSED,
	FAILPOINT_RESIZE_REOPENED,
	FAILPOINT_LEAVING_PARKED,
	FAILPOINT_LEAVING_DRAINED,
	FAILPOINT_LEAVING_CLOSED,
	FAILPOINT_LEAVING_TOLD,
	FAILPOINT_ARRIVING_BEGIN,
	FAILPOINT_ARRIVING_OPENED,
	FAILPOINT_ARRIVING_TOLD,
	/* Any call that may fail for lack of memory, space or descriptors. */
	FAILPOINT_CALL,
	FAILPOINT_COUNT,
};

#ifdef FOREBAY_FAILPOINTS
/* Dies, stops or returns, as the test has chosen. */
__attribute__((visibility("default"))) int failpoint_hit(enum failpoint point);

static inline void failpoint(enum failpoint point)
{
	failpoint_hit(point);
}

/* Returns: @result, or the error that the test has chosen. */
static inline int failpoint_result(enum failpoint point, int result)
{
	int error = failpoint_hit(point);

	return error < 0 ? error : result;
}
#else
static inline void failpoint(enum failpoint point)
{
	(void)point;
}

static inline int failpoint_result(enum failpoint point, int result)
{
	(void)point;
	return result;
}
#endif

#endif
