/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core.h - the parts of an engine, in one place, private to src/engine.
 *
 * Each part is a struct of its own with functions in a file of its own name:
 *
 *   io         actions on their way out, and the small reads' own iovecs
 *   append     items -> records of the log -> retirement in sequence order
 *   apply      what a record does to the index; used live and in recovery
 *   write      a write's way: hazards, part blocks, the three modes
 *   zeroing    zeroes and discards: a write's way in parts, without data
 *   read       hits, misses and, in pieces, part blocks
 *   fill       what was missed comes into the log
 *   flush      SSD flush, flush of below, and who waits for them
 *   destage    dirty blocks go below; the tail moves on
 *   hold       below is brought to a point of the log, and stays there
 *   pressure   how full the log is: the pace of writers, the width of destage
 *   trouble    what the layers below don't do, and who waits for it
 *   grant      segments come from the host and go back to it
 *   reappend   what was used moves up the log before the tail passes it
 *   zero_ahead segments that were never written get zeros first
 *   summary    a full segment's headers once more, at its end
 *   kept       what outlives the process; warm: a start that believes it
 *   closing    leaves the log so that the next start has little to read
 *   superblock the two copies; recovery reads the log and closes its last row
 *   salvage    recovery goes on where it would refuse
 *   inspect    what recovery found, for who asks without starting
 *   stale      the layers below have changed since: what of the log is left
 *   withdrawal the SSD fails: the engine goes on without a log
 *
 * engine_poll() runs the parts' _advance() functions until none of them makes
 * progress. An _advance() function never calls another part's.
 */
#ifndef FOREBAY_ENGINE_CORE_H
#define FOREBAY_ENGINE_CORE_H

#include <assert.h>

#include "curve.h"
#include "engine.h"
#include "ghost.h"
#include "hazard.h"
#include "hold.h"
#include "index.h"
#include "inspect.h"
#include "kept.h"
#include "log_codec.h"
#include "pace.h"
#include "recovery_parts.h"
#include "segments.h"
#include "stream.h"
#include "width.h"

/* A position in a request's iovec. */
struct iov_cursor {
	uint32_t index;
	size_t offset;
};

/* Entries of a record that have data, at most: one block and its check each. */
#define RECORD_ENTRIES_MAX (LOG_ENTRIES_BYTES / sizeof(struct log_entry))

struct record;

/* Something that wants a place in the log; it may take several records. */
struct append_item {
	struct list link; /* in a queue, or free */
	struct engine_request *request; /* NULL: CLEAN */
	struct record *amends; /* that waits for it, until it is written */
	enum log_entry_type type;
	uint8_t flags;
	uint8_t mask; /* 0: whole blocks */
	bool destage; /* CLEAN: the destager waits for it */
	bool borrowed; /* FILL: `buffer` is in the destager's */
	uint64_t upto;
	uint64_t block; /* what is left to place */
	uint64_t block_count;
	struct iov_cursor cursor; /* in the request's iovec */
	uint8_t *buffer; /* or the data are here: one block */
	uint64_t generation; /* FILL: hazards when its read was issued */
	uint64_t fill_block; /* FILL, REAPPEND: its one block */
	uint64_t last_sequence; /* of its last record */
	uint32_t placed; /* entries in records that aren't retired */
};

/* Enough for the requests in flight, and the half of it kept for amendments. */
#define ITEMS_COUNT 4096u
#define ITEMS_RESERVE 1024u

/* A record to be applied to the index. */
struct apply {
	const struct log_record_header *header;
	uint32_t location; /* of the header */
	/* Bit a data block: its check value was wrong, leave it out. */
	uint64_t bad[LOG_RECORD_DATA_BLOCKS_MAX / 64];
};

/* A record between its sequence number and its retirement. */
struct record {
	struct engine_io io;
	struct log_record_header *header;
	struct log_segment_head *head; /* written before it in a new segment */
	uint64_t sequence;
	uint32_t location; /* of the header */
	uint32_t first_data_iov;
	struct apply apply;
	uint32_t attempts;
	uint32_t amends; /* items that must be written before it retires */
	uint64_t amended_by; /* newest record that has such an item */
	int status;
	bool written;
	bool checked; /* against what the guest did meanwhile */
	struct append_item *items[RECORD_ENTRIES_MAX];
	struct iovec iov[ENGINE_IOV_MAX];
};

/* A record may need so many others to amend it. */
#define AMEND_RECORDS_MAX 4u

