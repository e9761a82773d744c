/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forebay/filter.h - how to write a Forebay I/O filter.
 *
 * A filter is a shared object that stands in the path of one or more virtual
 * disks. It exports exactly one symbol, `forebay_filter`, of type
 * `struct forebay_filter`, and is loaded with RTLD_LOCAL. All that it needs
 * from Forebay comes through `struct forebay_host`, a table of functions.
 * examples/null-filter.c is a whole one.
 *
 * Objects and their lifetime, outermost first:
 *
 *   filter    the shared object; loaded once in a forebay-disk process
 *   instance  one filter on one disk; from open() until close_done()
 *   request   one operation on its way down the chain; from submit() until
 *             the filter has completed it, or forwarded it for good
 *   io        an operation that the filter itself starts, on a file of its own
 *             or on the layers below; from io_submit() until done()
 *
 * Path of a request. Filters stand in class order, from the VM down. Each gets
 * submit() and then does exactly one of these with the request:
 *
 *   forward    pass it on to the next layer; completed() is called when it
 *              comes back, and passes it upwards with request_complete()
 *   complete   end it here, with 0 or a negative errno: the layers below don't
 *              see it
 *   hold       neither yet: keep the pointer, and forward or complete it later
 *
 *        VM -> submit() -> request_forward() -> ... layers below ...
 *        VM <- request_complete() <- completed() <- ...........'
 *
 * After request_complete(), and after request_forward() until completed(), the
 * request isn't the filter's: don't touch it, it may be another one already.
 *
 * Order. Requests run side by side and end in any order, as on a real disk. A
 * FLUSH covers the writes that had completed when it was submitted. A filter
 * that acknowledges writes itself must honour that; one that only forwards need
 * not think of it.
 *
 * Threads. There is one thread, the disk's event loop: every callback of an
 * instance runs on it and every host function must be called on it; but for
 * work_submit(), which has a function run on another one. A callback
 * must not block for more than a millisecond, fork, exec, exit or start
 * threads.
 *
 * Memory. The request's data stay where the VM put them: the iovec points into
 * the VM's own memory. A guest may change the data of a write while it is on
 * its way, so two looks at them may differ. A filter must not change the data
 * of a write; request_stable() gives it a private copy, which it may change.
 * Each request carries `request_context_bytes` of memory for the
 * filter, zeroed before submit(), so that no filter needs to allocate on the
 * I/O path.
 *
 * Units. Offsets and lengths are bytes, always multiples of 512. Times are
 * nanoseconds on CLOCK_MONOTONIC. The addresses and lengths in an iovec are
 * multiples of 512 too, so that O_DIRECT accepts them.
 *
 * Errors. 0 is success, failures are negative errno values. An asynchronous
 * call returns void and completes exactly once. A filter that breaks a rule
 * that Forebay can see (a request completed twice, or touched while another
 * layer has it; an instance that ends with a timer armed) is named in the log
 * with its callback and the host function, and its process aborts: it shares
 * its memory with the VM's data. One that crashes is named likewise, and so is
 * one whose callback blocks the loop, or that keeps a request for over a minute
 * without FOREBAY_FILTER_HOLDS.
 *
 * ABI. `abi_version` changes only when old filters can't run any more. Tables
 * grow at their end; `struct_size` tells how much of a table the other side
 * knows. An operation that isn't in a filter's `operations` mask fails with
 * -EOPNOTSUPP before it reaches that filter: it never slips past.
 */
#ifndef FOREBAY_FILTER_H
#define FOREBAY_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <forebay/declare.h>
#include <forebay/sidecar.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FOREBAY_FILTER_ABI 1u

/*
 * Place in the chain, from the VM down. A disk has at most one filter of a
 * class, and any number of INSPECTION.
 */
enum forebay_class {
	FOREBAY_CLASS_INSPECTION = 1,
	FOREBAY_CLASS_QOS = 2,
	FOREBAY_CLASS_COMPRESSION = 3,
	FOREBAY_CLASS_ENCRYPTION = 4,
	FOREBAY_CLASS_REPLICATION = 5,
	FOREBAY_CLASS_CACHE = 6,
	FOREBAY_CLASS_INTEGRITY = 7,
};

