// SPDX-License-Identifier: Apache-2.0
/*
 * loop.c - the turn: completions, pollers, timers, deferred work, submit, wait.
 *
 * Callbacks may start, cancel, arm, defer, add and remove whatever they like;
 * each step below therefore decides how much it does before it begins, so that
 * work that makes work can't keep the others waiting.
 */
#include "loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "clock.h"
#include "log.h"
#include "loop_private.h"
#include "ring_limits.h"

#define SUBMISSION_ENTRIES 512u
#define COMPLETION_ENTRIES 4096u
#define IDLE_SPIN_NS (50 * NS_PER_US)
#define IN_FLIGHT_SPIN_NS (100 * NS_PER_US)
/*
 * With more operations than this under way the loop sleeps at once: what it
 * sleeps through comes as a batch, and the kernel's own threads, which may do
 * the I/O, get the CPU.
 */
#define SPIN_FILES_MAX 2u
/*
 * How long loop_destroy() asks before it leaves the rest to the end of the
 * ring: kernels before 5.19 can't cancel everything, and an owner might start
 * again for ever.
 */
#define DESTROY_NS (500 * NS_PER_MS)
/* How soon a submission that the kernel refused is tried again. */
#define SUBMIT_RETRY_NS NS_PER_MS

/* Newest kernel first; each refuses with -EINVAL what it doesn't know. */
static const unsigned int setup_flags[] = {
	IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
		IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
	IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
		IORING_SETUP_SUBMIT_ALL,
	0,
};

static int ring_open(struct io_uring *ring)
{
	int status = -EINVAL;

	for (size_t i = 0; i < sizeof(setup_flags) / sizeof(setup_flags[0]) &&
			   status == -EINVAL;
	     i++) {
		struct io_uring_params params = {
			.flags = setup_flags[i] | IORING_SETUP_CQSIZE |
				 IORING_SETUP_R_DISABLED,
			.cq_entries = COMPLETION_ENTRIES,
		};

		status = io_uring_queue_init_params(SUBMISSION_ENTRIES, ring,
						    &params);
	}
	return status;
}

int loop_create(struct loop **ret_loop)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int status;

	if (!loop)
		return -ENOMEM;
	status = ring_open(&loop->ring);
	if (status < 0) {
		free(loop);
		return status;
	}
	status = ring_limits_set(&loop->ring);
	if (status < 0) {
		io_uring_queue_exit(&loop->ring);
		free(loop);
		return status;
	}
	/* A child would hold the ring, and all that it holds, open. */
	io_uring_ring_dontfork(&loop->ring);
	/* Saves looking up the ring's file at each entry; old kernels can't. */
	io_uring_register_ring_fd(&loop->ring);
	loop->now_ns = clock_monotonic_ns();
	spin_init(&loop->idle_spin, IDLE_SPIN_NS);
	spin_init(&loop->in_flight_spin, IN_FLIGHT_SPIN_NS);
	*ret_loop = loop;
	return 0;
}

void loop_stop(struct loop *loop)
{
	loop->stopping = true;
}

uint64_t loop_now_ns(const struct loop *loop)
{
	return loop->now_ns;
}

unsigned int loop_in_flight(const struct loop *loop)
{
	return loop->in_flight[LOOP_TAG_FILE] +
	       loop->in_flight[LOOP_TAG_SOCKET];
}

int loop_submit(struct loop *loop)
{
	return io_uring_submit_and_get_events(&loop->ring);
}

/* One completion to its owner. */
static void complete(struct loop *loop, uint64_t user_data, int result,
		     unsigned int flags)
{
	struct loop_io *io =
		(struct loop_io *)(uintptr_t)(user_data & ~LOOP_TAG_MASK);
	bool cancelled;

	if (user_data == LOOP_USER_DATA_NONE)
		return;
	if (flags & IORING_CQE_F_MORE) {
		if (io->state == LOOP_IO_STARTED)
			io->done(io, result);
		return;
	}
	cancelled = io->state == LOOP_IO_CANCELLING;
	assert(cancelled || io->state == LOOP_IO_STARTED);
	io->state = LOOP_IO_IDLE;
	loop->in_flight[user_data & LOOP_TAG_MASK]--;
	if (io->multishot && result >= 0) {
		/* The kernel ended it for its own reasons, the owner didn't. */
		if (cancelled)
			result = -ECANCELED;
		else
			loop_poll_again(loop, io);
	}
	io->done(io, result);
}

static void run_completions(struct loop *loop)
{
	unsigned int count = io_uring_cq_ready(&loop->ring);

	while (count-- > 0) {
		struct io_uring_cqe *cqe;
		uint64_t user_data;
		unsigned int flags;
		int result;

		if (io_uring_peek_cqe(&loop->ring, &cqe) != 0)
			break;
		user_data = cqe->user_data;
		result = cqe->res;
		flags = cqe->flags;
		/* Before the callback: it may submit, which makes more. */
		io_uring_cqe_seen(&loop->ring, cqe);
		if ((user_data & LOOP_TAG_MASK) != LOOP_TAG_ACCEPT)
			loop->active = true;
		complete(loop, user_data, result, flags);
	}
}