struct append {
	struct list meta; /* items that may use the reserve */
	struct list data; /* guest writes and fills */
	struct list free_items;
	uint32_t free_item_count;
	struct append_item *items;
	struct record *records; /* ring */
	uint32_t ring; /* its size */
	uint64_t first_in_flight; /* sequence */
	uint64_t next_sequence;
	uint64_t completed_sequence; /* retired: in the index, acked */
	uint64_t completed_tail; /* tail that a retired record carries */
	uint64_t acked_write_sequence; /* newest guest write that was acked */
	uint64_t unflushed_bytes;
	uint64_t unflushed_since_ns;
	uint64_t throttled_since_ns; /* 0: writes don't wait for space */
	uint64_t fills_since_ns; /* when the first of `fills` came */
	uint32_t data_count; /* of `data` */
	uint32_t fills; /* of these: fills, that nobody waits for */
	uint32_t active; /* segment, when has_active */
	uint32_t previous_crc;
	bool has_active;
	bool carry_tail; /* write a record even if it has no entries */
};

/* Iovec entries of a small read or write. */
#define SLOT_IOV_MAX 16u
#define SLOTS_COUNT 512u

/*
 * A read's run of blocks, a guest write's way below, or the read of a part
 * block's rest. A run that needs a closer look does so in pieces of one block.
 */
struct io_slot {
	struct engine_io io;
	struct list link;
	struct engine_request *request;
	struct append_item *item; /* the write of a part block that reads */
	uint64_t sector; /* what the run covers */
	uint64_t sector_count;
	uint64_t checked; /* sectors of the run that are done */
	uint64_t generation;
	struct index_copy copy; /* of its first block when it was issued */
	uint32_t segment; /* that it pins, when pinned */
	uint64_t piece_sector;
	uint64_t piece_count;
	struct index_copy piece; /* copy of the piece's block */
	uint32_t piece_segment;
	uint8_t *buffer; /* one block, for a piece that isn't a whole one */
	bool pinned;
	bool piece_pinned;
	bool direct; /* the piece goes straight to the guest's memory */
	bool suspicious; /* it came wrong that way once */
	bool unread; /* the run's read failed: no block of it is there */
	struct iovec iov[SLOT_IOV_MAX];
};

#define BUFFERS_COUNT (128u + BUFFERS_RESERVE)
/* For amendments: as many blocks as a record has. */
#define BUFFERS_RESERVE 256u

struct io_pool {
	struct list out; /* actions to give out */
	struct list completed; /* requests to give out */
	struct list free_slots;
	struct io_slot *slots;
	uint8_t *buffers;
	uint32_t free_buffer_count;
	uint16_t free_buffers[BUFFERS_COUNT];
	uint32_t in_flight;
	struct timed_ios timed[WIDTH_KINDS];
};

struct reads {
	struct list issuing; /* requests with runs to issue */
	struct list pieces; /* slots that wait for a buffer */
	uint32_t fills; /* reads for the log that are under way */
	uint32_t turned_away; /* second misses, while all is used */
};

enum write_path { PATH_BACK, PATH_THROUGH, PATH_AROUND };

struct writes {
	struct list waiting; /* not admitted, in order of arrival */
	struct list through; /* in the log, to be written below, in order */
	struct list admitted; /* and not completed, by their active link */
	uint32_t in_flight; /* admitted and not completed */
	uint32_t not_back; /* of these: those that go below themselves */
	uint64_t blocks; /* of data, of those in flight */
	bool held_back; /* the first that waits does so for room */
	bool at_limit; /* and for room that others must give up */
	uint64_t admitted_ns; /* when one was admitted last */
};

/* Runs written below by the guest's own writes, to be marked clean. */
struct through_run {
	uint64_t block;
	uint64_t count;
	uint64_t upto;
	uint64_t below_write; /* flush that covers it makes it clean */
};
#define THROUGH_RUNS_MAX 256u

