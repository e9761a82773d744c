// SPDX-License-Identifier: Apache-2.0
/*
 * recovery.c - from the bytes of a cache file to a running engine.
 *
 *   superblocks  the better copy; a blank file is formatted if that is allowed;
 *                kept memory may say that the log's end is all there is to read
 *                (warm.c), and then the passes are over a few segments
 *   heads        first block of every segment: which of them count
 *   survey       the records in each: where it ends, what was durable; by its
 *                summary if it has one
 *   resurvey     above the durable sequence a summary may know records that
 *                never got to the SSD: there the segment itself is asked
 *   verify       data of the records above the durable sequence -> the cut
 *   tail         the record at the cut says where the log begins
 *   apply        every record from the tail to the cut, in order
 *   flush, row   what was accepted becomes durable, then the new row does
 *
 * Continuity is judged on headers (rule 5). Above the highest sequence known to
 * be durable, the first gap is the cut, and so is the first write whose data
 * are wrong, unless a later record amends it. A gap at or below it is damage:
 * the disk is not opened, for nobody can say which blocks are missing. Nothing
 * is written before the last two steps, so recovery may be cut short anywhere
 * and repeated.
 */
#include "core.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "bitmap.h"
#include "recovery.h"
#include "segment_walk.h"
#include "sort.h"

void recovery_start(struct engine *engine)
{
	engine->recovery.state = RECOVERY_SUPERBLOCKS;
	superblock_read(engine);
}

static void head_take(struct engine *engine, uint32_t segment,
		      const struct log_segment_head *head)
{
	struct recovery *recovery = &engine->recovery;
	struct survey survey = {
		.first_sequence = head->first_sequence,
		.epoch = head->epoch,
		.incarnation = head->incarnation,
		.segment = segment,
		/* Summaries know of records that never got there. */
		.whole = recovery->warm ||
			 engine->config.inspection == ENGINE_INSPECT_HEADERS,
	};

	/* Reads as zeros: it may be an extent that was never written. */
	if (!recovery->warm)
		engine->segments.segments[segment].written = head->magic != 0;
	if (!log_segment_head_valid(head, engine->config.uuid))
		return;
	if (head->incarnation > engine->superblock.image->generation &&
	    !salvaging(engine)) {
		/* Its own was durable before its first append. */
		engine_fail(engine, -EUCLEAN,
			    "the newer copy of its superblock is damaged");
		return;
	}
	if (!superblock_find_row(engine, &survey) && !salvaging(engine))
		return;
	if (recovery->warm &&
	    !warm_wants(engine, segment, head->first_sequence))
		return;
	recovery->surveys[recovery->survey_count++] = survey;
}

static void head_read(struct engine *engine, struct engine_io *io, int status)
{
	struct io_slot *slot = io->owner;

	engine->recovery.heads_busy--;
	if (status < 0)
		engine_fail(engine, status, "reading the cache file failed");
	else
		head_take(engine, slot->segment, (const void *)slot->buffer);
	io_buffer_put(engine, slot->buffer);
	slot->buffer = NULL;
	io_slot_put(engine, slot);
}

static void read_head(struct engine *engine, uint32_t segment)
{
	struct io_slot *slot = io_slot_get(engine);

	assert(slot);
	slot->segment = segment;
	slot->buffer = io_buffer_get(engine, false);
	slot->iov[0] = (struct iovec){slot->buffer, LOG_BLOCK_BYTES};
	slot->io = (struct engine_io){
		.type = ENGINE_SSD_READ,
		.iov = slot->iov,
		.iov_count = 1,
		.offset = (uint64_t)segments_block(&engine->segments, segment) *
			  LOG_BLOCK_BYTES,
		.length = LOG_BLOCK_BYTES,
		.done = head_read,
		.owner = slot,
	};
	engine->recovery.heads_busy++;
	engine->stats.recovery_read_bytes += LOG_BLOCK_BYTES;
	io_out(engine, &slot->io);
}

static int by_sequence(const void *left, const void *right)
{
	const struct survey *a = left;
	const struct survey *b = right;

	return (a->first_sequence > b->first_sequence) -
	       (a->first_sequence < b->first_sequence);
}

