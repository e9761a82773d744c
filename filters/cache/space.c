// SPDX-License-Identifier: Apache-2.0
/* space.c - see space.h. */
#include "space.h"

#include <errno.h>
#include <string.h>

#include "settings.h"

#define TICK_NS (UINT64_C(1) * 1000 * 1000 * 1000)
/* At a time: 32 MiB are allocated, holes of 256 MiB are made. */
#define ALLOCATED_MAX 16u
#define HOLES_MAX 128u
#define ZERO_BYTES (UINT64_C(16) << 10)
#define ZERO_PARTS (POOL_GRANULE_BYTES / ZERO_BYTES)

static const _Alignas(4096) uint8_t zeros[ZERO_BYTES];

uint32_t space_segments(uint64_t granted_bytes)
{
	/* The first granule has the superblocks. */
	return (uint32_t)(granted_bytes / POOL_GRANULE_BYTES) - 1;
}

static void advance(struct space *space);

static struct engine_stats stats_of(const struct space *space)
{
	struct engine_stats stats = {0};

	runner_stats(space->runner, &stats);
	return stats;
}

static void grant(struct space *space)
{
	runner_set_grant(space->runner, space_segments(space->granted_bytes));
}

/* -- what is on its way ------------------------------------------------- */

static void stop(struct space *space)
{
	void (*ended)(void *context) = space->ended;

	if (!ended || space->busy)
		return;
	/* What isn't there by now won't come: the log's end can't wait for it.
	 */
	if (space->runner)
		runner_set_grant(space->runner,
				 (uint32_t)stats_of(space).segments);
	space->ended = NULL;
	space->runner = NULL;
	ended(space->context);
}

static void allocation_failed(struct space *space, int result)
{
	if (result == -EOPNOTSUPP && !space->writes_zeros) {
		space->writes_zeros = true;
		return;
	}
	/* It may do for one of them; the others are tried again later. */
	space->full = space->count == 1;
	space->count = 1;
	if (!space->full)
		return;
	space->host->log(space->instance, FOREBAY_LOG_WARNING,
			 "the pool's file system gives no space that was "
			 "granted: %s; it is tried again",
			 strerror(-result));
	/* So that the log doesn't count on it. */
	runner_set_grant(space->runner, (uint32_t)stats_of(space).segments);
}

static void io_done(struct forebay_io *io, int result)
{
	struct space *space = io->owner;

	space->busy = false;
	if (space->allocates && result < 0)
		allocation_failed(space, result);
	for (uint32_t i = 0; space->allocates && result == 0 &&
			     i < space->count && !space->ended;
	     i++)
		runner_take_segment(space->runner, space->first + i);
	/* A hole that couldn't be made is one at the next start. */
	if (space->ended)
		stop(space);
	else
		advance(space);
}

static void io_start(struct space *space, bool allocates, uint64_t offset)
{
	static struct iovec iov[ZERO_PARTS];
	struct forebay_io *io = &space->io;

	space->busy = true;
	space->allocates = allocates;
	memset(io, 0, sizeof(*io));
	io->file = space->file;
	io->offset = offset;
	io->length = space->count * POOL_GRANULE_BYTES;
	io->done = io_done;
	io->owner = space;
	io->operation = allocates ? FOREBAY_WRITE_ZEROES : FOREBAY_DISCARD;
	if (allocates)
		io->flags = FOREBAY_NO_HOLE;
	if (allocates && space->writes_zeros) {
		for (size_t i = 0; i < ZERO_PARTS; i++)
			iov[i] = (struct iovec){(void *)zeros, ZERO_BYTES};
		io->operation = FOREBAY_WRITE;
		io->flags = 0;
		io->iov = iov;
		io->iov_count = ZERO_PARTS;
	}
	space->host->io_submit(space->instance, io);
}

/* -- what comes next ---------------------------------------------------- */

/* The first ones from @from on that are away, side by side, at most @most. */
static bool find_away(struct space *space, uint32_t from, uint32_t most,
		      uint64_t *ret_offset)
{
	struct engine_segment segment;

	if (!runner_next_away(space->runner, from, &segment))
		return false;
	space->first = segment.number;
	space->count = 1;
	*ret_offset = segment.offset;
	while (space->count < most &&
	       runner_next_away(space->runner, space->first + space->count,
				&segment) &&
	       segment.number == space->first + space->count)
		space->count++;
	return true;
}

static bool take_back(struct space *space)
{
	struct engine_segment segment;

	if (!runner_next_returned(space->runner, &segment))
		return false;
	space->first = segment.number;
	space->count = 1;
	if (segment.number < space->away_from)
		space->away_from = segment.number;
	io_start(space, false, segment.offset);
	return true;
}

