/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.h - one disk's cache as a state machine without I/O.
 *
 * The host (the runner, or the simulator) feeds events in and takes actions
 * out:
 *
 *   engine_submit()    a request from above
 *   engine_io_done()   an action has ended
 *   engine_poll()      look what can be done now; it is <now_ns>
 *       then, until both return NULL:
 *   engine_next_io()         start this I/O, report it with engine_io_done()
 *   engine_next_completed()  this request is done, with ->status
 *
 * Call engine_poll() once after each batch of events: what was submitted since
 * the last one may share a record (group commit). Nothing happens outside
 * these calls; there is no clock, thread, allocation or randomness inside.
 * All calls come from one thread. I/O may be done in any order.
 *
 * Memory: two regions that the host gives and takes back. One holds the tables
 * and buffers of what is under way; the other the index, and may outlive the
 * process. Data of requests is read and written where it is.
 *
 * What a host must promise: SSD reads and writes hit exactly the given range;
 * an SSD flush that ends with 0 makes durable every SSD write that ended before
 * the flush was started; likewise for the layers below.
 */
#ifndef FOREBAY_ENGINE_ENGINE_H
#define FOREBAY_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "error.h"
#include "list.h"

struct engine;

enum engine_mode {
	ENGINE_WRITE_BACK = 1,
	ENGINE_WRITE_THROUGH = 2,
	ENGINE_WRITE_AROUND = 3,
};

/* An engine that only looks at a file; inspect.h asks it. */
enum engine_inspection {
	ENGINE_INSPECT_NOT,
	/* Recovers as for a start, and stops before it writes. */
	ENGINE_INSPECT,
	/* The same from the records themselves, without summaries. */
	ENGINE_INSPECT_HEADERS,
	/* As ENGINE_INSPECT, and goes on where a start would refuse. */
	ENGINE_SALVAGE,
};

/*
 * What the host has learnt of the layers below since the log was used last.
 */
struct engine_below {
	bool looked; /* else the log is believed */
	bool held; /* it is said there that a log like this one holds more */
	bool changed; /* since the last close in order, in any way */
	bool rewritten; /* and perhaps the contents */
	uint64_t found; /* generation that is there; 0: none is kept */
	/* That the host writes there when the engine runs, not earlier. */
	uint64_t next;
	/*
	 * The log that was used with this generation is of no use any more
	 * (ENGINE_VOID); 0: there is none such.
	 */
	uint64_t voided;
};

/* Why a start has forgotten clean copies. */
enum engine_forgot {
	ENGINE_FORGOT_NOTHING,
	ENGINE_FORGOT_OPENED, /* another has opened the layers below */
	ENGINE_FORGOT_CHANGED, /* they were changed while nobody had them open
				*/
	ENGINE_FORGOT_VOID, /* the SSD had been taken out of use */
};

struct engine_config {
	uint8_t uuid[16];
	uint64_t disk_bytes; /* multiple of 512 */
	uint64_t file_bytes; /* of the cache file */
	uint64_t epoch; /* 1 for a host without a cluster */
	uint64_t max_dirty_age_ns;
	uint64_t max_dirty_bytes; /* 0: as dirty_limit_percent says */
	uint64_t destage_bytes_per_s; /* at most; 0: as fast as it goes */
	enum engine_mode mode;
	enum engine_inspection inspection;
	uint32_t segment_blocks; /* LOG_SEGMENT_BLOCKS_DEFAULT; tests: fewer */
	uint32_t records_in_flight_max; /* 1..ENGINE_RECORDS_MAX; 4 is good */
	uint32_t dirty_limit_percent; /* of the data blocks; 70 */
	/*
	 * How many segments it may have, and it has none when it starts but
	 * those that the log is in; the host hands over the others. 0: all of
	 * the file, from the start.
	 */
	uint32_t granted_segments;
	/* Of a part of a ZERO or DISCARD; 0: ENGINE_ZEROING_BLOCKS_MAX. */
	uint32_t zeroing_blocks_max;
	bool durable_writes; /* as if each write, ZERO and DISCARD had FUA */
	/* Writers are slowed before the limit; else they only wait at it. */
	bool paced;
	bool summaries; /* write them; they are read in any case */
	bool curve; /* keep what engine_curve() tells */
	/*
	 * What kept memory says may be believed: whoever wrote it was killed or
	 * closed, and didn't die of an error of its own.
	 */
	bool warm;
	bool may_format; /* the file is new: a blank one is not an error */
	/*
	 * The host can run ENGINE_VOID: an SSD that fails is taken out of use,
	 * and the engine goes on without it. Otherwise the engine fails.
	 */
	bool may_withdraw;
	struct engine_below below;
	/* Planted bug, 0 = none. Ignored unless built with them. */
	uint32_t planted_bug;
};