static struct segment_walk walk_prepare(const struct engine *engine,
					const struct survey *survey)
{
	return (struct segment_walk){
		.uuid = engine->config.uuid,
		.last_sequence = survey->row_last,
		.disk_blocks = engine->disk_blocks,
		.block_count = engine->segments.segment_blocks,
	};
}

/* Over the segment that is in the buffer. */
static struct segment_walk walk_whole(struct engine *engine,
				      const struct survey *survey)
{
	struct segment_walk walk = walk_prepare(engine, survey);

	/* Until the survey has ended nobody knows what is durable. */
	if (salvaging(engine))
		walk.pass_gaps = engine->recovery.state == RECOVERY_SURVEY
					 ? UINT64_MAX
					 : engine->recovery.durable;
	segment_walk_start(&walk, engine->destage.buffer);
	if (walk.sequence + 1 != survey->first_sequence)
		walk.last_sequence = 0;
	return walk;
}

/* Does the summary say all that it means to, up to the end of the row? */
static bool summary_whole(const struct engine *engine,
			  const struct survey *survey,
			  const struct log_summary *summary)
{
	struct segment_walk walk = walk_prepare(engine, survey);
	uint32_t records = 0;

	segment_walk_start_summary(&walk, summary);
	while (segment_walk_next(&walk))
		records++;
	return records == summary->record_count ||
	       (records > 0 && walk.sequence == survey->row_last);
}

/*
 * A walk over the records of survey @at: by its summary, or if that isn't to be
 * had by the segment. Returns: false while what it needs is being read.
 */
static bool have_walk(struct engine *engine, uint32_t at, uint32_t end,
		      struct segment_walk *ret_walk)
{
	struct survey *survey = &engine->recovery.surveys[at];
	const struct log_summary *summary;
	int status = -ENODATA;

	if (!survey->whole) {
		status = recovery_summary(engine, at, end, &summary);
		if (status == -EAGAIN)
			return false;
		survey->whole =
			status < 0 || !summary_whole(engine, survey, summary);
	}
	if (!survey->whole) {
		*ret_walk = walk_prepare(engine, survey);
		segment_walk_start_summary(ret_walk, summary);
		return true;
	}
	if (!recovery_segment(engine, at))
		return false;
	*ret_walk = walk_whole(engine, survey);
	return true;
}

/* What is read several times must say the same each time. */
static void walked_to(struct engine *engine, const struct segment_walk *walk,
		      uint64_t last_sequence)
{
	if (walk->sequence != last_sequence && !salvaging(engine))
		engine_fail(engine, -EUCLEAN,
			    "record %llu of its log changed while it was read",
			    (unsigned long long)walk->sequence + 1);
}

static void survey_take(struct recovery *recovery, struct survey *survey,
			struct segment_walk *walk)
{
	survey->last_sequence = survey->first_sequence - 1;
	while (segment_walk_next(walk)) {
		if (walk->sequence == survey->first_sequence)
			survey->first_previous_crc = walk->header->previous_crc;
		survey->last_sequence = walk->sequence;
		survey->last_crc = walk->header->crc;
		if (walk->header->durable_sequence > recovery->durable)
			recovery->durable = walk->header->durable_sequence;
		if (walk->header->tail_sequence > recovery->tail_seen)
			recovery->tail_seen = walk->header->tail_sequence;
	}
}

bool recovery_follows(const struct survey *older, const struct survey *newer)
{
	return older->last_sequence + 1 == newer->first_sequence &&
	       newer->first_previous_crc ==
		       (newer->row_first ? 0 : older->last_crc);
}

/* D: what is known to be durable. */
static void settle_durable(struct engine *engine)
{
	struct recovery *recovery = &engine->recovery;
	const struct log_superblock *image = engine->superblock.image;
	uint64_t durable = superblock_rows_durable(image);

	if (recovery->durable < durable)
		recovery->durable = durable;
	if (recovery->durable < image->tail_sequence)
		recovery->durable = image->tail_sequence - 1;
}

void recovery_order(struct recovery *recovery)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < recovery->survey_count; i++) {
		if (recovery->surveys[i].last_sequence >=
		    recovery->surveys[i].first_sequence)
			recovery->surveys[kept++] = recovery->surveys[i];
	}
	recovery->survey_count = kept;
	sort_in_place(recovery->surveys, kept, sizeof(struct survey),
		      by_sequence);
}