struct flusher {
	struct engine_io ssd_io;
	struct engine_io below_io;
	struct list waiting; /* requests, FLUSH and FUA */
	uint64_t durable_sequence;
	uint64_t durable_tail; /* segments below may be reused */
	uint64_t covers_sequence; /* of the flush in flight */
	uint64_t covers_tail;
	uint64_t wanted_sequence;
	uint64_t below_writes; /* guest writes that ended below */
	uint64_t below_flushed; /* of these, flushed */
	uint64_t below_unknown; /* those of a predecessor, anywhere */
	uint64_t below_flush_ns; /* when below was flushed for a fill's sake */
	uint64_t below_covers;
	uint64_t below_wanted;
	uint64_t below_destage_wanted; /* counts requests of the destager */
	uint64_t below_destage_done;
	uint64_t below_destage_covers;
	int below_failed; /* a flush of below did, and no FLUSH has said so */
	int below_failure; /* of the last one that did ... */
	uint32_t below_failures; /* ... of so many */
	bool below_doubtful; /* since then no fills: what is read may go */
	bool ssd_busy;
	bool below_busy;
	struct through_run runs[THROUGH_RUNS_MAX];
	uint32_t run_count;
};

enum destage_state {
	DESTAGE_IDLE,
	DESTAGE_READ, /* segment -> buffer, and its records durable */
	DESTAGE_WRITE,
	DESTAGE_FLUSH,
	DESTAGE_CLEAN,
	DESTAGE_EVICT, /* segment -> buffer, to forget its copies */
	DESTAGE_REAPPEND, /* buffer -> log, what of them was used */
};

/* A dirty block on its way below, or a run of zeros. */
struct destage_block {
	uint64_t block;
	uint32_t offset; /* in the buffer, in blocks */
	uint32_t count; /* 1, or of zeros */
	uint8_t mask; /* sectors still to be written */
	bool zero;
	bool may_unmap;
	bool kept; /* for a hold: not the newest copy */
};

#define DESTAGE_IOS_MAX 16u
#define DESTAGE_IOV_MAX 256u

static_assert(DESTAGE_IOS_MAX == WIDTH_MAX, "none is left out");

struct destage_io {
	struct engine_io io;
	struct iovec iov[DESTAGE_IOV_MAX];
	bool busy;
};

struct destage {
	enum destage_state state;
	uint32_t segment;
	uint32_t blocks_read; /* of the segment, head included */
	uint64_t upto; /* versions that are destaged, rule 6 */
	uint64_t flush_ticket;
	uint64_t retry_at_ns; /* after a failure */
	uint64_t guests_until_ns; /* their writes have all of `segment` */
	uint8_t *buffer; /* one segment; recovery's before */
	struct destage_block *blocks;
	uint32_t block_count;
	uint32_t next_block; /* to write, or to mark clean */
	uint32_t ios_busy;
	uint32_t clean_items; /* in the log's queue */
	uint32_t reappends; /* from the buffer, on their way into the log */
	uint32_t oldest; /* no segment before it is dirty; or SEGMENT_NONE */
	struct engine_io read_io;
	struct iovec read_iov;
	uint32_t read_block; /* when it reads block by block */
	uint32_t read_attempts;
	bool read_thorough;
	bool read_done;
	bool guests; /* have some of what was to be selected */
	bool failed;
	bool refused; /* the last pass, by the layers below */
	int error; /* with which words */
	uint64_t answered_ns; /* when below last ended an I/O, or got one */
	bool answered; /* it has since the last poll */
	bool draining;
	bool quiesced;
	struct destage_io ios[DESTAGE_IOS_MAX];
};

enum superblock_state {
	SUPERBLOCK_IDLE,
	SUPERBLOCK_WRITING,
	SUPERBLOCK_FLUSHING,
};

struct superblock {
	enum superblock_state state;
	struct log_superblock *image; /* the newest, as it is or will be */
	struct log_superblock *copies[LOG_SUPERBLOCK_COPIES]; /* as read */
	struct engine_io read_io[LOG_SUPERBLOCK_COPIES];
	struct iovec read_iov[LOG_SUPERBLOCK_COPIES];
	struct engine_io io;
	struct iovec iov;
	uint32_t reads_busy;
	bool formatted; /* the file was blank */
	bool below_noted; /* LOG_SUPERBLOCK_BELOW_UNFLUSHED is on the SSD */
	void (*done)(struct engine *engine);
};

/* Zeros that go ahead of the log, in one write a segment. */
#define ZERO_BLOCKS 16u

struct zero_ahead {
	struct engine_io io;
	struct iovec iov[LOG_SEGMENT_BLOCKS_MAX / ZERO_BLOCKS + 1];
	uint8_t *zeros; /* ZERO_BLOCKS, never written */
	uint32_t segment;
	bool busy;
};

/* Headers of the segment that is being filled, and of the one before. */
#define SUMMARY_BUFFERS 2u