void loop_poller_add(struct loop *loop, struct loop_poller *poller)
{
	poller->previous = NULL;
	poller->next = loop->pollers;
	if (loop->pollers)
		loop->pollers->previous = poller;
	loop->pollers = poller;
}

void loop_poller_remove(struct loop *loop, struct loop_poller *poller)
{
	if (loop->next_poller == poller)
		loop->next_poller = poller->next;
	if (poller->next)
		poller->next->previous = poller->previous;
	if (poller->previous)
		poller->previous->next = poller->next;
	else
		loop->pollers = poller->next;
	poller->next = NULL;
	poller->previous = NULL;
}

static struct loop_poller *take_next_poller(struct loop *loop)
{
	struct loop_poller *poller = loop->next_poller;

	if (poller)
		loop->next_poller = poller->next;
	return poller;
}

/* Returns: whether one of them found work. */
static bool run_pollers(struct loop *loop)
{
	struct loop_poller *poller;
	bool found = false;

	loop->next_poller = loop->pollers;
	while ((poller = take_next_poller(loop)))
		found |= poller->poll(poller);
	loop->active |= found;
	return found;
}

/* Returns: true if one of them has work after all. */
static bool arm_pollers(struct loop *loop)
{
	struct loop_poller *poller;
	bool found = false;

	loop->next_poller = loop->pollers;
	while ((poller = take_next_poller(loop)))
		found |= poller->arm(poller);
	return found;
}

static void disarm_pollers(struct loop *loop)
{
	struct loop_poller *poller;

	loop->next_poller = loop->pollers;
	while ((poller = take_next_poller(loop)))
		poller->disarm(poller);
}

void loop_timer_arm(struct loop *loop, struct loop_timer *timer,
		    uint64_t delay_ns)
{
	loop_timer_cancel(loop, timer);
	/* Always later than now: see run_timers(). */
	if (__builtin_add_overflow(loop->now_ns, delay_ns ? delay_ns : 1,
				   &timer->deadline_ns))
		timer->deadline_ns = UINT64_MAX;
	timer->armed = true;
	timer_heap_insert(&loop->timers, timer);
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	if (!timer->armed)
		return;
	timer->armed = false;
	timer_heap_remove(&loop->timers, timer);
}

/* Ends, because what is armed meanwhile is due in a later turn. */
static void run_timers(struct loop *loop)
{
	struct loop_timer *timer;

	while ((timer = loop->timers.root) &&
	       timer->deadline_ns <= loop->now_ns) {
		loop_timer_cancel(loop, timer);
		timer->expired(timer);
	}
}

void loop_defer(struct loop *loop, struct loop_deferred *deferred)
{
	if (deferred->queued)
		return;
	deferred->queued = true;
	deferred->next = NULL;
	if (loop->deferred_last)
		loop->deferred_last->next = deferred;
	else
		loop->deferred_first = deferred;
	loop->deferred_last = deferred;
	loop->deferred_count++;
}

void loop_defer_cancel(struct loop *loop, struct loop_deferred *deferred)
{
	struct loop_deferred *previous = NULL;

	if (!deferred->queued)
		return;
	for (struct loop_deferred *at = loop->deferred_first; at != deferred;
	     at = at->next)
		previous = at;
	if (previous)
		previous->next = deferred->next;
	else
		loop->deferred_first = deferred->next;
	if (loop->deferred_last == deferred)
		loop->deferred_last = previous;
	loop->deferred_count--;
	deferred->queued = false;
}

static void run_deferred(struct loop *loop)
{
	unsigned int count = loop->deferred_count;

	while (count-- > 0 && loop->deferred_first) {
		struct loop_deferred *deferred = loop->deferred_first;

		loop_defer_cancel(loop, deferred);
		deferred->run(deferred);
	}
}

/* The kernel has completions, or would have them if we entered it. */
static bool kernel_has_news(const struct loop *loop)
{
	return io_uring_cq_ready(&loop->ring) > 0 ||
	       (IO_URING_READ_ONCE(*loop->ring.sq.kflags) &
		(IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW));
}

static bool timer_is_due(const struct loop *loop)
{
	return loop->timers.root &&
	       loop->timers.root->deadline_ns <= loop->now_ns;
}

static bool must_not_sleep(const struct loop *loop)
{
	return loop->stopping || loop->deferred_first ||
	       kernel_has_news(loop) || timer_is_due(loop);
}