enum forebay_operation {
	FOREBAY_READ = 0,
	FOREBAY_WRITE = 1,
	/* Offset and length are 0. */
	FOREBAY_FLUSH = 2,
	/* No data; the contents are undefined afterwards. */
	FOREBAY_DISCARD = 3,
	/* No data; reads as zeros afterwards. */
	FOREBAY_WRITE_ZEROES = 4,
	/*
	 * Asks what the range holds; request_extents() has the list to fill.
	 * Where a filter doesn't know it, the answer above that filter is:
	 * data, all of it. That is never wrong.
	 */
	FOREBAY_EXTENTS = 5,
	/*
	 * A hint, without data: the range will be read soon. Where a filter
	 * doesn't know it, it ends there, with success.
	 */
	FOREBAY_CACHE = 6,
};

/* Builds the `operations` mask of a filter. */
#define FOREBAY_OPERATION_BIT(operation) (1u << (unsigned int)(operation))

/* Flags of a request or an io. */

/* WRITE, WRITE_ZEROES, DISCARD: durable before it completes. */
#define FOREBAY_FUA (1u << 0)
/* WRITE_ZEROES: the range must stay allocated in the layers below. */
#define FOREBAY_NO_HOLE (1u << 1)
/*
 * WRITE_ZEROES: unless that is faster than writing zeros, it ends with
 * -EOPNOTSUPP, soon, and nothing has changed.
 */
#define FOREBAY_FAST (1u << 2)
/*
 * An io that is a WRITE to a sidecar: the next WRITE to it belongs to the same
 * group. All of the group is in force after a crash, or nothing of it.
 */
#define FOREBAY_MORE (1u << 3)

enum forebay_log_level {
	FOREBAY_LOG_ERROR = 0,
	FOREBAY_LOG_WARNING = 1,
	FOREBAY_LOG_INFO = 2,
	FOREBAY_LOG_DEBUG = 3,
};

/* What an extent is; without a flag: data, or not known. */
#define FOREBAY_EXTENT_HOLE (1u << 0) /* takes no space in the backend */
#define FOREBAY_EXTENT_ZERO (1u << 1) /* reads as zeros */
/* A filter has it, newer than the layers below that filter. */
#define FOREBAY_EXTENT_DIRTY (1u << 2)

struct forebay_extent {
	uint64_t length; /* bytes, a multiple of 512, not 0 */
	uint32_t flags;
	uint32_t reserved; /* 0 */
};

/* Least capacity of a list. */
#define FOREBAY_EXTENTS_MIN 16u

/*
 * The answer to EXTENTS: consecutive extents from the request's offset on. A
 * success has one at least; together they may be shorter than the request, and
 * never longer. Who wants more asks again, from there.
 *
 * A filter that has data of its own forwards the request and corrects the list
 * in completed(). Meanwhile `capacity` may be lower, and the filter keeps what
 * it likes in the entries behind it.
 */
struct forebay_extents {
	struct forebay_extent *list;
	uint32_t capacity;
	uint32_t count;
};

struct forebay_request; /* opaque: ask the host */
struct forebay_call; /* opaque likewise */
struct forebay_instance; /* opaque: the handle that host functions want */

/* What an instance may know of its disk. Valid until close_done(). */
struct forebay_disk {
	uint32_t struct_size;
	uint32_t logical_block_bytes; /* 512 */
	uint64_t size_bytes;
	uint8_t uuid[16];
	const char *name;
	bool read_only;
	/*
	 * What memory_request() gives back may be believed: the process that
	 * wrote it was killed or ended in order, and not by an error of its own
	 * (SIGSEGV, abort()). Nothing says that it was finished with a change.
	 */
	bool kept_memory_good;
};

/*
 * What Forebay keeps beside a backend about its past, for filters that keep
 * copies of its data, or data that it lacks.
 */
