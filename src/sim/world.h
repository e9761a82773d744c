/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world.h - one engine with its SSD, its backend, a guest and an oracle.
 *
 * A world advances by one event at a time: the guest submits something, an I/O
 * that is under way ends (any of them: order is chance), or time passes. Every
 * event boundary may be a crash. What is checked: every read against the
 * oracle, and after a crash every sector of the disk.
 */
#ifndef FOREBAY_SIM_WORLD_H
#define FOREBAY_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "engine.h"
#include "medium.h"
#include "memory.h"
#include "oracle.h"
#include "random.h"

/* What the storage does, and how hard the guest drives it. */
enum world_kind {
	WORLD_CALM,
	WORLD_CROWDED, /* many writes at once on few blocks */
	WORLD_FAULTY, /* I/O fails now and then */
	WORLD_DAMAGED, /* between crash and start the cache file is changed */
	WORLD_LYING, /* the SSD loses and misplaces writes, and bits rot */
	WORLD_KINDS
};

#define WORLD_IO_TYPES (ENGINE_VOID + 1)

/* Which of the I/Os under way ends next. */
enum world_order { WORLD_BY_CHANCE, WORLD_OLDEST_FIRST, WORLD_NEWEST_FIRST };

/* Chosen by the seed: each run tries another corner. */
struct world_options {
	enum world_kind kind;
	enum world_order order;
	uint32_t fault_permille[WORLD_IO_TYPES];
	uint32_t lie_permille; /* of the SSD's writes, and of all events */
	uint32_t outage_permille; /* below goes away for a while */
	uint32_t look_permille; /* of the event boundaries, for crashes */
	uint32_t warm_events; /* before the first of them */
	uint32_t dirty_limit_percent;
	uint64_t disk_bytes;
	uint64_t file_bytes;
	uint32_t segment_blocks;
	uint32_t records_in_flight;
	uint32_t queue_depth;
	uint32_t write_blocks_max;
	uint32_t read_blocks_max;
	uint32_t part_percent; /* writes that aren't whole blocks */
	uint32_t read_percent;
	uint32_t flush_percent;
	uint32_t fua_percent;
	uint32_t mutate_percent; /* buffers that change in flight */
	uint32_t mode_percent; /* switch mode */
	uint32_t zero_percent; /* of writes: zeroes and discards */
	uint32_t zeroing_blocks_max;
	uint32_t drain_percent; /* toggle draining */
	uint32_t hold_percent; /* have below held, or release it */
	uint32_t granted_segments; /* at a start; 0: all, for good */
	uint32_t grant_percent; /* change the grant */
	uint32_t complete_percent; /* end an I/O rather than submit */
	uint64_t hot_blocks; /* most writes go here */
	uint64_t max_dirty_bytes;
	uint64_t destage_bytes_per_s;
	bool paced;
	bool summaries;
	bool durable_writes;
	bool withdraws; /* an SSD that fails is taken out of use */
	enum engine_mode mode;
	enum engine_planted_bug bug;
	bool verbose; /* print every event of the world that lives */
};

/* Sectors of the largest disk. */
#define WORLD_SECTORS_MAX 512u
#define WORLD_REQUESTS_MAX 24u
#define WORLD_IOS_MAX 1024u
#define WORLD_REQUEST_SECTORS_MAX 256u

struct world_request {
	struct engine_request engine;
	struct iovec iov[2];
	uint8_t *bytes;
	uint64_t submitted;
	uint64_t floors[WORLD_REQUEST_SECTORS_MAX]; /* what a read must see */
	uint64_t versions[WORLD_REQUEST_SECTORS_MAX];
	uint64_t changed[WORLD_REQUEST_SECTORS_MAX]; /* by the guest, in flight
						      */
	bool busy;
};

struct world_io {
	struct engine_io *io;
	uint64_t number; /* counts them all */
	size_t ssd_writes; /* that a flush covers */
	size_t below_writes;
};

/* What stands beside the layers below; it is durable at once. */
struct world_sidecar {
	uint64_t generation;
	uint64_t voided;
};

/* Between two virtual moments. */
#define WORLD_STEP_NS 50000u

/* See backup.h. */
struct backup {
	uint64_t time; /* of the point */
	uint64_t floors[WORLD_SECTORS_MAX];
	bool fixed; /* there is one */
	bool held;
};