struct summary {
	struct engine_io io;
	struct iovec iov;
	uint8_t *buffers[SUMMARY_BUFFERS];
	uint32_t buffer; /* that is being filled */
	uint32_t copies_bytes;
	uint32_t record_count;
	uint32_t segment; /* whose summary is being written, when busy */
	bool left_out; /* the segment has too many headers */
	bool busy;
};

enum closing_state {
	CLOSING_OFF,
	CLOSING_WAIT, /* for what is under way */
	CLOSING_SUMMARY,
	CLOSING_FLUSH,
	CLOSING_ROW,
	CLOSING_DONE,
};

struct closing {
	enum closing_state state;
	struct engine_io io;
};

enum withdrawal_state {
	WITHDRAWAL_NONE,
	WITHDRAWAL_ABORT, /* what is on its way into the log is called back */
	WITHDRAWAL_DRAIN, /* what the log holds goes below; writes wait */
	WITHDRAWAL_VOID, /* and that is being said there */
	WITHDRAWAL_DONE, /* clean copies are being forgotten, or are */
};

struct withdrawal {
	enum withdrawal_state state;
	struct engine_io io;
	uint64_t forgotten; /* blocks of the disk below this one */
	uint64_t forgot_ns; /* when the last of them were */
};

struct engine {
	struct engine_config config;
	enum engine_state state;
	struct error failure;
	uint64_t now_ns;
	uint64_t disk_blocks;
	uint64_t disk_sectors;
	uint64_t data_blocks_max; /* dirty at most */
	uint64_t dirty_blocks;
	uint64_t zero_blocks; /* of these: zeros, without data */
	uint64_t cached_blocks; /* with data */
	uint64_t lost_blocks;
	/*
	 * Zeros that are below are forgotten by their CLEAN. Until that is
	 * durable a crash may bring them back: newest such record, and newest
	 * version that was forgotten without one.
	 */
	uint64_t zeros_cleaned;
	uint64_t zeros_spilled;
	uint32_t reserve_segments;
	uint32_t used_permille; /* of segments given up, as reappend.c says */
	uint32_t granted_segments; /* that it may have; it has others till then
				    */
	uint32_t promised_segments; /* of these, by the host; may be less */
	/* What was written before the mode changed is still to go below. */
	uint64_t mode_barrier;
	struct log_identity identity;
	uint64_t tail_sequence;
	uint64_t trouble_since_ns; /* 0: there is none */
	uint64_t tail_guard; /* what must be durable before that tail may be */
	bool carrying_lost; /* a lost block's re-append is under way */
	bool progress; /* something changed: look again */
	struct kept *kept;
	struct index index;
	struct segment_table segments;
	struct hazards *hazards;
	struct ghosts ghosts;
	struct streams streams;
	struct curve *curve; /* or NULL */
	struct io_pool io;
	struct append append;
	struct reads reads;
	struct writes writes;
	struct flusher flusher;
	struct destage destage;
	struct hold hold;
	struct pace pace;
	struct width width;
	struct recovery recovery;
	struct salvage salvage;
	struct superblock superblock;
	struct zero_ahead zero_ahead;
	struct summary summary;
	struct closing closing;
	struct withdrawal withdrawal;
	struct engine_stats stats;
};

/* io.c */
void io_init(struct engine *engine);
void io_out(struct engine *engine, struct engine_io *io);
/* One that a guest waits for has ended; when, the next poll knows. */
void io_time(struct engine *engine, const struct engine_io *io);
struct io_slot *io_slot_get(struct engine *engine);
void io_slot_put(struct engine *engine, struct io_slot *slot);
/* @reserve: may take what is kept for amendments. Returns: NULL if none. */
uint8_t *io_buffer_get(struct engine *engine, bool reserve);
bool io_buffers_free(const struct engine *engine, uint32_t count);
void io_buffer_put(struct engine *engine, uint8_t *buffer);
void io_request_done(struct engine *engine, struct engine_request *request,
		     int status);
/* Where byte @offset of the request's data is. */
struct iov_cursor io_seek(const struct engine_request *request,
			  uint64_t offset);
/*
 * Copies the iovec of the next @bytes into @out, at most @max entries, and
 * moves the cursor. Returns: entries; *ret_bytes tells how far it came.
 */
uint32_t io_slice(const struct engine_request *request,
		  struct iov_cursor *cursor, uint64_t bytes, struct iovec *out,
		  uint32_t max, uint64_t *ret_bytes);