struct forebay_below {
	uint32_t struct_size; /* set by the caller */
	uint32_t flags; /* FOREBAY_BELOW_... */
	/*
	 * Higher after each open for writing, on whichever host, and never the
	 * same for two of them: as it was found, and as this open makes it.
	 * 0: it isn't kept for this backend.
	 */
	uint64_t generation;
	uint64_t next_generation;
	/* What below_void() was called under; 0: never. A host has this that
	 * has below_void(). */
	uint64_t void_generation;
};

/* A filter of this disk on this host held data, and has never let go. */
#define FOREBAY_BELOW_HELD (1u << 0)
/* Changed since the last close in order, in any way that can be seen ... */
#define FOREBAY_BELOW_CHANGED (1u << 1)
/* ... and not in its attributes only. */
#define FOREBAY_BELOW_REWRITTEN (1u << 2)

/* `file` of an io that goes to the layers below instead of a file. */
#define FOREBAY_BELOW (-1)

/* Most bytes and most iovec entries in one READ or WRITE. */
#define FOREBAY_LENGTH_MAX (32u << 20)
#define FOREBAY_IOV_MAX 256u

/*
 * An operation that a filter starts itself. It stands under the same rules as a
 * request; one on the layers below must lie within the disk (-EINVAL). EXTENTS
 * can't be started, only forwarded (-EOPNOTSUPP).
 *
 * Owns: the caller owns it and its iovec, and leaves both alone until done().
 * `result`: 0 or a negative errno; a short transfer is reported as -EIO.
 */
struct forebay_io {
	enum forebay_operation operation;
	uint32_t flags;
	int file; /* a descriptor of the filter, FOREBAY_BELOW, or a sidecar */
	uint32_t iov_count;
	const struct iovec *iov;
	uint64_t offset;
	uint64_t length; /* bytes; with an iovec its sum */
	void (*done)(struct forebay_io *io, int result);
	void *owner; /* the filter's */
	/* The host's, between io_submit() and done(). */
	uint64_t host_private[24];
};

/* A one-shot timer, embedded by its owner. Zero it before the first use. */
struct forebay_timer {
	void (*expired)(struct forebay_timer *timer);
	void *owner; /* the filter's */
	uint64_t host_private[16];
};

/*
 * Work to do once when the current batch of events has been handled, before
 * the loop looks for new ones: the place to form groups. Zero it before the
 * first use. Deferring what is deferred already changes nothing.
 */
struct forebay_deferred {
	void (*run)(struct forebay_deferred *deferred);
	void *owner; /* the filter's */
	uint64_t host_private[8];
};

/*
 * Lifecycle events: what happens to a disk besides requests. A filter names in
 * `events` the kinds that it wants to be told of, and is told the phases
 *
 *   PRE   it is about to happen; the filters are told one after the other, from
 *         the VM down. Where the table says so a filter may refuse: it ends its
 *         turn with a negative errno and says why with host->explain()
 *   POST  it has happened; in the reverse order
 *   UNDO  it doesn't happen after all; in the reverse order. If a filter
 *         refuses or is late, only those before it are told that
 *
 *   kind        may  time  what
 *   ATTACH      yes  10 s  this filter is new on this disk: between its
 *                          open() and the first request. Not where Forebay
 *                          keeps nothing beside the backend
 *   DETACH      no   10 s  PRE: the disk goes, and the filter with it
 *   OPEN        no    2 s  POST: all filters are open, requests may come
 *   CLOSE       no    2 s  PRE: before the first close()
 *   GROW        yes  10 s  `size_bytes` is what the disk shall have. Filters
 *                          are closed and opened again after PRE
 *   SNAPSHOT    yes   3 s  the layers below are to be kept as the disk is
 *                          at one moment between PRE and POST
 *   CLONE       yes  10 s  another disk, `name`, is to be made of this one
 *   MIGRATE     no    5 s  PRE: the VM may soon run elsewhere. POST: it
 *                          leaves, requests have ended, and close()
 *                          follows. UNDO: it stays, or is back
 *   STUN        no    2 s  PRE: requests are about to be held back for a
 *                          while. POST: none is under way
 *   UNSTUN      no    2 s  PRE: they are about to come again. POST: they do
 *   PROPERTIES  yes   2 s  PRE: until its end host->property_...() answer
 *                          what they shall be. POST: they are so
 *   DELETE      yes  10 s  the disk is to be deleted
 *   ABORT       no    1 s  PRE: somebody stops the device, or resets it,
 *                          and waits for requests under way: what is held
 *                          may be let go. POST: they have ended
 *   VM          no    1 s  POST: the VM is said to be in state `vm`
 *
 * The time is each filter's in each phase. Who exceeds it is named in the log
 * and in the disk's history, and the event goes on without it: where it may
 * refuse that counts as a refusal. The late filter is told of no other event
 * until it has ended that one.
 *
 * Threads: as for all callbacks. Requests go on meanwhile, but for STUN. A
 * filter is told of one thing at a time. In UNDO and POST it may be another
 * instance than in PRE, if the disk was closed in between.
 */
