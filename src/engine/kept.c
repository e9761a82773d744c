// SPDX-License-Identifier: Apache-2.0
/*
 * kept.c - see kept.h.
 */
#include "kept.h"

#include <stddef.h>
#include <string.h>

#include "core.h"
#include "crc32c.h"

#define KEPT_VERSION 5u

#ifdef FOREBAY_PLANTED_BUGS
void (*undo_stored_hook)(void);
#endif

/* Another build or another size: another layout. */
static uint64_t layout_of(const struct engine *engine)
{
	const uint64_t shape[] = {
		KEPT_VERSION,
		sizeof(struct kept),
		sizeof(struct segment),
		sizeof(struct index_leaf),
		INDEX_LEAF_BLOCKS,
		CHUNK_PAGE_BYTES,
		engine->config.disk_bytes,
		engine->config.file_bytes,
		engine->config.segment_blocks,
	};

	/* Zero is what memory is that nobody has written. */
	return UINT64_C(1) << 32 | crc32c(0, shape, sizeof(shape));
}

void kept_format(struct engine *engine)
{
	struct kept *kept = engine->kept;

	/*
	 * Without a layout nobody has touched it: all zeros. It is never taken
	 * back, for this may be cut short, too.
	 */
	if (kept->layout != 0) {
		kept->ready = 0;
		undo_stored();
		memset(&kept->uuid, 0,
		       sizeof(*kept) - offsetof(struct kept, uuid));
		index_clear(&engine->index);
		ghost_clear(&engine->ghosts);
		segments_clear(&engine->segments);
	}
	kept->layout = layout_of(engine);
	memcpy(kept->uuid, engine->config.uuid, sizeof(kept->uuid));
}

static bool believed(const struct engine *engine)
{
	const struct kept *kept = engine->kept;
	uint64_t generation = engine->superblock.image->generation;

	return engine->config.warm && kept->layout == layout_of(engine) &&
	       memcmp(kept->uuid, engine->config.uuid, sizeof(kept->uuid)) ==
		       0 &&
	       kept->ready == 1 && kept->undo.count <= UNDO_STORES_MAX &&
	       (generation == kept->generation ||
		generation == kept->next_generation) &&
	       (kept->doubt_ns == 0 ||
		engine->now_ns - kept->doubt_ns >= KEPT_DOUBT_NS);
}

bool kept_good(struct engine *engine)
{
	if (!believed(engine))
		return false;
	undo_roll_back(&engine->kept->undo);
	index_commit(&engine->index);
	return true;
}

void kept_begin(struct engine *engine, uint64_t sequence)
{
	struct kept *kept = engine->kept;

	kept->sequence = sequence;
	kept_tail(engine, engine->segments.tail, engine->tail_sequence);
	undo_stored();
	kept->ready = 1;
	undo_stored();
}

void kept_applied(struct engine *engine, uint64_t sequence)
{
	undo_stored();
	engine->kept->sequence = sequence;
	undo_stored();
}

void kept_tail(struct engine *engine, uint32_t segment, uint64_t sequence)
{
	struct kept *kept = engine->kept;

	UNDO_SET(&kept->undo, kept->tail_sequence, sequence);
	UNDO_SET(&kept->undo, kept->tail, segment);
	undo_commit(&kept->undo);
}

void kept_unsaid(struct engine *engine, uint64_t upto)
{
	struct kept *kept = engine->kept;

	if (upto > kept->unsaid)
		kept->unsaid = upto;
	undo_stored();
}

void kept_doubt(struct engine *engine)
{
	/* At the very first instant of a clock it would say never. */
	engine->kept->doubt_ns = engine->now_ns > 0 ? engine->now_ns : 1;
}

void kept_forsake(struct engine *engine)
{
	engine->kept->ready = 0;
}

void kept_superblock(struct engine *engine, bool done)
{
	struct kept *kept = engine->kept;

	kept->next_generation = engine->superblock.image->generation;
	if (done)
		kept->generation = kept->next_generation;
	undo_stored();
}