/* Copies between a buffer and the request's data; counts the bytes. */
void io_copy_in(struct engine *engine, const struct engine_request *request,
		uint64_t offset, void *to, size_t bytes);
void io_copy_out(struct engine *engine, const struct engine_request *request,
		 uint64_t offset, const void *from, size_t bytes);
/* Fills the next @bytes of the request's memory with zeros. */
void io_zero(const struct engine_request *request, struct iov_cursor *cursor,
	     uint64_t bytes);
/* Check value of a block that lies in an iovec at @cursor; moves the cursor. */
uint32_t io_check(uint32_t seed, uint64_t block, const struct iovec *iov,
		  struct iov_cursor *cursor);

/* append.c */
void append_init(struct engine *engine);
struct append_item *append_item_get(struct engine *engine, bool reserve);
void append_item_put(struct engine *engine, struct append_item *item);
/* Queues it; the owner hears of its end in item_done(). */
void append_queue(struct engine *engine, struct append_item *item);
void append_advance(struct engine *engine);
/* Nothing is queued or in flight. */
bool append_idle(const struct engine *engine);
/* May a write of so many blocks of data begin now? Otherwise it waits. */
bool append_admits(struct engine *engine, uint64_t blocks);
bool append_has_room(const struct engine *engine);
/* What a record would have said of it: for one that goes without. */
struct log_entry append_item_entry(const struct append_item *item);
void append_spill_cleans(struct engine *engine);
/* What is to move up the log finds no room for that: it is given up. */
void append_drop_reappends(struct engine *engine);
/* When fills that wait for company go without; UINT64_MAX: none waits. */
uint64_t append_next_ns(const struct engine *engine);
void append_fail_all(struct engine *engine);
/* All that waits for a place is told that there is no log. */
void append_abort(struct engine *engine);

/* retire.c */
/* The item has its place, or never will: its owner is told, it is free. */
void retire_item(struct engine *engine, struct append_item *item);
void retire_advance(struct engine *engine);
/* Every record that isn't retired never will be: requests begin again. */
void retire_abort(struct engine *engine);
/* The record is on the SSD: those that its items amend needn't wait for it. */
void retire_amended(struct engine *engine, struct record *record);

/* apply.c */
void apply_entry(struct engine *engine, const struct apply *apply,
		 const struct log_entry_cursor *cursor);
/* A CLEAN takes effect without a record of the log. */
void apply_spilled_clean(struct engine *engine, const struct log_entry *entry);
/* Takes a block out of the index and the counts. */
void apply_forget(struct engine *engine, uint64_t block);
void apply_lost(struct engine *engine, uint64_t block);
/* A DROP takes effect without a record of the log. */
void apply_drop(struct engine *engine, const struct log_entry *entry);

/* write.c */
void write_submit(struct engine *engine, struct engine_request *request);
void write_advance(struct engine *engine);
/* All that is under way of it is in the log. */
void write_in_log(struct engine *engine, struct engine_request *request);
void write_finish(struct engine *engine, struct engine_request *request,
		  int status);
/* By its FUA or by the disk's property: it is acknowledged when it is durable.
 */
bool write_to_be_durable(const struct engine *engine,
			 const struct engine_request *request);
/* The oldest one that waits does so because too much is dirty. */
bool write_waits_for_space(const struct engine *engine);
void write_fail_all(struct engine *engine);
/* Nothing of it is under way: it waits to be admitted once more. */
void write_again(struct engine *engine, struct engine_request *request);

/* zeroing.c */
void zeroing_submit(struct engine *engine, struct engine_request *request);
/* Its part is below. What a flush that failed has dropped of it can't be told
 * from what it hasn't, so if one has failed before all is there, it fails. */
void zeroing_part_below(const struct engine *engine,
			struct engine_request *request);
/* All its parts are done. Returns: 0 or what that flush failed with. */
int zeroing_status(const struct engine *engine,
		   const struct engine_request *request);
/* Its part is done: the next begins. */
void zeroing_go_on(struct engine *engine, struct engine_request *request);
/* It takes several parts: each is done below before the next. */
bool zeroing_is_long(const struct engine *engine,
		     const struct engine_request *request);
/* Makes the item one for the whole blocks of the request's part. */
void zeroing_item(const struct engine_request *request,
		  struct append_item *item);
/* Makes a write below of the request's part one without data. */
void zeroing_below(const struct engine_request *request, struct engine_io *io);

