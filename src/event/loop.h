/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop.h - the io_uring event loop that owns everything a process does.
 *
 * One thread, one ring, one loop. Each operation is a `struct loop_io` embedded
 * in its owner's object; it is given to the loop by one of the calls below and
 * comes back through done() exactly once, never from inside the call that
 * started it. Submissions are gathered and enter the kernel once a turn.
 *
 * A turn: completions -> pollers -> timers -> deferred work -> submit -> wait.
 * The wait ends with the next completion or timer. While pollers report work
 * the loop spins for a short, self-adjusting time before it sleeps; an idle
 * loop uses no CPU.
 *
 * Thread: everything about a loop happens on the thread that created it; the
 * kernel refuses a ring's submissions from another one.
 */
#ifndef FOREBAY_EVENT_LOOP_H
#define FOREBAY_EVENT_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct loop;

struct loop_io {
	/* @result: as the kernel reports it: bytes or 0, or a negative errno.
	 */
	void (*done)(struct loop_io *io, int result);
	void *owner;
	/* The loop's: */
	struct loop *loop;
	uint16_t state;
	uint8_t tag;
	bool multishot;
	int multishot_fd;
	unsigned int multishot_events;
};

struct loop_timer {
	void (*expired)(struct loop_timer *timer);
	void *owner;
	/* The loop's: */
	uint64_t deadline_ns;
	struct loop_timer *child;
	struct loop_timer *sibling;
	struct loop_timer *previous;
	bool armed;
};

struct loop_deferred {
	void (*run)(struct loop_deferred *deferred);
	void *owner;
	/* The loop's: */
	struct loop_deferred *next;
	bool queued;
};

/* Looks for work that no completion announces, e.g. a virtqueue in memory. */
struct loop_poller {
	/* Returns: true if it found work. Called often; must be cheap. */
	bool (*poll)(struct loop_poller *poller);
	/*
	 * Called before the loop sleeps: arm the notification, then look once
	 * more. Returns: true if there is work after all (the loop won't
	 * sleep).
	 */
	bool (*arm)(struct loop_poller *poller);
	/* Called when the loop is awake again: notifications may be disarmed.
	 */
	void (*disarm)(struct loop_poller *poller);
	void *owner;
	/* The loop's: */
	struct loop_poller *next;
	struct loop_poller *previous;
};

/* Returns: 0, -ENOSYS or -EPERM (no io_uring here), -ENOMEM, -EMFILE. */
int loop_create(struct loop **ret_loop);
/*
 * No read, write or sync of a file may be in flight. Polls, accepts, sends and
 * receives are cancelled and their done() is called; deferred work is run. So
 * objects that free themselves in their last done() leave nothing behind. NULL
 * is fine.
 */
void loop_destroy(struct loop *loop);
/* Runs until loop_stop(). Returns: 0 or a negative errno of the ring itself. */
int loop_run(struct loop *loop);
/* Ends loop_run() after the current turn. */
void loop_stop(struct loop *loop);

/* CLOCK_MONOTONIC as of this turn. Cheap. */
uint64_t loop_now_ns(const struct loop *loop);

/* @rw_flags: RWF_DSYNC and friends. The iovec must live until done(). */
void loop_readv(struct loop *loop, struct loop_io *io, int fd,
		const struct iovec *iov, unsigned int iov_count,
		uint64_t offset, int rw_flags);
void loop_writev(struct loop *loop, struct loop_io *io, int fd,
		 const struct iovec *iov, unsigned int iov_count,
		 uint64_t offset, int rw_flags);
void loop_fdatasync(struct loop *loop, struct loop_io *io, int fd);
/* @mode: of fallocate(2). */
void loop_fallocate(struct loop *loop, struct loop_io *io, int fd, int mode,
		    uint64_t offset, uint64_t length);
void loop_recvmsg(struct loop *loop, struct loop_io *io, int fd,
		  struct msghdr *message, int flags);
/* Sends never raise SIGPIPE. */
void loop_sendmsg(struct loop *loop, struct loop_io *io, int fd,
		  const struct msghdr *message, int flags);
void loop_recv(struct loop *loop, struct loop_io *io, int fd, void *buffer,
	       size_t bytes, int flags);
void loop_send(struct loop *loop, struct loop_io *io, int fd,
	       const void *buffer, size_t bytes, int flags);
/* One connection: done() gets its descriptor (close-on-exec). */
void loop_accept(struct loop *loop, struct loop_io *io, int fd);
/*
 * @events: POLLIN ...; done() gets the events that happened. One may be late
 * and already be dealt with: a pipe's writer wakes its reader after the data
 * are there. So whoever reads or writes @fd then has made it non-blocking.
 */
void loop_poll(struct loop *loop, struct loop_io *io, int fd,
	       unsigned int events);
/*
 * The same, again and again: done() is called for each event until it gets a
 * negative result, which is the last call.
 */
void loop_poll_multishot(struct loop *loop, struct loop_io *io, int fd,
			 unsigned int events);
/*
 * Asks @io to end soon; its done() still comes, with -ECANCELED or a result, so
 * its owner must live until then.
 */
void loop_cancel(struct loop *loop, struct loop_io *io);

/*
 * Arming an armed timer moves it. Cancelling an unarmed one does nothing. Zero
 * a timer before its first use. It expires in a later turn, even with no delay.
 */
void loop_timer_arm(struct loop *loop, struct loop_timer *timer,
		    uint64_t delay_ns);
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);

/*
 * Runs @deferred once, in this turn, or in the next if it is called by deferred
 * work. Deferring what is deferred already changes nothing. Zero it first.
 */
void loop_defer(struct loop *loop, struct loop_deferred *deferred);
/* Takes it back. */
void loop_defer_cancel(struct loop *loop, struct loop_deferred *deferred);

void loop_poller_add(struct loop *loop, struct loop_poller *poller);
void loop_poller_remove(struct loop *loop, struct loop_poller *poller);

/* Operations given to the kernel and not back yet, polls and accepts excepted.
 */
unsigned int loop_in_flight(const struct loop *loop);

#endif