enum forebay_event_kind {
	FOREBAY_EVENT_ATTACH = 0,
	FOREBAY_EVENT_DETACH = 1,
	FOREBAY_EVENT_OPEN = 2,
	FOREBAY_EVENT_CLOSE = 3,
	FOREBAY_EVENT_GROW = 4,
	FOREBAY_EVENT_SNAPSHOT = 5,
	FOREBAY_EVENT_CLONE = 6,
	FOREBAY_EVENT_MIGRATE = 7,
	FOREBAY_EVENT_STUN = 8,
	FOREBAY_EVENT_UNSTUN = 9,
	FOREBAY_EVENT_PROPERTIES = 10,
	FOREBAY_EVENT_DELETE = 11,
	FOREBAY_EVENT_ABORT = 12,
	FOREBAY_EVENT_VM = 13,
};

/* Builds the `events` mask of a filter. */
#define FOREBAY_EVENT_BIT(kind) (1u << (unsigned int)(kind))

enum forebay_event_phase {
	FOREBAY_EVENT_PRE = 0,
	FOREBAY_EVENT_POST = 1,
	FOREBAY_EVENT_UNDO = 2,
};

/* Of a VM event. */
enum forebay_vm {
	FOREBAY_VM_UNKNOWN = 0, /* of all other events */
	FOREBAY_VM_STARTING = 1,
	FOREBAY_VM_RUNNING = 2,
	FOREBAY_VM_MIGRATING = 3,
	FOREBAY_VM_STOPPED = 4,
};

/* Valid until event() returns. */
struct forebay_event {
	uint32_t struct_size;
	enum forebay_event_kind kind;
	enum forebay_event_phase phase;
	enum forebay_vm vm;
	uint64_t deadline_ns; /* when the filter's time is up, as now_ns() */
	uint64_t size_bytes; /* GROW: wanted; else the disk's */
	/* ATTACH: of the new filters; SNAPSHOT, CLONE: of the copy; else "" */
	const char *name;
};

struct forebay_event_end; /* opaque: for host->event_end() */

/* Reports of one instance that come into its disk's history. */
#define FOREBAY_REPORTS_MAX 64u

/*
 * Something that takes CPU time, to be done beside the loop: encrypting the
 * data of a large request, for example. Zero it before the first use. @run is
 * called on another thread: it calls no function of the host, and whatever it
 * looks at is left alone by all else until done(). It may not wait for anything
 * but the CPU.
 */
struct forebay_work {
	void (*run)(struct forebay_work *work);
	void (*done)(struct forebay_work *work); /* on the loop again */
	void *owner; /* the filter's */
	uint64_t host_private[16];
};

/* Most that the arena of one instance gives. */
#define FOREBAY_ARENA_BYTES_MAX (64u << 20)

/* Most descriptors in one channel message, most bytes in one message. */
#define FOREBAY_CHANNEL_FDS_MAX 8u
#define FOREBAY_CHANNEL_BYTES_MAX 65520u

/*
 * What Forebay offers to a filter. The table lives as long as the process.
 * Functions marked [r] take a request that the filter currently has.
 */
struct forebay_host {
	uint32_t abi_version;
	uint32_t struct_size;