/* through.c */
void through_queue(struct engine *engine, struct engine_request *request);
void through_advance(struct engine *engine);
void through_fail_all(struct engine *engine);
/* What has not begun below begins again. */
void through_abort(struct engine *engine);
/* A write on its way below has @block in the log as well: it is its to clean.
 */
bool through_owns(const struct engine *engine, uint64_t block);
/* Below was flushed up to that count of writes: runs get their CLEAN. */
void through_flushed(struct engine *engine);

/* read.c */
void read_submit(struct engine *engine, struct engine_request *request);
void read_advance(struct engine *engine);
void read_part_done(struct engine *engine, struct engine_request *request,
		    int status);
void read_fail_all(struct engine *engine);

/* A run's data are in the guest's memory: checks them, then ends the run. */
void read_run_check(struct engine *engine, struct io_slot *slot);

/* fill.c */
/*
 * These sectors were missed and have been read: shall they be cached? @admit:
 * they shall, if that is possible now.
 */
void fill_offer(struct engine *engine, uint64_t sector, uint64_t sector_count,
		bool admit);
/* One more read for the log can start. */
bool fill_has_room(const struct engine *engine, uint32_t blocks);

/* piece.c */
/* Reads @count sectors of one block; read_run_check() goes on afterwards. */
void piece_start(struct engine *engine, struct io_slot *slot, uint64_t sector,
		 uint64_t count);
void piece_advance(struct engine *engine);

/* flush.c */
void flush_submit(struct engine *engine, struct engine_request *request);
/* The request waits until its targets are durable, then it completes. */
void flush_wait(struct engine *engine, struct engine_request *request);
void flush_want(struct engine *engine, uint64_t sequence);
/*
 * What is read below in the range would survive a power failure. If not, sees
 * that it will before long.
 */
bool flush_below_durable(struct engine *engine, uint64_t first, uint64_t count);
uint64_t flush_want_below(struct engine *engine);
void flush_advance(struct engine *engine);
/* When the log flushes by itself; UINT64_MAX = not. */
uint64_t flush_next_ns(const struct engine *engine);
void flush_fail_all(struct engine *engine);
/* All that was in the log is below and flushed there, or lost. */
void flush_without_log(struct engine *engine);

/* destage.c */
void destage_advance(struct engine *engine);
/* A guest's own write below has ended, or has no more to do there. */
void destage_guest_done(struct engine *engine);
void destage_clean_done(struct engine *engine);
/* When it wants to look again without an event; UINT64_MAX = never. */
uint64_t destage_next_ns(struct engine *engine);
/* Dirty data of write-back is left although the mode is another now. */
bool destage_mode_draining(struct engine *engine);
/* How much of it, and why it isn't gone. */
uint64_t destage_mode_left_blocks(const struct engine *engine);
enum engine_mode_reason destage_mode_reason(struct engine *engine);
/* Everything below it is clean. UINT64_MAX: nothing is dirty. */
uint64_t destage_oldest_sequence(struct engine *engine);
/*
 * Segments from the oldest that destage can clean to the newest; 0: there is
 * none. *ret_since_ns: since when the oldest may be dirty.
 */
uint32_t destage_backlog(struct engine *engine, uint64_t *ret_since_ns);

/* segment_read.c */
/*
 * Reads @segment up to @blocks into the destager's buffer. @thorough: block by
 * block if it must be, and so without failing.
 */
void segment_read(struct engine *engine, uint32_t segment, uint32_t blocks,
		  bool thorough);

/* evict.c */
/* Fewer segments are free than there should be. */
bool evict_wanted(const struct engine *engine);
/* And the oldest has what must go below first. */
bool evict_is_barred(const struct engine *engine);
/* There is room that nothing was ever given up for. */
bool evict_has_spare(const struct engine *engine);
void evict_advance(struct engine *engine);
/* The segment to be evicted is in the destager's buffer, or could not be read.
 */
void evict_segment_there(struct engine *engine);
/* What of it was used has its place further up. */
void evict_reappended(struct engine *engine);
/* A lost block has its place further up, or was overwritten meanwhile. */
void evict_lost_carried(struct engine *engine);

/* grant.c */
/* It may have so many segments from now on, or a few more if it must. */
void grant_settle(struct engine *engine, uint32_t segments);
void grant_advance(struct engine *engine);
/* Segments beyond the grant, to be given back. */
uint32_t grant_excess(const struct engine *engine);
/* Segments that the host is about to hand over. */
uint32_t grant_expected(const struct engine *engine);

