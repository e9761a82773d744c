// SPDX-License-Identifier: Apache-2.0
/*
 * pressure.c - how full the log is of what the layers below lack.
 *
 * Two things are limited: blocks that are dirty, and segments, since a record
 * with little data takes a header all the same and the log is recycled from its
 * oldest dirty segment on. The fuller one counts. Lost blocks are left out of
 * both: they are dirty for good, and nothing that writers wait for.
 *
 * From PACE_SLOW on writers of write-back are slowed (pace.h). Destage begins
 * before that (destage.c), and works as hard as it can from URGENT on
 * (width.h), or when somebody waits for it.
 */
#include "pressure.h"

#include "core.h"

/* Then neither a cap nor the guest's reads slow destage. */
#define URGENT 650u
/* Begin to destage at such a pressure; where writers are slowed, before that.
 */
#define HIGH 750u
#define HIGH_PACED (PACE_SLOW * 4 / 5)

uint64_t pressure_limit_blocks(const struct engine *engine)
{
	uint64_t most = engine->config.max_dirty_bytes / LOG_BLOCK_BYTES;

	if (engine->config.max_dirty_bytes == 0 ||
	    most > engine->data_blocks_max)
		return engine->data_blocks_max;
	return most > 0 ? most : 1;
}

/* What is dirty soon counts as well, or a crowd of writes would pass by. */
static uint64_t waiting_blocks(const struct engine *engine)
{
	return dirty_data_blocks(engine) - engine->lost_blocks +
	       engine->writes.blocks;
}

static uint64_t room_blocks(const struct engine *engine)
{
	uint64_t most = pressure_limit_blocks(engine);
	uint64_t dirty = waiting_blocks(engine) + engine->lost_blocks;

	return dirty < most ? most - dirty : 0;
}

static uint32_t share(uint64_t used, uint64_t all)
{
	return used >= all ? PACE_FULL : (uint32_t)(used * PACE_FULL / all);
}

static uint32_t pressure_of(struct engine *engine)
{
	uint64_t used = waiting_blocks(engine);
	const struct segment_table *table = &engine->segments;
	/* What is about to be handed over counts in advance. */
	uint32_t has = table->count - table->away + grant_expected(engine);
	uint32_t kept = engine->reserve_segments + 1;
	uint32_t segments = has > kept ? has - kept : 0;
	uint32_t of_blocks = share(used, used + room_blocks(engine));
	uint64_t since_ns;
	uint32_t of_segments;

	/* Nobody is slowed: segments are evict.c's to look after. */
	if (!engine->config.paced)
		return of_blocks;
	of_segments = share(destage_backlog(engine, &since_ns), segments);
	return of_blocks > of_segments ? of_blocks : of_segments;
}

bool pressure_admits(struct engine *engine, uint64_t blocks)
{
	uint64_t waiting = waiting_blocks(engine);

	/* A request larger than the limit still has to get through. */
	if (waiting > 0 && blocks > room_blocks(engine)) {
		engine->writes.at_limit = true;
		return false;
	}
	/* Under a hold nothing goes below whose pace one could take. */
	return !engine->config.paced || hold_stands(engine) ||
	       engine->config.mode != ENGINE_WRITE_BACK ||
	       pace_admits(&engine->pace);
}

void pressure_charge(struct engine *engine, uint64_t blocks)
{
	pace_charge(&engine->pace, blocks);
	engine->writes.blocks += blocks;
	engine->writes.admitted_ns = engine->now_ns;
}

void pressure_arrived(struct engine *engine, uint64_t blocks)
{
	assert(engine->writes.blocks >= blocks);
	engine->writes.blocks -= blocks;
}

uint64_t pressure_next_ns(const struct engine *engine)
{
	if (!engine->writes.held_back || pace_admits(&engine->pace))
		return UINT64_MAX;
	return pace_next_ns(&engine->pace);
}

static void feed_samples(struct engine *engine)
{
	for (uint32_t i = 0; i < WIDTH_KINDS; i++) {
		struct timed_ios *timed = &engine->io.timed[i];

		if (timed->count > 0)
			width_sample(&engine->width, (enum width_kind)i,
				     timed->count,
				     timed->count * engine->now_ns -
					     timed->began_sum_ns);
		*timed = (struct timed_ios){0};
	}
}

void pressure_look(struct engine *engine)
{
	uint32_t pressure = pressure_of(engine);
	bool urgent = engine->destage.draining || pressure >= URGENT ||
		      engine->config.mode != ENGINE_WRITE_BACK ||
		      engine->writes.at_limit ||
		      !index_zeros_fit(&engine->index);

	pace_look(&engine->pace, engine->now_ns, pressure, room_blocks(engine));
	feed_samples(engine);
	width_look(&engine->width, engine->now_ns,
		   engine->destage.state != DESTAGE_IDLE, urgent);
}

/*
 * The oldest segment's turn must come before its age is reached, and that of
 * those behind it, too: at the rate that is known of, with as much time again
 * to spare.
 */
uint64_t pressure_due_ns(const struct engine *engine,
			 const struct segment *oldest)
{
	uint64_t age_ns = engine->config.max_dirty_age_ns;
	uint64_t rate = pace_below_rate(&engine->pace);
	uint64_t lead_ns =
		rate > 0 ? dirty_data_blocks(engine) * 2000000000ull / rate : 0;

	return oldest->opened_ns + age_ns -
	       (lead_ns < age_ns / 2 ? lead_ns : age_ns / 2);
}

bool pressure_due(struct engine *engine, const struct segment *oldest)
{
	return engine->writes.at_limit || !index_zeros_fit(&engine->index) ||
	       pressure_of(engine) >=
		       (engine->config.paced ? HIGH_PACED : HIGH) ||
	       engine->now_ns >= pressure_due_ns(engine, oldest);
}

uint64_t pressure_capped_until_ns(const struct engine *engine)
{
	const struct destage *destage = &engine->destage;
	uint64_t next = width_next_ns(&engine->width);

	return destage->state == DESTAGE_WRITE &&
			       destage->next_block < destage->block_count &&
			       next > engine->now_ns
		       ? next
		       : UINT64_MAX;
}