	/* Requests [r]. */
	enum forebay_operation (*request_operation)(
		const struct forebay_request *request);
	uint32_t (*request_flags)(const struct forebay_request *request);
	uint64_t (*request_offset)(const struct forebay_request *request);
	uint64_t (*request_length)(const struct forebay_request *request);
	/* Owns: the request, for as long as it lives. */
	const struct iovec *(*request_iov)(
		const struct forebay_request *request, uint32_t *ret_count);
	/* This filter's own bytes in the request, aligned to 16. */
	void *(*request_context)(struct forebay_request *request);
	/* Order: completed() may be called before this returns. */
	void (*request_forward)(struct forebay_request *request);
	/* Order: the next submit() may be called before this returns. */
	void (*request_complete)(struct forebay_request *request, int status);

	/*
	 * Starts @io on its file or on the layers below.
	 * Order: done() is never called before this returns.
	 */
	void (*io_submit)(struct forebay_instance *instance,
			  struct forebay_io *io);

	/* As of the current batch of events. Cheap. */
	uint64_t (*now_ns)(struct forebay_instance *instance);
	/* Arming an armed timer moves it; cancelling an idle one is fine. */
	void (*timer_arm)(struct forebay_instance *instance,
			  struct forebay_timer *timer, uint64_t delay_ns);
	void (*timer_cancel)(struct forebay_instance *instance,
			     struct forebay_timer *timer);
	void (*defer)(struct forebay_instance *instance,
		      struct forebay_deferred *deferred);

	/*
	 * The channel to the filter's daemon: a connection that delivers whole
	 * messages, in order, and is connected again by itself with back-off.
	 * Called at most once an instance; from then on channel_state() and
	 * channel_message() report, beginning in a later batch of events.
	 * Returns: 0, or -ENOENT if the filter has no daemon on this host.
	 */
	int (*channel_open)(struct forebay_instance *instance);
	/*
	 * Copies the bytes and duplicates the descriptors.
	 * Returns: 0, -ENOTCONN (the channel is down), -EMSGSIZE, or -ENOBUFS
	 * (the daemon doesn't keep up).
	 */
	int (*channel_send)(struct forebay_instance *instance,
			    const void *bytes, size_t count, const int *fds,
			    uint32_t fd_count);
	/*
	 * Asks the daemon for shared memory that it keeps when this process
	 * dies: the same @name (at most 31 characters, at most 8 names) on the
	 * same disk is the same memory again, unless the size is another; new
	 * memory is all zeros. memory_ready() reports. @bytes is a multiple of
	 * 4096. A daemon that was started again has forgotten it: what is
	 * mapped here stays valid, but is nobody else's any more until it is
	 * asked for again, and the answer to that replaces the old mapping.
	 * Returns: 0, -ENOTCONN, -EINVAL, -EBUSY (asked already) or -ENOSPC.
	 */
	int (*memory_request)(struct forebay_instance *instance,
			      const char *name, uint64_t bytes);

	/*
	 * Ends of the asynchronous open() and close(); may be called inside
	 * them. By then no io is under way, no timer armed and nothing deferred
	 * of an instance that is closed or failed to open.
	 */
	void (*open_done)(struct forebay_instance *instance, int status);
	void (*close_done)(struct forebay_instance *instance, int status);

	/*
	 * States a failure for people in one line: object, cause, what to do.
	 * Before open_done().
	 */
	void (*explain)(struct forebay_instance *instance, const char *message);
	/* One line, without a newline. */
	void (*log)(struct forebay_instance *instance,
		    enum forebay_log_level level, const char *format, ...)
		__attribute__((format(printf, 3, 4)));
	/* Adds to the disk's counter of copied data bytes. */
	void (*count_copied)(struct forebay_instance *instance, uint64_t bytes);
	/*
	 * Reads one property of the instance, as validated and completed with
	 * its default. Integers are in the base unit of the property: bytes,
	 * nanoseconds or a plain number.
	 * Returns: 0, or -ENOENT if the filter declares no such property or
	 * declares it with another type. A string lives until the properties
	 * change.
	 */
	int (*property_integer)(struct forebay_instance *instance,
				const char *name, int64_t *ret_value);
	int (*property_string)(struct forebay_instance *instance,
			       const char *name, const char **ret_value);
	int (*property_boolean)(struct forebay_instance *instance,
				const char *name, bool *ret_value);