/* reappend.c */
/*
 * Queues what was used of the segment in the destager's buffer. Returns: false
 * if there is nothing to wait for.
 */
bool reappend_start(struct engine *engine);
void reappend_done(struct engine *engine);
/* All that was given up lately had been used. */
bool reappend_all_used(const struct engine *engine);

/* zero_ahead.c */
void zero_ahead_advance(struct engine *engine);
/* The next segment is being written with zeros: it can't be opened yet. */
bool zero_ahead_blocks(const struct engine *engine);

/* summary.c */
/* The active segment is a new one. */
void summary_begin(struct engine *engine);
/* A record has its place in the active segment. */
void summary_add(struct engine *engine, const struct log_record_header *header);
/* Blocks at the active segment's end that one more record must leave. */
uint32_t summary_reserve(const struct engine *engine);
/* The active segment gets no more records: its summary goes out. */
void summary_write(struct engine *engine);

/* closing.c */
void closing_start(struct engine *engine);
void closing_advance(struct engine *engine);

/* superblock.c */
/* Returns: false if the log can't be used over these layers: has failed. */
bool stale_settle(struct engine *engine);

void superblock_read(struct engine *engine);
/*
 * Finds the row that the survey's segment belongs to and notes what it says.
 * Returns: false if there is none.
 */
bool superblock_find_row(const struct engine *engine, struct survey *survey);
/* The last record of the closed rows. */
uint64_t superblock_rows_durable(const struct log_superblock *image);
/* Takes the better copy as image, or makes a new one. */
int superblock_choose(struct engine *engine, struct error *error);
/* Closes the last row at @cut and begins the one of this incarnation. */
void superblock_add_row(struct engine *engine, uint64_t cut);
/* Closes it at @cut, which is durable. */
void superblock_close_row(struct engine *engine, uint64_t cut);
/* Writes the image with @tail, flushes, calls @done. */
void superblock_write(struct engine *engine, uint64_t tail,
		      void (*done)(struct engine *));
/*
 * Sees that the superblock says that writes may be acknowledged which are below
 * only. Returns: true when it does; until then such a write waits.
 */
bool superblock_note_below(struct engine *engine);

/* withdrawal.c */
/*
 * The SSD fails. It is taken out of use if the host can have that, and the
 * engine fails otherwise.
 */
void engine_withdraw(struct engine *engine, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void withdrawal_advance(struct engine *engine);
/* An item for a log that is going, or has gone. */
void withdrawal_take(struct engine *engine, struct append_item *item);
/* A write has ended below, the only place that has it. */
void withdrawal_written(struct engine *engine,
			const struct engine_request *request, int status);
/* Does the request write a part of a block whose other sectors are lost? */
bool withdrawal_loses(const struct engine *engine,
		      const struct engine_request *request);
/* When it wants to look again without an event; UINT64_MAX = never. */
uint64_t withdrawal_next_ns(const struct engine *engine);

/* No record is appended any more. */
static inline bool withdrawn(const struct engine *engine)
{
	return engine->withdrawal.state != WITHDRAWAL_NONE;
}

/* The layers below are all there is. */
static inline bool below_alone(const struct engine *engine)
{
	return engine->withdrawal.state == WITHDRAWAL_DONE;
}

/* engine.c */
void engine_fail(struct engine *engine, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
bool engine_bug(const struct engine *engine, enum engine_planted_bug bug);
void engine_set_tail(struct engine *engine, uint64_t tail);

/* Blocks that the part of a request that is under way touches. */
static inline uint64_t request_block(const struct engine_request *request)
{
	return log_block_of(request->part_sector);
}

static inline uint64_t request_blocks(const struct engine_request *request)
{
	return log_blocks_touched(request->part_sector, request->part_count);
}

/* Dirty blocks that take space in the log. */
static inline uint64_t dirty_data_blocks(const struct engine *engine)
{
	return engine->dirty_blocks - engine->zero_blocks;
}

static inline bool request_zeroes(const struct engine_request *request)
{
	return request->operation == ENGINE_ZERO ||
	       request->operation == ENGINE_DISCARD;
}

/* All of it but what is under way has been done. */
static inline bool request_last_part(const struct engine_request *request)
{
	return request->part_sector + request->part_count ==
	       request->sector + request->sector_count;
}

#endif
