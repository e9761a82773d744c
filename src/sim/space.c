// SPDX-License-Identifier: Apache-2.0
/*
 * space.c - see space.h.
 */
#include "space.h"

#include <string.h>

#include "log_format.h"

static uint32_t segments_of(const struct world_options *options)
{
	uint64_t blocks = options->file_bytes / LOG_BLOCK_BYTES -
			  log_first_segment_block(options->segment_blocks);

	return (uint32_t)(blocks / options->segment_blocks);
}

static uint32_t draw_grant(const struct world_options *options,
			   struct random *random)
{
	uint32_t most = segments_of(options) - ENGINE_SEGMENTS_MIN + 1;

	return ENGINE_SEGMENTS_MIN + (uint32_t)random_below(random, most);
}

void space_draw(struct world_options *options, const struct random *random)
{
	/* Of its own, so that a seed's other options stay what they were. */
	struct random own = {~random->state};

	if (options->kind == WORLD_DAMAGED || !random_percent(&own, 40))
		return;
	/* The smallest log has no space to give. */
	if (segments_of(options) < ENGINE_SEGMENTS_MIN + 4)
		options->file_bytes += random_below(&own, 9) *
				       options->segment_blocks *
				       LOG_BLOCK_BYTES;
	options->granted_segments = draw_grant(options, &own);
	options->grant_percent = 1 + (uint32_t)random_below(&own, 6);
}

uint32_t space_at_start(const struct world *world)
{
	const struct world_options *options = &world->options;

	/* It compares two starts, which shall not give anything up at once. */
	if (options->granted_segments > 0 && world->witness)
		return segments_of(options);
	return options->granted_segments;
}

void space_change(struct world *world)
{
	uint32_t segments = draw_grant(&world->options, &world->random);

	world_trace(world, "grant", segments, 0);
	engine_set_grant(world->engine, segments);
}

/* A hole, something else, or what was there: all of it like any write. */
static void spoil(struct world *world, const struct engine_segment *segment)
{
	static uint8_t bytes[LOG_SEGMENT_BLOCKS_MAX * LOG_BLOCK_BYTES];
	struct iovec iov = {bytes, segment->length};
	uint64_t choice = random_below(&world->random, 4);

	if (choice == 0)
		return;
	memset(bytes, choice == 1 ? 0xa5 : 0, segment->length);
	medium_write(&world->ssd, segment->offset, &iov, 1);
}

void space_take_back(struct world *world)
{
	struct engine_segment segment;

	while (engine_next_returned(world->engine, &segment)) {
		world_trace(world, "return", segment.number, 0);
		spoil(world, &segment);
	}
}

bool space_hand_over(struct world *world)
{
	struct engine_segment segment;
	struct engine_stats stats;

	if (world->options.granted_segments == 0 ||
	    engine_state(world->engine) != ENGINE_RUNNING)
		return false;
	engine_stats(world->engine, &stats);
	if (stats.segments >= stats.segments_granted ||
	    !engine_next_away(world->engine, 0, &segment))
		return false;
	world_trace(world, "hand over", segment.number, 0);
	engine_take_segment(world->engine, segment.number);
	return true;
}