#define ENGINE_RECORDS_MAX 8u
/* Smallest cache file, in segments. */
#define ENGINE_SEGMENTS_MIN 8u

/* Planted bugs: exist only in a library built with FOREBAY_PLANTED_BUGS. */
enum engine_planted_bug {
	ENGINE_BUG_NONE = 0,
	ENGINE_BUG_FLUSH_LEFT_OUT = 1, /* a FLUSH answers without the SSD's */
	ENGINE_BUG_FILL_UNCHECKED = 2, /* a fill overtakes a write */
	ENGINE_BUG_TAIL_NOT_DURABLE = 3, /* segments are reused too early */
	ENGINE_BUG_CLEAN_WITHOUT_UPTO =
		4, /* newer versions become clean, too */
	ENGINE_BUG_ROW_NOT_CLOSED = 5, /* abandoned records may come back */
	ENGINE_BUG_DROP_LEFT_OUT = 6, /* a copy is dropped in memory only */
	ENGINE_BUG_WRITES_CROSS = 7, /* below's order isn't that of the log */
	ENGINE_BUG_SUMMARY_BELIEVED = 8, /* of what may not be on the SSD */
	ENGINE_BUG_CLOSED_UNFLUSHED = 9, /* a closed row that isn't durable */
	ENGINE_BUG_FLUSH_RETRIED =
		10, /* below's flush failed, the next counts */
	ENGINE_BUG_ALL_CLEAN = 11, /* after a crash nothing is dirty */
	ENGINE_BUG_FLUSH_TOO_EARLY =
		12, /* it counts for writes still on their way */
	ENGINE_BUG_STALE_ON_ERROR =
		13, /* below's older data for what can't be read */
	ENGINE_BUG_DIRTY_DRIFT = 14, /* the counter keeps what is overwritten */
	ENGINE_BUG_TORN_ACCEPTED = 15, /* recovery doesn't look at data */
	ENGINE_BUG_REPLAY_REVERSED = 16, /* the newest segment first */
	ENGINE_BUG_ACCEPTED_UNFLUSHED =
		17, /* recovery vouches for what isn't durable */
	ENGINE_BUG_EVICT_DIRTY = 18, /* no room: dirty data are dropped */
	ENGINE_BUG_FUA_DROPPED = 19, /* it is acked like any write */
	ENGINE_BUG_ZEROES_LOST = 20, /* recovery leaves them out */
	ENGINE_BUG_DISCARD_RESURRECTED = 21, /* so it does with discards */
	ENGINE_BUG_ZEROS_RESURRECTED = 22, /* after a write around them */
	ENGINE_BUG_PART_SERVED_WHOLE = 23, /* sectors that aren't cached, too */
	ENGINE_BUG_TAIL_IGNORED = 24, /* recovery maps what was given up */
	ENGINE_BUG_SUMMARY_OF_ANOTHER =
		25, /* of the segment's last life, or the one before */
	ENGINE_BUG_HOLD_PASSED = 26, /* what is newer goes below, too */
	ENGINE_BUG_HOLD_FORGETS = 27, /* what was replaced isn't kept for it */
	ENGINE_BUG_AROUND_TOO_EARLY =
		28, /* the log that is given up is not void yet */
	ENGINE_BUG_VOID_UNDRAINED = 29, /* and it held dirty data */
	ENGINE_BUG_LAST
};

enum engine_operation {
	ENGINE_READ,
	ENGINE_WRITE,
	ENGINE_FLUSH,
	ENGINE_ZERO, /* reads as zeros afterwards */
	ENGINE_DISCARD, /* the same, and nobody needs the space below */
};