	/*
	 * [r] The list of an EXTENTS; NULL of any other. A host that gives a
	 * filter such requests has this.
	 */
	struct forebay_extents *(*request_extents)(
		struct forebay_request *request);

	/*
	 * For open(): whether the layers below are still what they were. A
	 * filter that keeps copies over a close stores both generations, and
	 * durably so before open_done(). If neither of the two is the one found
	 * at the next open, another has written there meanwhile.
	 */
	void (*below_state)(struct forebay_instance *instance,
			    struct forebay_below *ret_below);
	/*
	 * Says that the filter may hold data that the layers below lack, or
	 * that it holds none any more. Other hosts refuse a backend of which
	 * that is said. Order: `true` before the first write that completes
	 * without being below; it is durable when this returns, and that may
	 * take a while. `false` in open() answers for FOREBAY_BELOW_HELD; in
	 * close(), after all is below and was flushed there, it ends what
	 * `true` began. Returns: 0 or a negative errno: then nothing may be
	 * held, and the reason is in the log.
	 */
	int (*below_hold)(struct forebay_instance *instance, bool holds);
	/*
	 * The filter's store has failed, and it goes on without it: what it
	 * has stored under this open's `next_generation` is of no use from now
	 * on, and the next opens are told so by `void_generation`. Order: all
	 * of it is below and was flushed there, but for what is lost; nothing
	 * else was written below that is newer than what was stored. @lost:
	 * something is; then FOREBAY_BELOW_HELD stands until somebody gives it
	 * up. Durable when this returns. Returns: 0 or a negative errno, with
	 * the reason in the log.
	 */
	int (*below_void)(struct forebay_instance *instance, bool lost);

	/* Lifecycle events. */

	/*
	 * The filter has done what it does at an event. Called once for each
	 * event(), in it or later, also if the deadline has passed; close()
	 * ends an event that hasn't been, and then this isn't called. @status:
	 * 0, or a negative errno, which in PRE refuses where that is possible,
	 * and is written down anywhere else.
	 */
	void (*event_end)(struct forebay_event_end *end, int status);

	/* Files for people. */

	/*
	 * The file of @property, open for reading and writing, for `file` of an
	 * io. It is new when the disk's process is; an instance that comes
	 * later in the same process goes on with the one that there is. Owns:
	 * the host; it outlives the instance. Returns: 0, or -ENOENT if the
	 * property is "" or `files` doesn't name it.
	 */
	int (*file_find)(struct forebay_instance *instance,
			 const char *property, int *ret_fd);

	/* Requests, since ABI 1 grew. */

