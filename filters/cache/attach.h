/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach.h - gets the disk's cache file from forebay-cached, and its lock; then
 * the memory that a predecessor may have left there.
 *
 *   CONNECTING -> ASKING -> LOCKING -> RECALLING -> done
 *        ^----------'  ^-------'
 *     channel lost    the file was deleted while we waited
 *
 * Not a byte of the file or of the memory is touched before the lock is held:
 * it proves that every predecessor is gone, killed or not, and that its I/O has
 * left the kernel. Without the memory the cache starts all the same, later.
 */
#ifndef FOREBAY_CACHE_ATTACH_H
#define FOREBAY_CACHE_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "forebay/filter.h"

/* How long forebay-cached may take to answer, and a predecessor to end. */
#define ATTACH_ANSWER_DEADLINE_NS (UINT64_C(15) * 1000 * 1000 * 1000)
#define ATTACH_LOCK_DEADLINE_NS (UINT64_C(30) * 1000 * 1000 * 1000)
#define ATTACH_MEMORY_DEADLINE_NS (UINT64_C(1) * 1000 * 1000 * 1000)
#define ATTACH_LOCK_RETRY_NS (UINT64_C(5) * 1000 * 1000)
/* Waits longer than this are logged. */
#define ATTACH_LOG_AFTER_NS (UINT64_C(1) * 1000 * 1000 * 1000)

enum attach_phase {
	ATTACH_CONNECTING,
	ATTACH_ASKING,
	ATTACH_LOCKING,
	ATTACH_RECALLING,
	ATTACH_ENDED,
};

struct attach {
	const struct forebay_host *host;
	struct forebay_instance *instance;
	const struct forebay_disk *disk;
	enum attach_phase phase;
	uint64_t phase_since_ns; /* CONNECTING and ASKING count as one */
	bool logged;
	bool connected;
	bool again; /* somebody was told already why it takes time */
	struct forebay_timer timer;
	/* 0: ->fd is locked. Else ->error has the words. Comes once. */
	void (*done)(struct attach *attach, int status);
	/* How much memory the file's index needs. */
	uint64_t (*kept_bytes)(const struct attach *attach);
	void *owner;
	/* Results. The descriptor is the owner's after success. */
	int fd;
	uint64_t file_bytes;
	uint64_t granted_bytes; /* how much of it may be used */
	bool unused; /* no log was ever written to it */
	void *kept; /* kept_bytes(), the host's; NULL: there is none */
	struct error error;
};

/* @attach: zeroed but for host, instance, disk, done, kept_bytes and owner. */
void attach_start(struct attach *attach);
/* Order: it has ended. Once more, from the beginning. */
void attach_again(struct attach *attach);
/* done() doesn't come any more. */
void attach_cancel(struct attach *attach);
void attach_channel_state(struct attach *attach, bool connected);
void attach_memory(struct attach *attach, void *address);
/* Owns: takes the descriptors. */
void attach_message(struct attach *attach, const void *bytes, size_t count,
		    const int *fds, uint32_t fd_count);

#endif