/* Finds the newest segment that holds @sequence or begins right behind it. */
static bool find_start(struct recovery *recovery, uint64_t sequence)
{
	bool found = false;

	for (uint32_t i = 0; i < recovery->survey_count; i++) {
		const struct survey *survey = &recovery->surveys[i];

		if (survey->first_sequence <= sequence + 1 &&
		    survey->last_sequence >= sequence) {
			recovery->start = i;
			found = true;
		}
	}
	return found;
}

/*
 * The chain's newer half begins where the durable sequence is. If that segment
 * was reused, a flush had covered the record whose tail allowed it, though no
 * later record survived that says so: then the chain begins at that tail.
 * With neither, the log is empty, which is right if the superblock's tail has
 * passed all that is known to be durable.
 */
static void cold_chain(struct engine *engine)
{
	struct recovery *recovery = &engine->recovery;
	const struct log_superblock *image = engine->superblock.image;

	recovery_order(recovery);
	if (!find_start(recovery, recovery->durable) &&
	    (recovery->tail_seen <= recovery->durable ||
	     !find_start(recovery, recovery->tail_seen - 1))) {
		if (recovery->durable >= image->tail_sequence) {
			engine_fail(engine, -EUCLEAN,
				    "record %llu of its log is damaged",
				    (unsigned long long)recovery->durable);
			return;
		}
		recovery->start = recovery->survey_count;
	}
	recovery->end = recovery->start;
	while (recovery->end < recovery->survey_count &&
	       (recovery->end == recovery->start ||
		recovery_follows(&recovery->surveys[recovery->end - 1],
				 &recovery->surveys[recovery->end])))
		recovery->end++;
	recovery->cut =
		recovery->end > recovery->start
			? recovery->surveys[recovery->end - 1].last_sequence
			: image->tail_sequence - 1;
}

/* From the beginning, by what the SSD says alone. */
static void start_cold(struct engine *engine)
{
	struct recovery *recovery = &engine->recovery;

	kept_format(engine);
	recovery->warm = false;
	recovery->survey_count = 0;
	recovery->suspect_count = 0;
	recovery->durable = 0;
	recovery->tail_seen = 0;
	recovery->at = 0;
	recovery->state = RECOVERY_HEADS;
}

static void find_chain(struct engine *engine)
{
	struct recovery *recovery = &engine->recovery;

	if (salvaging(engine)) {
		salvage_chain(engine);
	} else if (!recovery->warm) {
		cold_chain(engine);
	} else if (!warm_chain(engine)) {
		start_cold(engine);
		return;
	}
	recovery->at = recovery->start;
	recovery->state = RECOVERY_VERIFY;
}

static void suspect_add(struct recovery *recovery, uint64_t sequence,
			uint64_t block)
{
	if (recovery->suspect_count == SUSPECTS_MAX) {
		/* No more can be kept: what follows isn't accepted. */
		if (sequence <= recovery->cut)
			recovery->cut = sequence - 1;
		return;
	}
	recovery->suspects[recovery->suspect_count++] = (struct suspect){
		.sequence = sequence,
		.block = block,
	};
}

static void suspects_amend(struct recovery *recovery, uint64_t block,
			   uint64_t from, uint64_t by)
{
	for (uint32_t i = 0; i < recovery->suspect_count; i++) {
		struct suspect *suspect = &recovery->suspects[i];

		if (suspect->block == block && suspect->sequence >= from &&
		    suspect->sequence < by && suspect->amended_by == 0)
			suspect->amended_by = by;
	}
}

static void verify_record(struct engine *engine,
			  const struct segment_walk *walk)
{
	struct recovery *recovery = &engine->recovery;
	uint32_t seed = log_check_seed(engine->config.uuid, walk->sequence);
	struct log_entry_cursor cursor;

	log_entries_start(&cursor, walk->header);
	while (log_entries_next(&cursor)) {
		const struct log_entry *entry = cursor.entry;

		/* A wrong fill is found when it is read; below has the data. */
		if (entry->type != LOG_WRITE && entry->type != LOG_REAPPEND)
			continue;
		for (uint32_t i = 0; i < entry->block_count; i++) {
			const uint8_t *data =
				segment_walk_data(walk, cursor.data_block + i);
			uint64_t block = entry->first_block + i;

			if (log_check(seed, block, data) != cursor.checks[i])
				suspect_add(recovery, walk->sequence, block);
			else if (entry->flags & LOG_ENTRY_AMENDS)
				suspects_amend(recovery, block, entry->upto,
					       walk->sequence);
		}
	}
}