/*
 * ZERO and DISCARD go through the log in parts of so much: each is done before
 * the next begins. What is longer is done below before it is acknowledged, in
 * any mode but under a hold; what isn't is acknowledged as a write would be.
 */
#define ENGINE_ZEROING_BLOCKS_MAX 16384u

/*
 * A request from above. Owns: the host owns it, and the engine has it between
 * engine_submit() and engine_next_completed(). `iov` entries are multiples of
 * 512 in address and length and stay valid as long.
 */
struct engine_request {
	enum engine_operation operation;
	bool fua;
	bool admit; /* READ: what is missed is to be cached at once */
	bool no_hole; /* ZERO: it shall stay allocated below */
	bool fast; /* ZERO: -EOPNOTSUPP rather than wait for the layers below */
	uint64_t sector; /* first, of 512 bytes */
	uint64_t sector_count;
	const struct iovec *iov;
	uint32_t iov_count;
	int status; /* 0 or a negative errno, when completed */
	void *owner; /* the host's */
	/* The engine's: */
	struct list link;
	struct list active; /* WRITE: admitted */
	uint64_t target_sequence; /* FLUSH, FUA: durable up to here */
	uint64_t below_target; /* FLUSH: flush of below that covers it */
	uint64_t part_sector; /* what is under way: all but of a long ZERO */
	uint64_t part_count;
	uint64_t next_sector; /* progress in issuing */
	uint32_t iov_index;
	uint32_t parts; /* things that must end before it does */
	size_t iov_offset;
	uint8_t path;
	bool retry; /* the log has gone: it begins again */
	bool around; /* a part of a ZERO has gone straight below; and then: */
	uint32_t below_failures; /* flushes of below that had failed by then */
};

enum engine_io_type {
	ENGINE_SSD_READ,
	ENGINE_SSD_WRITE,
	ENGINE_SSD_FLUSH,
	ENGINE_BELOW_READ,
	ENGINE_BELOW_WRITE,
	ENGINE_BELOW_FLUSH,
	ENGINE_BELOW_ZERO, /* no iovec; `may_unmap`: the space isn't needed */
	/*
	 * No iovec. Says durably, beside the layers below, that this log is of
	 * no use any more: engine_below.voided of the next start. All that was
	 * in it is below, or lost; `lost`: some is, and whoever starts without
	 * this engine must not take what is below for the whole truth.
	 */
	ENGINE_VOID,
};

/* Most iovec entries of an io: UIO_MAXIOV of Linux. */
#define ENGINE_IOV_MAX 1024u

/* An action. Owns: the engine. Between engine_next_io() and engine_io_done().
 */
struct engine_io {
	enum engine_io_type type;
	uint32_t iov_count;
	bool may_unmap;
	bool lost;
	bool timed; /* the engine's: a guest waits for it */
	const struct iovec *iov;
	uint64_t offset; /* bytes, in the cache file or in the disk */
	uint64_t length; /* bytes; 0 for a flush */
	void *host; /* the host's */
	/* The engine's: */
	struct list link;
	void (*done)(struct engine *engine, struct engine_io *io, int status);
	void *owner;
	uint64_t began_ns;
};

/*
 * Bytes that engine_create() needs of either memory. 0: the configuration is
 * wrong.
 */
size_t engine_memory_bytes(const struct engine_config *config);
size_t engine_kept_bytes(const struct engine_config *config);

/*
 * Aligned to 4096, and the host's: it frees them when the engine is done with;
 * there is no engine_destroy().
 */
struct engine_memory {
	void *own; /* engine_memory_bytes(), zeroed */
	/*
	 * engine_kept_bytes(), zeroed or as an engine of this disk left it,
	 * wherever it was mapped: a start on that reads the end of the log
	 * only. Nobody else may write it.
	 */
	void *kept;
};

/* Returns: 0 or -EINVAL with words in @error. */
int engine_create(const struct engine_config *config,
		  const struct engine_memory *memory,
		  struct engine **ret_engine, struct error *error);

enum engine_state {
	ENGINE_STARTING, /* reading superblock and log */
	ENGINE_RUNNING,
	ENGINE_FAILED, /* engine_failure() says why; every request fails */
	ENGINE_INSPECTED, /* as config asked; every request fails */
};