static bool sweep(struct space *space)
{
	uint64_t offset;

	if (space->sweep == UINT32_MAX)
		return false;
	if (!find_away(space, space->sweep, HOLES_MAX, &offset)) {
		space->sweep = UINT32_MAX;
		return false;
	}
	space->sweep = space->first + space->count;
	io_start(space, false, offset);
	return true;
}

static void hand_over(struct space *space)
{
	struct engine_stats stats = stats_of(space);
	uint64_t missing = stats.segments_granted > stats.segments
				   ? stats.segments_granted - stats.segments
				   : 0;
	uint32_t most = space->writes_zeros ? 1 : ALLOCATED_MAX;
	uint64_t offset;

	if (space->full || missing == 0 ||
	    stats.mode_reason == ENGINE_MODE_SSD_FAILING ||
	    stats.mode_reason == ENGINE_MODE_SSD_FAILED)
		return;
	if (missing < most)
		most = (uint32_t)missing;
	if (!find_away(space, space->away_from, most, &offset))
		return;
	space->away_from = space->first;
	io_start(space, true, offset);
}

static void advance(struct space *space)
{
	if (!space->runner || space->busy || space->ended)
		return;
	if (!take_back(space) && !sweep(space))
		hand_over(space);
}

void space_returned(struct space *space)
{
	advance(space);
}

/* -- what forebay-cached is told ---------------------------------------- */

static struct pool_use use_of(const struct space *space,
			      const struct engine_stats *stats)
{
	return (struct pool_use){
		.type = POOL_USE,
		.version = POOL_PROTOCOL_VERSION,
		.limit_bytes = settings_limit(space->host, space->instance),
		.reservation_bytes =
			settings_reservation(space->host, space->instance),
		.granted_bytes = space->granted_bytes,
		.used_bytes = (stats->segments - stats->segments_free + 1) *
			      POOL_GRANULE_BYTES,
	};
}

static void tell(struct space *space, bool anew)
{
	struct engine_stats stats = stats_of(space);
	struct pool_use use = use_of(space, &stats);
	uint64_t used = stats.read_hit_bytes + stats.write_bytes;

	if (!anew && used == space->use_told &&
	    memcmp(&use, &space->told, sizeof(use)) == 0)
		return;
	space->told = use;
	use.use_bytes = used - space->use_told;
	if (space->host->channel_send(space->instance, &use, sizeof(use), NULL,
				      0) == 0)
		space->use_told = used;
}

void space_tell(struct space *space)
{
	if (space->runner && !space->ended)
		tell(space, true);
}

static void ticked(struct forebay_timer *timer)
{
	struct space *space = timer->owner;

	space->host->timer_arm(space->instance, timer, TICK_NS);
	tell(space, false);
	if (!space->full)
		return;
	space->full = false;
	grant(space);
	advance(space);
}

/* -- its life ----------------------------------------------------------- */

void space_init(struct space *space, const struct forebay_host *host,
		struct forebay_instance *instance)
{
	space->host = host;
	space->instance = instance;
	space->tick.expired = ticked;
	space->tick.owner = space;
}

void space_granted(struct space *space, uint64_t granted_bytes,
		   uint64_t reserved_bytes)
{
	space->granted_bytes = granted_bytes;
	space->reserved_bytes = reserved_bytes;
	if (!space->runner || space->ended)
		return;
	space->full = false;
	grant(space);
	advance(space);
}

/* What it gets at once isn't swept before. */
static uint32_t sweep_begin(const struct space *space)
{
	struct engine_stats stats = stats_of(space);
	struct engine_segment segment = {0};
	uint32_t from = 0;

	for (uint64_t i = stats.segments; i < stats.segments_granted; i++) {
		if (!runner_next_away(space->runner, from, &segment))
			return UINT32_MAX;
		from = segment.number + 1;
	}
	return from;
}

void space_begin(struct space *space, struct runner *runner, int file)
{
	space->runner = runner;
	space->file = file;
	space->full = false;
	space->away_from = 0;
	space->use_told = 0;
	/* It may have been told while the log was being read. */
	grant(space);
	space->sweep = sweep_begin(space);
	space->host->timer_arm(space->instance, &space->tick, TICK_NS);
	tell(space, true);
	advance(space);
}

void space_end(struct space *space, void (*ended)(void *context), void *context)
{
	space->host->timer_cancel(space->instance, &space->tick);
	space->ended = ended;
	space->context = context;
	stop(space);
}