static void verify_segment(struct engine *engine, const struct survey *survey)
{
	struct segment_walk walk = walk_whole(engine, survey);

	while (segment_walk_next(&walk)) {
		if (walk.sequence <= engine->recovery.durable ||
		    engine_bug(engine, ENGINE_BUG_TORN_ACCEPTED))
			continue;
		verify_record(engine, &walk);
		engine->stats.recovery_checked_records++;
	}
	walked_to(engine, &walk, survey->last_sequence);
}

/* A cut may take an amendment away, and so make another suspect the cut. */
static void cut_at_suspects(struct recovery *recovery)
{
	bool moved = true;

	while (moved) {
		moved = false;
		for (uint32_t i = 0; i < recovery->suspect_count; i++) {
			const struct suspect *suspect = &recovery->suspects[i];

			if (suspect->sequence > recovery->cut ||
			    (suspect->amended_by != 0 &&
			     suspect->amended_by <= recovery->cut))
				continue;
			recovery->cut = suspect->sequence - 1;
			moved = true;
		}
	}
}

static void verify_advance(struct engine *engine)
{
	struct recovery *recovery = &engine->recovery;

	while (recovery->at < recovery->end) {
		const struct survey *survey = &recovery->surveys[recovery->at];

		if (survey->last_sequence > recovery->durable) {
			if (!recovery_segment(engine, recovery->at))
				return;
			verify_segment(engine, survey);
		}
		recovery->at++;
	}
	cut_at_suspects(recovery);
	/* The segment of the cut; none if the cut is below them all. */
	while (recovery->end > 0 &&
	       recovery->surveys[recovery->end - 1].first_sequence >
		       recovery->cut)
		recovery->end--;
	recovery->ahead = 0;
	if (recovery->warm) {
		recovery->tail = engine->kept->tail_sequence;
		recovery->first = 0;
		recovery->at = 0;
		recovery->state = RECOVERY_APPLY;
	} else {
		recovery->tail = engine->superblock.image->tail_sequence;
		recovery->state = RECOVERY_TAIL;
	}
}

/* Goes down from the cut's segment to the tail's. */
static void find_first(struct engine *engine)
{
	struct recovery *recovery = &engine->recovery;
	const struct log_superblock *image = engine->superblock.image;
	uint32_t first = recovery->end;

	while (first > 0 &&
	       recovery->surveys[first - 1].last_sequence >= recovery->tail) {
		if (first < recovery->end && !salvaging(engine) &&
		    !recovery_follows(&recovery->surveys[first - 1],
				      &recovery->surveys[first]))
			break;
		first--;
	}
	if (!salvaging(engine) &&
	    (first < recovery->end
		     ? recovery->surveys[first].first_sequence > recovery->tail
		     : recovery->tail <= recovery->cut)) {
		if (recovery->durable >= image->tail_sequence) {
			engine_fail(
				engine, -EUCLEAN,
				"records from %llu on are missing in its log",
				(unsigned long long)recovery->tail);
			return;
		}
		/* None of them was durable, so all that follows is abandoned.
		 */
		recovery->cut = image->tail_sequence - 1;
		recovery->end = 0;
		first = 0;
	}
	recovery->first = first;
	recovery->at = first;
	recovery->ahead = first;
	recovery->state = RECOVERY_APPLY;
}

static void tail_advance(struct engine *engine)
{
	struct recovery *recovery = &engine->recovery;
	struct segment_walk walk;

	if (recovery->end > 0 && recovery->cut >= recovery->tail) {
		if (!have_walk(engine, recovery->end - 1, recovery->end, &walk))
			return;
		while (segment_walk_next(&walk)) {
			if (walk.sequence <= recovery->cut &&
			    walk.header->tail_sequence > recovery->tail &&
			    !engine_bug(engine, ENGINE_BUG_TAIL_IGNORED))
				recovery->tail = walk.header->tail_sequence;
		}
	} else {
		recovery->end = 0;
		recovery->cut = recovery->tail - 1;
	}
	find_first(engine);
}