/* Starts recovery; requests may be submitted when the state is RUNNING. */
void engine_start(struct engine *engine);
enum engine_state engine_state(const struct engine *engine);
/* Also why the SSD was taken out of use, in an engine that goes on. */
const struct error *engine_failure(const struct engine *engine);

void engine_submit(struct engine *engine, struct engine_request *request);
/* @status: 0 or a negative errno; a short transfer is an error. */
void engine_io_done(struct engine *engine, struct engine_io *io, int status);
void engine_poll(struct engine *engine, uint64_t now_ns);
struct engine_io *engine_next_io(struct engine *engine);
struct engine_request *engine_next_completed(struct engine *engine);
/* When engine_poll() wants to be called again without an event; 0 = never. */
uint64_t engine_next_poll_ns(struct engine *engine);

/*
 * Whether the log has the newest of @sector, not yet below and flushed there.
 * Returns: how many of the @count sectors from it on are the same in that, one
 * at least. A block is dirty as a whole. What has been acknowledged counts; the
 * range lies within the disk. Takes time with the range: 1 ms for 100 GiB.
 */
uint64_t engine_dirty_run(const struct engine *engine, uint64_t sector,
			  uint64_t count, bool *ret_dirty);

/*
 * Finds the next sectors at or after *sector whose newest data can't be read
 * from the SSD: reads of them fail until they are overwritten. *ret_count: how
 * many lie side by side. Returns: false if there are none.
 */
bool engine_next_lost(const struct engine *engine, uint64_t *sector,
		      uint64_t *ret_count);

/*
 * What a read of up to ENGINE_FILL_BYTES with `admit` misses can be cached now:
 * earlier ones have left room. Whether the log has space is another question.
 */
#define ENGINE_FILL_BYTES (64u << 10)
bool engine_may_fill(const struct engine *engine);

/*
 * The grant: how many segments of its file the log may have, not less than
 * ENGINE_SEGMENTS_MIN, and more than it was said if lost blocks need that. Has
 * it more, it gives them back as they come free. Has it less, it counts on what
 * is about to be handed over; a host that can't says so by a lower grant.
 */
void engine_set_grant(struct engine *engine, uint32_t segments);

struct engine_segment {
	uint32_t number;
	uint64_t offset; /* bytes, in the cache file */
	uint64_t length;
};

/*
 * A segment that was given back since: it may read as anything from now on.
 * Returns: false if there is none. Order: after engine_poll().
 */
bool engine_next_returned(struct engine *engine, struct engine_segment *ret);
bool engine_has_returned(const struct engine *engine);
/* The first one from number @from on that is the host's. */
bool engine_next_away(const struct engine *engine, uint32_t from,
		      struct engine_segment *ret);
/* Hands it over. Order: the engine runs; there is space under the segment. */
void engine_take_segment(struct engine *engine, uint32_t number);

void engine_set_mode(struct engine *engine, enum engine_mode mode);
/* For writes that aren't acknowledged yet, too. */
void engine_set_durable_writes(struct engine *engine, bool durable_writes);
void engine_set_max_dirty_age(struct engine *engine, uint64_t max_dirty_age_ns);
/* As in the configuration. */
void engine_set_max_dirty_bytes(struct engine *engine, uint64_t max_bytes);
void engine_set_destage_rate(struct engine *engine, uint64_t bytes_per_s);
/*
 * While draining, dirty blocks are destaged without waiting for their age, and
 * below is flushed.
 */
void engine_set_draining(struct engine *engine, bool draining);
/* What had been acknowledged at some moment. */
struct engine_point {
	uint64_t sequence;
	uint64_t below_writes;
};
struct engine_point engine_now(const struct engine *engine);
/* All that had been acknowledged at @point is below, and below was flushed. */
bool engine_drained(struct engine *engine, const struct engine_point *point);
/* Nothing dirty is left at all, nothing is on its way, below was flushed. */
bool engine_clean(const struct engine *engine);
/*
 * It can't become clean: what is left dirty can't be read from the SSD, or what
 * was written around the log may be missing below and no FLUSH has said so yet.
 */