	/*
	 * [r] In submit(), of a WRITE: from now on request_iov() and the layers
	 * below see a private copy of its data, one piece of memory that is
	 * aligned to 4096, and that the filter may change until it forwards or
	 * completes the request. On its way up the request has its own data
	 * again before completed() is called. Copied bytes are counted. A
	 * filter that calls this declares FOREBAY_FILTER_COPIES. Returns: 0,
	 * also if it is one already; -EINVAL; or -EINPROGRESS: no memory is
	 * free, the request is the host's again, and comes to submit() once
	 * more when there is. There is always enough for one, and they come in
	 * the order in which they were taken back.
	 */
	int (*request_stable)(struct forebay_request *request);
	/*
	 * [r] In submit(), of a READ or WRITE: until it comes back, the layers
	 * below use @iov instead of the request's own, which is there again
	 * when completed() is called, or the filter completes the request.
	 * Owns: the filter owns the list and the memory, and leaves both alone
	 * until then. Addresses and lengths are multiples of 512, and make the
	 * same length together. Returns: 0 or -EINVAL.
	 */
	int (*request_replace)(struct forebay_request *request,
			       const struct iovec *iov, uint32_t iov_count);
	/*
	 * Metrics, by their place in the filter's list: adds to a COUNTER, sets
	 * a GAUGE, puts a value into a HISTOGRAM. Cheap. Units: SECONDS are
	 * given in nanoseconds.
	 */
	void (*metric_add)(struct forebay_instance *instance, uint32_t index,
			   uint64_t value);
	void (*metric_set)(struct forebay_instance *instance, uint32_t index,
			   int64_t value);
	void (*metric_observe)(struct forebay_instance *instance,
			       uint32_t index, uint64_t value);
	/*
	 * One argument of a call that is under way, as validated and completed
	 * with its default. Returns: 0, or -ENOENT as property_integer().
	 */
	int (*call_integer)(struct forebay_call *call, const char *name,
			    int64_t *ret_value);
	int (*call_string)(struct forebay_call *call, const char *name,
			   const char **ret_value);
	int (*call_boolean)(struct forebay_call *call, const char *name,
			    bool *ret_value);
	/*
	 * Ends a call, once. @text: with 0 the result as JSON of at most 48
	 * KiB, or NULL for none; with a negative errno one line that says why,
	 * or NULL.
	 */
	void (*call_done)(struct forebay_call *call, int status,
			  const char *text);
	/*
	 * Has @work->run() called on another thread, and then @work->done() on
	 * the loop. Works begin in the order in which they are given, and run
	 * side by side. close() isn't called before all are done. Order:
	 * neither is called before this returns.
	 */
	void (*work_submit)(struct forebay_instance *instance,
			    struct forebay_work *work);
	/*
	 * Memory of @bytes (FOREBAY_LENGTH_MAX at most), aligned to 4096, so
	 * that any io and request_replace() take it; it holds what it held
	 * last. NULL if the instance has FOREBAY_ARENA_BYTES_MAX already, each
	 * block rounded up to a power of two; what is out stands in the
	 * instance's status. What is left at the end is freed with the
	 * instance. NULL may be freed.
	 */
	void *(*arena_alloc)(struct forebay_instance *instance, uint64_t bytes);
	void (*arena_free)(struct forebay_instance *instance, void *memory);

	/* Sidecars. */

	/*
	 * One that the filter's table names (forebay/sidecar.h); from open() to
	 * close_done(). Returns: 0 or -ENOENT.
	 */
	int (*sidecar_file)(struct forebay_instance *instance, const char *name,
			    struct forebay_sidecar_file *ret_file);
	/*
	 * Makes @io->file `length` bytes long, whole blocks; `operation`,
	 * `offset` and `iov` aren't looked at. What is added reads as zeros; in
	 * order with the writes, and not inside of a group (-EINVAL). Ends like
	 * an io; -EFBIG is more than the table says. If it fails, so do the
	 * writes that wait behind it.
	 */
	void (*sidecar_resize)(struct forebay_instance *instance,
			       struct forebay_io *io);

	/* The disk's history. */

	/*
	 * Puts a line there, for what an operator must find later on; not for
	 * what happens often: FOREBAY_REPORTS_MAX an instance, and what comes
	 * then stands in the log alone, as all of them do. @what: a word as a
	 * filter's name is made. @text: one line of ASCII, of which 500 bytes
	 * are taken.
	 */
	void (*report)(struct forebay_instance *instance, const char *what,
		       const char *text);
};

/* What a filter says of itself in `flags`. */

/*
 * It may hold a request for as long as it likes. Of any other a request that is
 * neither forwarded nor completed after a minute is told to the operator.
 */
#define FOREBAY_FILTER_HOLDS (1u << 0)
/* It calls request_stable(): memory for that is set aside. */
#define FOREBAY_FILTER_COPIES (1u << 1)

/* What a filter exports as `forebay_filter`. Callbacks marked * may be NULL. */
struct forebay_filter {
	uint32_t abi_version; /* FOREBAY_FILTER_ABI */
	uint32_t struct_size; /* sizeof(struct forebay_filter) */
	const char *name; /* a-z, 0-9, '-'; at most 31 */
	const char *version; /* semantic version */
	const char *description; /* one sentence */
	enum forebay_class filter_class;
	uint32_t operations; /* FOREBAY_OPERATION_BIT()s it understands */
	uint32_t request_context_bytes; /* at most 4096 */
	const struct forebay_property *properties; /* or NULL: none */