static void apply_segment(struct engine *engine, const struct survey *survey,
			  struct segment_walk walk)
{
	struct recovery *recovery = &engine->recovery;
	struct segment *segment = &engine->segments.segments[survey->segment];

	/* Copies in it that are mapped already stay so. */
	memset(segment->starts, 0, sizeof(segment->starts));
	if (segment->first_sequence != survey->first_sequence)
		segment->opened_ns = engine->now_ns;
	segment->first_sequence = survey->first_sequence;
	segment->state = SEGMENT_SEALED;
	segment->written = true;
	if (walk.last_sequence > recovery->cut)
		walk.last_sequence = recovery->cut;
	while (segment_walk_next(&walk)) {
		struct apply apply = {
			.header = walk.header,
			.location = segments_block(&engine->segments,
						   survey->segment) +
				    walk.block,
		};
		struct log_entry_cursor cursor;

		/* A location's sequence is a count of these bits. */
		bitmap_set_range(segment->starts, walk.block - walk.missing,
				 walk.missing + 1);
		if (salvaging(engine))
			salvage_pass(engine, walk.sequence);
		segment->last_sequence = walk.sequence;
		segment->used_blocks =
			walk.block + 1 + walk.header->data_blocks;
		segment->retired_blocks = segment->used_blocks;
		if (walk.sequence <= engine->kept->sequence)
			continue;
		log_entries_start(&cursor, walk.header);
		while (log_entries_next(&cursor))
			apply_entry(engine, &apply, &cursor);
		kept_applied(engine, walk.sequence);
		engine->stats.recovered_records++;
	}
	engine->stats.recovery_summaries += !survey->whole;
	engine->stats.recovery_whole_segments += survey->whole;
	walked_to(engine, &walk,
		  survey->last_sequence < recovery->cut ? survey->last_sequence
							: recovery->cut);
}

/* The segments as the log left them: what isn't in the chain is free. */
static bool list_segments(struct engine *engine)
{
	const struct recovery *recovery = &engine->recovery;
	struct segment_table *table = &engine->segments;

	if (recovery->warm) {
		if (warm_segments(engine))
			return true;
		start_cold(engine);
		return false;
	}
	segments_list_none(table);
	for (uint32_t i = recovery->first; i < recovery->end; i++)
		segments_list_held(table, recovery->surveys[i].segment);
	segments_list_others(table, engine->config.granted_segments > 0);
	engine->destage.oldest = table->tail;
	return true;
}

static void apply_advance(struct engine *engine)
{
	struct recovery *recovery = &engine->recovery;
	struct segment_walk walk;

	if (recovery->at == recovery->first && !list_segments(engine))
		return;
	while (recovery->at < recovery->end) {
		uint32_t at = recovery_turn(engine);

		if (!have_walk(engine, at, recovery->end, &walk))
			return;
		apply_segment(engine, &recovery->surveys[at], walk);
		recovery->at++;
	}
	if (!stale_settle(engine))
		return;
	engine->tail_sequence = recovery->tail;
	if (engine->config.inspection != ENGINE_INSPECT_NOT) {
		inspect_finish(engine);
		return;
	}
	superblock_add_row(engine, recovery->cut);
	recovery->state = RECOVERY_FLUSH;
}

static void running(struct engine *engine)
{
	struct append *append = &engine->append;
	struct flusher *flusher = &engine->flusher;
	uint64_t cut = engine->recovery.cut;

	append->first_in_flight = cut + 1;
	append->next_sequence = cut + 1;
	append->completed_sequence = cut;
	append->acked_write_sequence = cut;
	append->completed_tail = engine->tail_sequence;
	flusher->durable_sequence = cut;
	flusher->durable_tail = engine->tail_sequence;
	/* A predecessor may have acknowledged what nobody has flushed below. */
	engine->superblock.below_noted = (engine->superblock.image->flags &
					  LOG_SUPERBLOCK_BELOW_UNFLUSHED) != 0;
	flusher->below_writes = engine->superblock.below_noted;
	flusher->below_unknown = flusher->below_writes;
	flusher->below_flushed = 0;
	engine->tail_guard = cut;
	/* Which mode its writes had is over: what is dirty goes below. */
	engine->mode_barrier = cut;
	engine->recovery.state = RECOVERY_OFF;
	engine->state = ENGINE_RUNNING;
	/* Lost blocks are known now. */
	grant_settle(engine, engine->promised_segments);
	kept_begin(engine, cut);
}