bool engine_drain_failed(const struct engine *engine);
/* No request, record or I/O is under way: the host may let go of the memory. */
bool engine_idle(const struct engine *engine);
/* From now on nothing new is started (destage, flushes by time). For closing.
 */
void engine_quiesce(struct engine *engine);
/*
 * Quiesces, and when all has ended leaves the log flushed and its row closed,
 * so that the next start has little to read and nothing to verify. Dirty data
 * stay in the log. Order: no request may be in flight, and none may follow.
 */
void engine_close(struct engine *engine);
/* That is done, or won't be: the host may let go of the memory. */
bool engine_closed(const struct engine *engine);

/*
 * A hold: what has been acknowledged at some point after the call, all of that
 * and nothing newer, is brought to the layers below and flushed there. They
 * stay so until the release, while requests go on as ever. It ends by itself
 * rather than make a request wait, and at the latest after @timeout_ns, its
 * making included; who asked for it learns why from engine_hold_now() and by
 * engine_release(). A start forgets it.
 * Returns: 0, the rest is said by engine_hold_now(); -EBUSY: there is one, or
 * the end of one wasn't asked for; -EOPNOTSUPP: the mode isn't write-back;
 * -EAGAIN: the engine doesn't run.
 */
int engine_hold(struct engine *engine, uint64_t timeout_ns);
/*
 * Returns: 0: below was as the hold says until now; -ENOENT: there is none;
 * -ESTALE: it had ended; -EINPROGRESS: it wasn't complete. There is none then.
 */
int engine_release(struct engine *engine);

enum engine_hold_state {
	ENGINE_HOLD_NONE,
	ENGINE_HOLD_GATHERING, /* the point isn't chosen yet */
	ENGINE_HOLD_MAKING,
	ENGINE_HOLD_HELD,
	ENGINE_HOLD_ENDED, /* by itself */
};

enum engine_hold_end {
	ENGINE_HOLD_END_NOT,
	ENGINE_HOLD_END_DEADLINE,
	ENGINE_HOLD_END_SPACE, /* writes would have waited for the log's */
	ENGINE_HOLD_END_MODE, /* writes go below by themselves now */
	ENGINE_HOLD_END_ZEROS, /* too many were replaced while it was made */
	ENGINE_HOLD_END_BELOW, /* a flush of below failed */
	ENGINE_HOLD_END_DATA_LOST, /* some of it can't be read from the SSD */
	ENGINE_HOLD_END_FAILED, /* the engine has, or the SSD */
	ENGINE_HOLD_END_CLOSED,
};

/* Times are the host's; 0 when it hasn't come to that. */
struct engine_hold {
	enum engine_hold_state state;
	enum engine_hold_end end;
	uint64_t sequence; /* the last record below */
	uint64_t left_bytes; /* to go below, before it is held */
	uint64_t held_ns;
	uint64_t until_ns;
	uint64_t ended_ns;
};
struct engine_hold engine_hold_now(const struct engine *engine);

/* Why the mode isn't the requested one: data of write-back is left. */
enum engine_mode_reason {
	ENGINE_MODE_AS_REQUESTED,
	ENGINE_MODE_DRAINING,
	ENGINE_MODE_BACKEND_REFUSING, /* the last try to write it back failed */
	ENGINE_MODE_DATA_LOST, /* some of it can't be read from the SSD */
	/* It is being taken out of use: what it holds goes below first. */
	ENGINE_MODE_SSD_FAILING,
	ENGINE_MODE_SSD_FAILED, /* it is out of use: nothing is cached */
};

/* What the layers below don't do. */
enum engine_trouble {
	ENGINE_TROUBLE_NONE,
	/* The last try to write something back failed. It is tried again. */
	ENGINE_TROUBLE_REFUSING,
	/* Nothing that is being written back has ended for a second. */
	ENGINE_TROUBLE_SILENT,
};

struct engine_troubles {
	enum engine_trouble below;
	int code; /* REFUSING: a negative errno */
	/* Writes wait, and have for half a second, since there is no room. */
	bool writes_wait;
	uint64_t since_ns; /* below took nothing in between; 0: no trouble */
	uint64_t lost_blocks; /* that can't be read from the SSD */
};
/* As of the last engine_poll(), which comes in time for each change. */
struct engine_troubles engine_troubles(const struct engine *engine);

