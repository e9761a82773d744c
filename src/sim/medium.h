/* SPDX-License-Identifier: Apache-2.0 */
/*
 * medium.h - a modelled SSD or backend with a volatile write cache.
 *
 * A finished write is visible at once and durable after a flush that was
 * started later has finished. A power failure keeps any subset of the writes
 * that are not durable, each whole or torn at its 512-byte sectors.
 *
 * What stands in a sector is an object that never changes, and media share it:
 * a copy of a medium copies pointers. Each medium has a hash of what is
 * visible, kept up to date with every sector: two media of a hash hold the
 * same.
 *
 * Owns: a medium owns what was written to it. A copy borrows: it is good until
 * the medium that it was made of is copied to, made compact or freed.
 */
#ifndef FOREBAY_SIM_MEDIUM_H
#define FOREBAY_SIM_MEDIUM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "random.h"

#define MEDIUM_SECTOR_BYTES 512u

struct medium_sector {
	uint64_t hash;
	struct medium_sector *moved; /* while its medium is made compact */
	uint8_t bytes[MEDIUM_SECTOR_BYTES];
};

/* Finished, not durable. Its sectors begin at @at in `pending`. */
struct medium_write {
	uint64_t first;
	uint32_t count;
	size_t at;
};

struct medium_image {
	struct medium_sector **sectors;
	uint64_t hash;
};

struct medium_chunk;

/* Sectors, in chunks that are filled one after the other. */
struct medium_store {
	struct medium_chunk **chunks;
	uint32_t chunk_count;
	uint32_t used; /* sectors */
};

struct medium {
	uint64_t sector_count;
	struct medium_image visible; /* what reads see */
	struct medium_image durable; /* what a power failure leaves at least */
	struct medium_write *writes; /* in order */
	size_t write_count;
	size_t write_capacity;
	struct medium_sector **pending; /* of the writes */
	size_t pending_count;
	size_t pending_capacity;
	struct medium_store store;
};

void medium_init(struct medium *medium, uint64_t bytes);
void medium_free(struct medium *medium);
/* @to takes the state of @from; both have the same size. */
void medium_copy(struct medium *to, const struct medium *from);
/* Borrows no more: it has all that it holds itself. */
void medium_own(struct medium *medium);
/* Forgets what nobody can read any more, if there is much of it. */
void medium_compact(struct medium *medium);

void medium_read(const struct medium *medium, uint64_t offset,
		 const struct iovec *iov, uint32_t iov_count);
void medium_write(struct medium *medium, uint64_t offset,
		  const struct iovec *iov, uint32_t iov_count);
/* The first @count writes that aren't durable become so. */
void medium_flush(struct medium *medium, size_t count);
/* A flush that failed: of the first @count writes some never become durable. */
void medium_flush_failed(struct medium *medium, struct random *random,
			 size_t count);
/* A write that was under way: some of it may have arrived, some not. */
void medium_write_torn(struct medium *medium, struct random *random,
		       uint64_t offset, const struct iovec *iov,
		       uint32_t iov_count);

/* These bytes of one sector's place; valid until that is written again. */
const uint8_t *medium_visible(const struct medium *medium, uint64_t sector);
const uint8_t *medium_durable(const struct medium *medium, uint64_t sector);
/* Puts whole sectors there, durable, past all writes: damage. */
void medium_put(struct medium *medium, uint64_t sector, const void *bytes,
		uint64_t count);

/* Which of the writes that aren't durable a power failure leaves. */
enum medium_fate_kind {
	MEDIUM_NOTHING,
	MEDIUM_EVERYTHING,
	MEDIUM_PREFIX, /* those before @write, and of it @sectors */
	MEDIUM_ALL_BUT, /* @write */
	MEDIUM_ONLY, /* @write */
	MEDIUM_RANDOM, /* each whole, torn, or not at all, by chance */
};

struct medium_fate {
	enum medium_fate_kind kind;
	uint32_t sectors;
	size_t write;
};

/*
 * All fates but the random ones: every prefix, each torn at every sector, every
 * one left out, every one alone. @number < medium_fates().
 */
size_t medium_fates(const struct medium *medium);
struct medium_fate medium_fate(const struct medium *medium, size_t number);
/* One of all, by chance. */
struct medium_fate medium_fate_draw(const struct medium *medium,
				    struct random *random);
/* Power fails: what isn't durable survives as @fate says. */
void medium_power_failure(struct medium *medium, struct medium_fate fate,
			  struct random *random);

#endif