static void accepted_durable(struct engine *engine, struct engine_io *io,
			     int status)
{
	(void)io;
	engine->progress = true;
	if (status < 0) {
		engine_fail(engine, status, "flushing the SSD failed");
		return;
	}
	superblock_write(engine, engine->tail_sequence, running);
}

/* Else a power failure could take what the closed row then vouches for. */
static void flush_accepted(struct engine *engine)
{
	struct recovery *recovery = &engine->recovery;

	recovery->state = RECOVERY_ROW;
	if (engine_bug(engine, ENGINE_BUG_ACCEPTED_UNFLUSHED)) {
		superblock_write(engine, engine->tail_sequence, running);
		return;
	}
	recovery->io = (struct engine_io){
		.type = ENGINE_SSD_FLUSH,
		.done = accepted_durable,
	};
	io_out(engine, &recovery->io);
}

static void superblocks_advance(struct engine *engine)
{
	struct error error = {0};

	if (engine->superblock.reads_busy > 0)
		return;
	if (superblock_choose(engine, &error) < 0) {
		engine_fail(engine, error.code, "%s", error.message);
		return;
	}
	if (!warm_begin(engine)) {
		start_cold(engine);
		return;
	}
	engine->recovery.warm = true;
	engine->recovery.at = 0;
	engine->recovery.state = RECOVERY_HEADS;
}

static void heads_advance(struct engine *engine)
{
	struct recovery *recovery = &engine->recovery;

	while (recovery->at < engine->segments.count &&
	       recovery->heads_busy < RECOVERY_HEADS_IN_FLIGHT) {
		uint32_t segment = recovery->at++;

		if (!recovery->warm || warm_asks(engine, segment))
			read_head(engine, segment);
	}
	if (recovery->at < engine->segments.count || recovery->heads_busy > 0)
		return;
	if (salvaging(engine))
		salvage_rows(engine);
	recovery->at = 0;
	recovery->ahead = 0;
	recovery->state = RECOVERY_SURVEY;
}

static void survey_advance(struct engine *engine)
{
	struct recovery *recovery = &engine->recovery;

	struct segment_walk walk;

	while (recovery->at < recovery->survey_count) {
		if (!have_walk(engine, recovery->at, recovery->survey_count,
			       &walk))
			return;
		survey_take(recovery, &recovery->surveys[recovery->at], &walk);
		recovery->at++;
	}
	settle_durable(engine);
	recovery->at = 0;
	recovery->state = RECOVERY_RESURVEY;
}

static void resurvey_advance(struct engine *engine)
{
	struct recovery *recovery = &engine->recovery;
	struct segment_walk walk;

	for (; recovery->at < recovery->survey_count; recovery->at++) {
		struct survey *survey = &recovery->surveys[recovery->at];

		if ((survey->whole && !salvaging(engine)) ||
		    survey->last_sequence <= recovery->durable ||
		    engine_bug(engine, ENGINE_BUG_SUMMARY_BELIEVED))
			continue;
		if (!recovery_segment(engine, recovery->at))
			return;
		survey->whole = true;
		walk = walk_whole(engine, survey);
		survey_take(recovery, survey, &walk);
	}
	find_chain(engine);
}

void recovery_advance(struct engine *engine)
{
	enum recovery_state before;

	do {
		before = engine->recovery.state;
		if (engine->state != ENGINE_STARTING || engine->recovery.busy)
			return;
		switch (before) {
		case RECOVERY_OFF:
		case RECOVERY_ROW:
			return;
		case RECOVERY_SUPERBLOCKS:
			superblocks_advance(engine);
			break;
		case RECOVERY_HEADS:
			heads_advance(engine);
			break;
		case RECOVERY_SURVEY:
			survey_advance(engine);
			break;
		case RECOVERY_RESURVEY:
			resurvey_advance(engine);
			break;
		case RECOVERY_VERIFY:
			verify_advance(engine);
			break;
		case RECOVERY_TAIL:
			tail_advance(engine);
			break;
		case RECOVERY_APPLY:
			apply_advance(engine);
			break;
		case RECOVERY_FLUSH:
			flush_accepted(engine);
			break;
		}
	} while (engine->recovery.state != before);
}