struct engine_stats {
	enum engine_mode mode_requested;
	enum engine_mode mode_actual; /* write-back while its data is left */
	enum engine_mode_reason mode_reason;
	uint64_t mode_left_bytes; /* data of write-back, to be written back */
	uint64_t read_hit_bytes;
	uint64_t read_miss_bytes;
	uint64_t write_bytes; /* by the guest */
	uint64_t zeroed_bytes; /* by the guest's zeroes and discards */
	uint64_t zeroed_below_bytes;
	uint64_t fill_bytes;
	/* Missed, read from below, and not cached: why. */
	uint64_t bypassed_large_bytes; /* the miss was a large one */
	uint64_t bypassed_first_bytes; /* missed for the first time */
	uint64_t bypassed_stream_bytes; /* and a part of a stream */
	uint64_t bypassed_in_use_bytes; /* what it would push out is used */
	uint64_t bypassed_busy_bytes; /* no room, buffer or quiet just then */
	uint64_t bypassed_undurable_bytes; /* below may still lose it */
	uint64_t bypassed_fenced_bytes; /* a write of it was on its way */
	uint64_t bypassed_mode_bytes; /* the log is out of use */
	uint64_t reappended_bytes; /* moved up the log, being used */
	uint64_t dirty_bytes;
	uint64_t dirty_limit_bytes; /* of those with data; then writes wait */
	uint64_t dirty_age_ns; /* of the oldest, at most; 0: none */
	uint64_t destage_rate; /* bytes a second, while it works; 0: unknown */
	uint32_t destage_ios; /* at a time, at most */
	uint64_t dirty_zero_bytes; /* of these: zeros, that take no space */
	uint64_t cached_bytes;
	uint64_t capacity_bytes; /* data and headers */
	uint64_t destaged_bytes;
	uint64_t ssd_written_bytes;
	uint64_t ssd_flushes;
	uint64_t below_flushes;
	uint64_t copied_bytes; /* data copied by the engine (sub-4-KiB only) */
	uint64_t records;
	uint64_t segments; /* that the log has */
	uint64_t segments_free; /* of these */
	uint64_t segments_granted; /* that it may have */
	uint64_t returned_segments; /* since the start */
	uint64_t sequence; /* last one taken */
	uint64_t durable_sequence;
	uint64_t tail_sequence;
	uint64_t recovered_records;
	bool warm; /* the start believed the kept memory */
	uint64_t recovery_read_bytes; /* what the start read of the SSD */
	uint64_t recovery_checked_records; /* of these: with their data */
	uint64_t recovery_summaries; /* segments known by these alone */
	uint64_t recovery_whole_segments; /* read with their data */
	uint64_t guest_changed_buffers; /* writes whose buffer changed in flight
					 */
	uint64_t bad_blocks; /* check values that were wrong */
	uint64_t lost_blocks; /* of these: dirty ones */
	uint64_t lost_now_blocks; /* and not overwritten since */
	uint64_t destage_failures; /* passes that below refused */
	uint64_t throttled_ns; /* writes waited for space */
	uint64_t forgotten_bytes; /* by the start, and why */
	enum engine_forgot forgotten_because;
};

void engine_stats(struct engine *engine, struct engine_stats *ret_stats);

/*
 * What the same requests would have hit in a log of another size, by a
 * simulation of a sample of the blocks: curve.h. It looks back on the last one
 * or two times `reads_needed`, and begins empty with the engine.
 */
#define ENGINE_CURVE_SIZES 10u

struct engine_curve_point {
	uint64_t file_bytes; /* 0: a log can't be so small */
	uint64_t hits; /* blocks, of `reads` */
	bool full; /* it had to give something up */
};

struct engine_curve {
	uint64_t reads; /* blocks */
	uint64_t reads_needed; /* before that nothing can be said */
	uint64_t hits; /* of the log that is there */
	uint64_t file_bytes; /* that it may take now */
	struct engine_curve_point points[ENGINE_CURVE_SIZES]; /* by size */
};

/* Returns: false if none is kept. */
bool engine_curve(const struct engine *engine, struct engine_curve *ret_curve);

#endif
