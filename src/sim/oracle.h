/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle.h - which versions of each 512-byte sector may be read.
 *
 * Each sector of each write is a version, and its bytes say which. Time is a
 * counter of the oracle's calls. Version v is too old if some version that must
 * hold was submitted after v had been acknowledged; two writes whose times
 * overlap may end either way. What must hold is, for a read, every write acked
 * before it was submitted; after a power failure, every write acked before a
 * FLUSH was submitted that was acked, and every acked FUA. And what a read has
 * shown to be overwritten never comes back, in whichever order overlapping
 * writes ended: see oracle_read(). Zeros may be any of the versions that were
 * zeros, and then are the newest that may stand there.
 */
#ifndef FOREBAY_SIM_ORACLE_H
#define FOREBAY_SIM_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ORACLE_SECTOR_BYTES 512u

struct oracle_version {
	uint64_t version;
	uint64_t submitted;
	uint64_t acked; /* 0: not */
	uint64_t seen; /* end of the first read of it; 0: none */
	uint64_t overwritten; /* end of a read that proves it; 0: none */
	bool zero; /* its bytes don't say which it is */
	bool doubtful; /* a FLUSH that should have made it durable failed */
	bool unsure; /* not settled by a power failure since: may be gone */
};

struct oracle_sector {
	struct oracle_version *versions;
	uint32_t count;
	uint32_t capacity;
	uint64_t durable_floor; /* newest submission that must hold */
};

struct oracle {
	struct oracle_sector *sectors;
	uint64_t sector_count;
	uint64_t time;
	uint64_t next_version;
	uint64_t promises; /* counts what was acknowledged */
	uint64_t oldest_read; /* submission of the oldest read under way */
};

void oracle_init(struct oracle *oracle, uint64_t sector_count);
void oracle_free(struct oracle *oracle);

uint64_t oracle_tick(struct oracle *oracle);
/* A sector of a write begins: fills @bytes with its new version. */
uint64_t oracle_write(struct oracle *oracle, uint64_t sector, void *bytes);
/* A sector becomes zeros. */
uint64_t oracle_zero(struct oracle *oracle, uint64_t sector);
/* The guest changes what @of is writing: either may be read afterwards. */
uint64_t oracle_change(struct oracle *oracle, uint64_t sector, uint64_t of,
		       void *bytes);
void oracle_acked(struct oracle *oracle, uint64_t sector, uint64_t version,
		  bool durable);
/* A FLUSH that was submitted at @submitted has been acked. */
void oracle_flushed(struct oracle *oracle, uint64_t submitted);

/* A sector of a write that failed; @changed: or the guest's other version. */
void oracle_write_failed(struct oracle *oracle, uint64_t sector,
			 uint64_t version, uint64_t changed);
/* A FLUSH has failed: what isn't durable need not become so any more. */
void oracle_flush_failed(struct oracle *oracle);

/* Newest submission among what had been acked at @time. */
uint64_t oracle_floor(const struct oracle *oracle, uint64_t sector,
		      uint64_t time);
/* A FLUSH failed that should have made a version of @sector durable. */
bool oracle_in_doubt(const struct oracle *oracle, uint64_t sector);
/*
 * Which version of @sector @bytes are: 0 if they are zeros. Returns: UINT64_MAX
 * if they are none.
 */
uint64_t oracle_identify(uint64_t sector, const void *bytes);
/* @version, or 0 for any zeros, isn't too old for @floor. */
bool oracle_allows(const struct oracle *oracle, uint64_t sector,
		   uint64_t version, uint64_t floor);
/* And it was submitted by @until. */
bool oracle_allows_between(const struct oracle *oracle, uint64_t sector,
			   uint64_t version, uint64_t floor, uint64_t until);
/*
 * Which version zeros are that were identified as 0, and are allowed. Returns:
 * 0 if nobody wrote them, and any other version as it is.
 */
uint64_t oracle_which(const struct oracle *oracle, uint64_t sector,
		      uint64_t version, uint64_t floor);
/*
 * Checks that @bytes are a version of @sector that isn't too old for @floor.
 * Returns: its version, or UINT64_MAX with the reason in @message.
 */
uint64_t oracle_check(const struct oracle *oracle, uint64_t sector,
		      const void *bytes, uint64_t floor, char *message,
		      size_t message_bytes);
/*
 * A read that was submitted at @submitted returned @version. Other versions
 * that had been acked or read before it was submitted are older, then. Returns:
 * false if @version is one of those itself.
 */
bool oracle_read(struct oracle *oracle, uint64_t sector, uint64_t version,
		 uint64_t submitted);
/*
 * After a power failure that was survived: @version is what stands there. If a
 * FLUSH of it failed, it may go away again until it is overwritten: the layers
 * below may have lost it, and a copy in the cache is clean and may be given up.
 */
void oracle_settle(struct oracle *oracle, uint64_t sector, uint64_t version);
/* The same, but nobody can read what stands there: any that may, may. */
void oracle_unread(struct oracle *oracle, uint64_t sector);
/* After a kill: @version was seen, so nothing older may be read any more. */
void oracle_seen(struct oracle *oracle, uint64_t sector, uint64_t version);

#endif
