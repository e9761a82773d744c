// SPDX-License-Identifier: Apache-2.0
/*
 * watchdog.c - the thread.
 *
 * A call is known by the number of calls that were entered before it: as long
 * as that and the place are the same, the same code runs. Both are read without
 * a lock; a look in between two stores sees a call that has just begun, and the
 * next look ends it.
 */
#include "watchdog.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "clock.h"
#include "log.h"
#include "running.h"

#define LOOK_NS (5 * NS_PER_MS)
/* Looks that saw nobody until the thread sleeps. */
#define IDLE_LOOKS 50u

struct look {
	const struct running_place *place;
	uint64_t calls;
};

static struct {
	pthread_t thread;
	bool started;
	atomic_bool stopping;
	sem_t wanted;
	struct running *watched;
	uint64_t threshold_ns;
} watchdog;

static void wake(void)
{
	sem_post(&watchdog.wanted);
}

static struct look look(void)
{
	struct running *watched = watchdog.watched;

	return (struct look){
		.calls = atomic_load_explicit(&watched->calls,
					      memory_order_relaxed),
		.place = atomic_load_explicit(&watched->place,
					      memory_order_relaxed),
	};
}

/* It has returned. Only what is much worse than before is worth a line. */
static void report(const struct running_place *place, uint64_t ns)
{
	struct running_filter *filter = place->filter;
	uint64_t longest = atomic_load(&filter->blocked_longest_ns);

	atomic_fetch_add(&filter->blocked_count, 1);
	if (ns <= longest)
		return;
	atomic_store(&filter->blocked_longest_ns, ns);
	if (ns / 2 >= longest)
		log_warning("disk %s: filter %s blocked the loop for %" PRIu64
			    " ms in %s: a callback may take 1 ms",
			    running_disk(), filter->name, ns / NS_PER_MS,
			    place->callback);
}

static void report_stuck(const struct running_place *place, uint64_t ns)
{
	log_error("disk %s: filter %s has blocked the loop for %" PRIu64
		  " ms in %s, and hasn't returned",
		  running_disk(), place->filter->name, ns / NS_PER_MS,
		  place->callback);
}

/* Follows the call that @seen saw at @since_ns to its end. */
static struct look follow(struct look seen, uint64_t since_ns)
{
	const struct timespec pause = {.tv_nsec = LOOK_NS};
	uint64_t last_ns = since_ns;
	bool told = false;

	for (;;) {
		struct look now = look();

		if (now.place != seen.place || now.calls != seen.calls ||
		    atomic_load(&watchdog.stopping)) {
			if (last_ns - since_ns >= watchdog.threshold_ns)
				report(seen.place, last_ns - since_ns);
			return now;
		}
		last_ns = clock_monotonic_ns();
		if (!told && last_ns - since_ns >= WATCHDOG_STUCK_NS) {
			told = true;
			report_stuck(seen.place, last_ns - since_ns);
		}
		nanosleep(&pause, NULL);
	}
}

/* Until somebody enters a callback. */
static void sleep_unwatched(const struct look *last)
{
	atomic_store(&watchdog.watched->unwatched, true);
	/* Who entered before that was seen doesn't wake us. */
	if (look().calls != last->calls)
		return;
	while (sem_wait(&watchdog.wanted) < 0 && errno == EINTR)
		continue;
}

static void *run(void *unused)
{
	const struct timespec pause = {.tv_nsec = LOOK_NS};
	struct look last = look();
	unsigned int idle = 0;

	(void)unused;
	while (!atomic_load(&watchdog.stopping)) {
		uint64_t now_ns = clock_monotonic_ns();
		struct look now = look();

		idle = now.calls == last.calls ? idle + 1 : 0;
		if (now.place && now.place->filter->name[0]) {
			now = follow(now, now_ns);
		} else if (idle >= IDLE_LOOKS) {
			sleep_unwatched(&now);
			idle = 0;
		} else {
			nanosleep(&pause, NULL);
		}
		last = now;
	}
	return NULL;
}

int watchdog_start(uint64_t threshold_ns)
{
	static const int own_faults[] = {SIGSEGV, SIGBUS,  SIGILL,
					 SIGFPE,  SIGABRT, SIGSYS};
	sigset_t most;
	sigset_t before;
	int status;

	if (watchdog.started)
		return 0;
	atomic_store(&watchdog.stopping, false);
	sem_init(&watchdog.wanted, 0, 0);
	watchdog.watched = &running_here;
	watchdog.threshold_ns = threshold_ns;
	running_set_waker(wake);
	/* Signals are for the loop's thread, but for those that a thread has of
	 * what it does itself. */
	sigfillset(&most);
	for (size_t i = 0; i < sizeof(own_faults) / sizeof(*own_faults); i++)
		sigdelset(&most, own_faults[i]);
	pthread_sigmask(SIG_SETMASK, &most, &before);
	status = pthread_create(&watchdog.thread, NULL, run, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	watchdog.started = status == 0;
	return -status;
}

void watchdog_stop(void)
{
	if (!watchdog.started)
		return;
	atomic_store(&watchdog.stopping, true);
	wake();
	pthread_join(watchdog.thread, NULL);
	running_set_waker(NULL);
	sem_destroy(&watchdog.wanted);
	watchdog.started = false;
}