	/*
	 * Makes an instance and ends with host->open_done(). *ret_state is set
	 * before open() returns and is the first argument of all other
	 * callbacks. When it ends with an error, close() is not called. The
	 * layers below are open: io on them is fine.
	 */
	void (*open)(struct forebay_instance *instance,
		     const struct forebay_host *host,
		     const struct forebay_disk *disk, void **ret_state);
	/*
	 * Ends the instance with host->close_done(). No request and no action
	 * is under way; the layers below are still open.
	 */
	void (*close)(void *state);
	/* A request arrives: forward, complete or hold it. */
	void (*submit)(void *state, struct forebay_request *request);
	/*
	 * * A forwarded request comes back with its status. The filter passes
	 * it on with host->request_complete(), now or later. NULL: passed on as
	 * it is, without a call.
	 */
	void (*completed)(void *state, struct forebay_request *request,
			  int status);
	/* * Properties changed and are valid: read them again. */
	void (*properties_changed)(void *state);
	/* * The channel went up or down. */
	void (*channel_state)(void *state, bool connected);
	/* * A message. Owns: the filter owns the descriptors, not the bytes. */
	void (*channel_message)(void *state, const void *bytes, size_t count,
				const int *fds, uint32_t fd_count);
	/*
	 * * Answer to memory_request(): 0 and memory that is mapped read-write
	 * until close_done(), or an error and NULL.
	 */
	void (*memory_ready)(void *state, const char *name, void *address,
			     uint64_t bytes, int status);
	/*
	 * * Writes a JSON object of counters and states into @buffer, with its
	 * ending NUL. Returns: its length without the NUL, or -ENOSPC: then it
	 * is called again with a larger buffer, of 32 KiB at most.
	 */
	int (*status)(void *state, char *buffer, size_t buffer_bytes);
	/*
	 * * A named action from the operator ("flush": bring all that you hold
	 * to the layers below; "hold 600": see that the layers below come to
	 * stand at one point of time and stay so for 600 seconds at most, while
	 * you go on: -EBUSY if they do already, -EPROTONOSUPPORT if what is
	 * written goes below by itself; "release": that is over: -ENOENT if it
	 * never was, -ESTALE if they moved on before, -EINPROGRESS if they
	 * didn't stand there yet) or from the disk ("migration-begin": the VM
	 * may soon run on another host, which waits for what you hold;
	 * "migration-end": it stays). Ends by calling @done once, now or later;
	 * actions that the filter doesn't know end with -ENOTSUP.
	 */
	void (*action)(void *state, const char *name,
		       void (*done)(void *context, int status), void *context);

	/* Lifecycle events. */

	/*
	 * FOREBAY_EVENT_BIT()s of the kinds that event() is called for. A
	 * filter without MIGRATE is told "migration-begin" and "migration-end"
	 * by action() instead.
	 */
	uint32_t events;
	uint32_t events_reserved; /* 0 */
	/* * Ends with host->event_end(end), now or later. */
	void (*event)(void *state, const struct forebay_event *event,
		      struct forebay_event_end *end);

	/* Files for people. */

	const struct forebay_file *files; /* or NULL: none; at most 4 */

	/* Requests, since ABI 1 grew. */
	uint32_t flags; /* FOREBAY_FILTER_... */
	const struct forebay_metric *metrics; /* or NULL: none */
	const struct forebay_action *actions; /* or NULL: none */
	/*
	 * * An operator calls action number @action of the list. Ends with
	 * host->call_done(), now or later; the instance isn't closed before.
	 */
	void (*call)(void *state, uint32_t action, struct forebay_call *call);

	/* Sidecars. */

	/* * Ends with an entry whose name is NULL. */
	const struct forebay_sidecar *sidecars;
};

/* The one symbol that a filter exports, even when it hides all others. */
extern const struct forebay_filter forebay_filter
	__attribute__((visibility("default")));

#ifdef __cplusplus
}
#endif

#endif