struct world {
	struct world_options options;
	struct world_sidecar sidecar;
	struct random random;
	struct medium ssd;
	struct medium below;
	struct oracle *oracle;
	struct engine *engine;
	struct engine_memory memory; /* its two parts */
	size_t kept_bytes;
	struct memory own; /* they go back to a new engine's */
	struct memory outliving; /* what a process that is killed leaves */
	enum engine_mode kept_mode; /* what that engine was made with */
	bool kept; /* there is one in them */
	bool kept_format;
	uint8_t *request_memory;
	struct world_request requests[WORLD_REQUESTS_MAX];
	struct world_io ios[WORLD_IOS_MAX];
	uint32_t io_count;
	uint64_t io_number;
	uint64_t now_ns;
	uint64_t voids; /* SSDs that were taken out of use */
	uint64_t settle_events_max; /* that it took to end all requests */
	uint32_t outage_events; /* that below stays away */
	bool outage_hangs; /* I/O to it waits; else it fails */
	uint32_t trace; /* hash of all that happened */
	struct backup backup;
	bool drained;
	bool taken; /* the layers below, by this engine */
	bool faults; /* I/O may fail now */
	bool may_fail; /* so may requests */
	bool lied; /* the SSD has, to this incarnation */
	bool aftermath; /* a crash may have taken back what was seen */
	bool witness; /* looks at a crash: what it does isn't history */
	bool guest; /* submits by itself; off while a crash is looked at */
	char failure[256]; /* the first thing that was wrong */
};

void world_options_draw(struct world_options *options, struct random *random,
			enum world_kind kind);
void world_init(struct world *world, const struct world_options *options,
		uint64_t seed, struct oracle *oracle);
/* Another world for looking at crashes, with the same sizes. */
void world_init_like(struct world *world, const struct world *model);
void world_free(struct world *world);

/* A fresh engine on what the media hold. */
void world_boot(struct world *world, bool may_format);
/* And on what is in its kept memory. */
void world_boot_warm(struct world *world);
/* One event. Returns: false if there was nothing to do. */
bool world_step(struct world *world);
/* Steps until the engine runs or has failed. */
bool world_started(struct world *world);
/* Steps until the engine runs. Returns: false if it doesn't get there. */
bool world_recover(struct world *world);
/* Most events until all requests have ended when nothing fails any more. */
#define WORLD_LIVENESS_EVENTS 20000u
/* Lets everything that was submitted end. */
bool world_settle(struct world *world);
/* A FLUSH of the guest; it may fail if requests may. */
bool world_flush(struct world *world);
/* Destages everything and lets it end. */
bool world_drain(struct world *world);

/*
 * Closes the engine, whose requests have ended. Returns: false if that took
 * more than @steps, and the world stands in the middle of it.
 */
bool world_close(struct world *world, uint64_t steps);

enum world_crash { WORLD_POWER_FAILURE, WORLD_PROCESS_KILLED };

/* @to takes the media of @from as they are; what is under way is left out. */
void world_take(struct world *to, const struct world *from);
/*
 * The I/O under way that is in the bit mask @which has arrived on @media's
 * media: in the order of its slots. Returns: how many writes there were.
 */
uint32_t world_arrive(struct world *media, const struct world *world,
		      uint64_t which);
/* @world crashes here and now, as chance wants; then it needs a boot. */
void world_crash(struct world *world, enum world_crash kind);

/* In place of a version: the block can't be read. */
#define WORLD_UNREADABLE (UINT64_MAX - 1)

/* Reads the whole disk: which versions stand there. */
bool world_read_all(struct world *world, uint64_t *ret_versions);
/*
 * Do these hold after @kind at the oracle's time? With @settle the oracle takes
 * them as the truth from now on.
 */
bool world_check_versions(struct world *world, enum world_crash kind,
			  const uint64_t *versions, bool settle);
/* And if the process was killed at @time. */
bool world_check_killed(struct world *world, uint64_t time,
			const uint64_t *versions);
/* Reads and checks. */
bool world_check_all(struct world *world, enum world_crash kind, bool settle);
/* Drains; then the layers below alone hold exactly @versions. */
bool world_check_drained(struct world *world, const uint64_t *versions);
/* After a drain: the backend alone holds the disk. */
bool world_check_backend(struct world *world);

/* Takes the engine's actions and what it completed. */
void world_pump(struct world *world);
/* Goes into the hash, and onto the terminal when somebody looks. */
void world_trace(struct world *world, const char *what, uint64_t place,
		 uint64_t amount);
void world_fail(struct world *world, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