static void relax_cpu(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* Looks for work for at most @budget_ns. Returns: whether there is some. */
static bool look_around(struct loop *loop, struct spin *spin,
			uint64_t budget_ns)
{
	uint64_t begin_ns = clock_monotonic_ns();

	do {
		if (run_pollers(loop) || must_not_sleep(loop)) {
			spin_hit(spin, loop->now_ns - begin_ns);
			return true;
		}
		relax_cpu();
		loop->now_ns = clock_monotonic_ns();
	} while (loop->now_ns - begin_ns < budget_ns);
	spin_miss(spin);
	return false;
}

/* How long the kernel may wait; UINT64_MAX: for ever. */
static uint64_t sleep_ns(const struct loop *loop)
{
	uint64_t now_ns;

	if (!loop->timers.root)
		return UINT64_MAX;
	now_ns = clock_monotonic_ns();
	return loop->timers.root->deadline_ns > now_ns
		       ? loop->timers.root->deadline_ns - now_ns
		       : 0;
}

static int submit_and_sleep(struct loop *loop)
{
	uint64_t ns = sleep_ns(loop);
	struct __kernel_timespec timeout = {
		.tv_sec = (long long)(ns / NS_PER_SECOND),
		.tv_nsec = (long long)(ns % NS_PER_SECOND),
	};
	struct io_uring_cqe *cqe;

	return io_uring_submit_and_wait_timeout(
		&loop->ring, &cqe, 1, ns == UINT64_MAX ? NULL : &timeout, NULL);
}

/* Sleeps with every notification armed, unless work turns up while arming. */
static int sleep_armed(struct loop *loop)
{
	int status;

	if (arm_pollers(loop) || must_not_sleep(loop)) {
		disarm_pollers(loop);
		return loop_submit(loop);
	}
	loop->active = false;
	status = submit_and_sleep(loop);
	disarm_pollers(loop);
	return status;
}

/*
 * Spinning is for processes that serve guests, which are those with pollers,
 * and only after something happened: a timer's tick is no reason.
 */
static int submit_and_wait(struct loop *loop)
{
	unsigned int files = loop->in_flight[LOOP_TAG_FILE];
	struct spin *spin =
		files > 0 ? &loop->in_flight_spin : &loop->idle_spin;
	uint64_t budget_ns = 0;

	if (must_not_sleep(loop))
		return loop_submit(loop);
	if (loop->pollers && loop->active && files <= SPIN_FILES_MAX)
		budget_ns = spin_begin(spin);
	if (budget_ns > 0) {
		int status = 0;

		if (io_uring_sq_ready(&loop->ring) > 0)
			status = loop_submit(loop);
		if (status < 0 || look_around(loop, spin, budget_ns))
			return status;
	}
	return sleep_armed(loop);
}

/*
 * What the world may do to an entry into the kernel. Returns: 0 to go on.
 * Submissions that were refused stay in the queue and go with the next turn.
 */
static int judge_entry(int status)
{
	const struct timespec pause = {.tv_nsec = SUBMIT_RETRY_NS};

	switch (-status) {
	case ETIME:
	case EINTR:
	case EBUSY:
		return 0;
	case EAGAIN:
	case ENOMEM:
		log_warning("io_uring is short of memory, retrying");
		nanosleep(&pause, NULL);
		return 0;
	}
	return status < 0 ? status : 0;
}

int loop_run(struct loop *loop)
{
	int status = 0;

	do {
		loop->now_ns = clock_monotonic_ns();
		run_completions(loop);
		run_pollers(loop);
		run_timers(loop);
		run_deferred(loop);
		status = judge_entry(submit_and_wait(loop));
	} while (!loop->stopping && status == 0);
	loop->stopping = false;
	return status;
}

static unsigned int unfinished(const struct loop *loop)
{
	return loop_in_flight(loop) + loop->in_flight[LOOP_TAG_POLL] +
	       loop->in_flight[LOOP_TAG_ACCEPT] + loop->deferred_count;
}

/* Asks the kernel to end everything, also what a done() has just started. */
static int cancel_all(struct loop *loop)
{
	struct io_uring_sqe *entry;
	int status = io_uring_submit(&loop->ring);

	if (status < 0)
		return judge_entry(status);
	entry = io_uring_get_sqe(&loop->ring);
	io_uring_prep_cancel64(
		entry, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
	io_uring_sqe_set_data64(entry, LOOP_USER_DATA_NONE);
	return judge_entry(io_uring_submit_and_wait(&loop->ring, 1));
}

void loop_destroy(struct loop *loop)
{
	uint64_t deadline_ns = clock_monotonic_ns() + DESTROY_NS;
	int status = 0;

	if (!loop)
		return;
	assert(loop->in_flight[LOOP_TAG_FILE] == 0);
	run_deferred(loop);
	while (unfinished(loop) > 0 && status == 0 &&
	       clock_monotonic_ns() < deadline_ns) {
		status = cancel_all(loop);
		run_completions(loop);
		run_deferred(loop);
	}
	io_uring_queue_exit(&loop->ring);
	free(loop);
}
