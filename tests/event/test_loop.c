// SPDX-License-Identifier: Apache-2.0
/*
 * test_loop.c - the promises of loop.h, each on a real ring.
 *
 * Nothing here measures time; where a time matters, it is only ever "not
 * before" or a deadline far away that fails the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "fd.h"
#include "list.h"
#include "loop.h"

#define TRACE_LENGTH_MAX 64u

/* What a test watches: a loop, a trace of letters, and when to stop. */
struct scene {
	struct loop *loop;
	char trace[TRACE_LENGTH_MAX];
	unsigned int trace_length;
	unsigned int left; /* events until the loop is stopped */
	struct loop_timer watchdog;
};

static void scene_fail(struct loop_timer *timer)
{
	(void)timer;
	fail_msg("the loop waited for something that never came");
}

static int scene_begin(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	assert_int_equal(loop_create(&scene->loop), 0);
	scene->watchdog.expired = scene_fail;
	loop_timer_arm(scene->loop, &scene->watchdog, 20 * NS_PER_SECOND);
	*state = scene;
	return 0;
}

static int scene_end(void **state)
{
	struct scene *scene = *state;

	loop_destroy(scene->loop);
	free(scene);
	return 0;
}

static void note(struct scene *scene, char letter)
{
	if (scene->trace_length < TRACE_LENGTH_MAX - 1)
		scene->trace[scene->trace_length++] = letter;
	if (scene->left > 0 && --scene->left == 0)
		loop_stop(scene->loop);
}

static void run_until(struct scene *scene, unsigned int events)
{
	scene->left = events;
	assert_int_equal(loop_run(scene->loop), 0);
}

/* One of each kind, that notes its letter. */
struct actor {
	struct scene *scene;
	char letter;
	unsigned int times;
	int result;
	int fd;
	struct loop_io io;
	struct loop_timer timer;
	struct loop_deferred deferred;
	struct loop_poller poller;
	bool has_work;
	unsigned int armed, disarmed;
};

static void actor_done(struct loop_io *io, int result)
{
	struct actor *actor = io->owner;

	actor->result = result;
	actor->times++;
	note(actor->scene, actor->letter);
}

static void actor_expired(struct loop_timer *timer)
{
	struct actor *actor = timer->owner;

	actor->times++;
	note(actor->scene, actor->letter);
}

static void actor_run(struct loop_deferred *deferred)
{
	struct actor *actor = deferred->owner;

	actor->times++;
	note(actor->scene, actor->letter);
}

static bool actor_poll(struct loop_poller *poller)
{
	struct actor *actor = poller->owner;
	bool found = actor->has_work;

	actor->has_work = false;
	if (found) {
		actor->times++;
		note(actor->scene, actor->letter);
	}
	return found;
}

static bool actor_arm(struct loop_poller *poller)
{
	struct actor *actor = poller->owner;

	actor->armed++;
	return actor->has_work;
}

static void actor_disarm(struct loop_poller *poller)
{
	struct actor *actor = poller->owner;

	actor->disarmed++;
}

static void actor_init(struct actor *actor, struct scene *scene, char letter)
{
	*actor = (struct actor){
		.scene = scene,
		.letter = letter,
		.io = {.done = actor_done},
		.timer = {.expired = actor_expired},
		.deferred = {.run = actor_run},
		.poller = {.poll = actor_poll,
			   .arm = actor_arm,
			   .disarm = actor_disarm},
	};
	actor->io.owner = actor;
	actor->timer.owner = actor;
	actor->deferred.owner = actor;
	actor->poller.owner = actor;
}

static void a_turn_runs_pollers_then_timers_then_deferred_work(void **state)
{
	struct scene *scene = *state;
	struct actor poller, timer, deferred;

	actor_init(&poller, scene, 'p');
	actor_init(&timer, scene, 't');
	actor_init(&deferred, scene, 'd');
	poller.has_work = true;
	loop_defer(scene->loop, &deferred.deferred);
	loop_timer_arm(scene->loop, &timer.timer, 0);
	loop_poller_add(scene->loop, &poller.poller);
	run_until(scene, 3);
	loop_poller_remove(scene->loop, &poller.poller);
	assert_string_equal(scene->trace, "ptd");
}

static void done_never_runs_inside_the_call_that_starts(void **state)
{
	struct scene *scene = *state;
	struct actor bad;
	struct iovec iov = {.iov_base = scene->trace, .iov_len = 1};

	actor_init(&bad, scene, 'b');
	loop_readv(scene->loop, &bad.io, -1, &iov, 1, 0, 0);
	assert_int_equal(bad.times, 0);
	assert_int_equal(loop_in_flight(scene->loop), 1);
	run_until(scene, 1);
	assert_int_equal(bad.result, -EBADF);
	assert_int_equal(loop_in_flight(scene->loop), 0);
}

static void timers_expire_in_order_and_not_early(void **state)
{
	struct scene *scene = *state;
	struct actor a, b, c;
	uint64_t begin_ns = loop_now_ns(scene->loop);

	actor_init(&a, scene, 'a');
	actor_init(&b, scene, 'b');
	actor_init(&c, scene, 'c');
	loop_timer_arm(scene->loop, &c.timer, 9 * NS_PER_MS);
	loop_timer_arm(scene->loop, &a.timer, 3 * NS_PER_MS);
	loop_timer_arm(scene->loop, &b.timer, 6 * NS_PER_MS);
	run_until(scene, 3);
	assert_string_equal(scene->trace, "abc");
	assert_true(loop_now_ns(scene->loop) - begin_ns >= 9 * NS_PER_MS);
}

static void arming_an_armed_timer_moves_it(void **state)
{
	struct scene *scene = *state;
	struct actor a, b;

	actor_init(&a, scene, 'a');
	actor_init(&b, scene, 'b');
	loop_timer_arm(scene->loop, &a.timer, 1 * NS_PER_MS);
	loop_timer_arm(scene->loop, &b.timer, 4 * NS_PER_MS);
	loop_timer_arm(scene->loop, &a.timer, 8 * NS_PER_MS);
	run_until(scene, 2);
	assert_string_equal(scene->trace, "ba");
	assert_int_equal(a.times, 1);
}

static void a_cancelled_timer_stays_silent(void **state)
{
	struct scene *scene = *state;
	struct actor a, b;

	actor_init(&a, scene, 'a');
	actor_init(&b, scene, 'b');
	loop_timer_arm(scene->loop, &a.timer, 1 * NS_PER_MS);
	loop_timer_arm(scene->loop, &b.timer, 4 * NS_PER_MS);
	loop_timer_cancel(scene->loop, &a.timer);
	loop_timer_cancel(scene->loop, &a.timer);
	run_until(scene, 1);
	assert_string_equal(scene->trace, "b");
}

static void rearm_at_once(struct loop_timer *timer)
{
	struct actor *actor = timer->owner;

	actor_expired(timer);
	loop_timer_arm(actor->scene->loop, timer, 0);
}

static void a_timer_that_rearms_itself_starves_nobody(void **state)
{
	struct scene *scene = *state;
	struct actor greedy, deferred;

	actor_init(&greedy, scene, 'g');
	actor_init(&deferred, scene, 'd');
	greedy.timer.expired = rearm_at_once;
	loop_timer_arm(scene->loop, &greedy.timer, 0);
	loop_defer(scene->loop, &deferred.deferred);
	run_until(scene, 3);
	assert_int_equal(deferred.times, 1);
	loop_timer_cancel(scene->loop, &greedy.timer);
}

#define MANY_TIMERS 500u

static void many_timers_expire_in_order_of_their_deadlines(void **state)
{
	struct scene *scene = *state;
	struct actor *actors = calloc(MANY_TIMERS, sizeof(*actors));
	uint32_t random = 1;
	uint64_t last_ns = 0;

	assert_non_null(actors);
	for (unsigned int i = 0; i < MANY_TIMERS; i++) {
		random = random * 1664525u + 1013904223u;
		actor_init(&actors[i], scene, 't');
		loop_timer_arm(scene->loop, &actors[i].timer,
			       NS_PER_SECOND * 1000 + random);
	}
	for (unsigned int i = 0; i < MANY_TIMERS; i += 3)
		loop_timer_cancel(scene->loop, &actors[i].timer);
	/* Far away, so the test takes them out itself, earliest first. */
	for (;;) {
		struct actor *first = NULL;

		for (unsigned int i = 0; i < MANY_TIMERS; i++)
			if (actors[i].timer.armed &&
			    (!first || actors[i].timer.deadline_ns <
					       first->timer.deadline_ns))
				first = &actors[i];
		if (!first)
			break;
		assert_true(first->timer.deadline_ns >= last_ns);
		last_ns = first->timer.deadline_ns;
		loop_timer_cancel(scene->loop, &first->timer);
	}
	free(actors);
}

static void defer_again(struct loop_deferred *deferred)
{
	struct actor *actor = deferred->owner;

	loop_defer(actor->scene->loop, deferred);
	actor_run(deferred);
}

static void work_deferred_by_deferred_work_waits_a_turn(void **state)
{
	struct scene *scene = *state;
	struct actor again, timer;

	actor_init(&again, scene, 'd');
	actor_init(&timer, scene, 't');
	again.deferred.run = defer_again;
	loop_defer(scene->loop, &again.deferred);
	loop_defer(scene->loop, &again.deferred);
	loop_timer_arm(scene->loop, &timer.timer, 0);
	run_until(scene, 3);
	assert_string_equal(scene->trace, "tdd");
	loop_defer_cancel(scene->loop, &again.deferred);
}

static void deferred_work_can_be_taken_back(void **state)
{
	struct scene *scene = *state;
	struct actor a, b, c;

	actor_init(&a, scene, 'a');
	actor_init(&b, scene, 'b');
	actor_init(&c, scene, 'c');
	loop_defer(scene->loop, &a.deferred);
	loop_defer(scene->loop, &b.deferred);
	loop_defer(scene->loop, &c.deferred);
	loop_defer_cancel(scene->loop, &b.deferred);
	loop_defer_cancel(scene->loop, &c.deferred);
	loop_defer_cancel(scene->loop, &c.deferred);
	loop_defer(scene->loop, &c.deferred);
	run_until(scene, 2);
	assert_string_equal(scene->trace, "ac");
}

static void a_multishot_poll_reports_each_kick_until_cancelled(void **state)
{
	struct scene *scene = *state;
	struct actor kick;
	_cleanup_fd_ int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	actor_init(&kick, scene, 'k');
	loop_poll_multishot(scene->loop, &kick.io, fd, POLLIN);
	for (unsigned int i = 0; i < 5; i++) {
		assert_int_equal(eventfd_write(fd, 1), 0);
		run_until(scene, 1);
		assert_int_equal(kick.times, i + 1);
		assert_int_equal(kick.result, POLLIN);
	}
	assert_int_equal(loop_in_flight(scene->loop), 0);
	loop_cancel(scene->loop, &kick.io);
	loop_cancel(scene->loop, &kick.io);
	run_until(scene, 1);
	assert_int_equal(kick.result, -ECANCELED);
}

static void a_cancelled_accept_comes_back(void **state)
{
	struct scene *scene = *state;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct actor accept;
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	/* Autobind: an abstract name that nobody else has. */
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
			      sizeof(address.sun_family)),
			 0);
	assert_int_equal(listen(fd, 1), 0);
	actor_init(&accept, scene, 'a');
	loop_accept(scene->loop, &accept.io, fd);
	loop_cancel(scene->loop, &accept.io);
	run_until(scene, 1);
	assert_int_equal(accept.result, -ECANCELED);
}

#define MANY_OPERATIONS 3000u

static void more_operations_than_the_queue_holds_all_complete(void **state)
{
	struct scene *scene = *state;
	struct actor *actors = calloc(MANY_OPERATIONS, sizeof(*actors));
	_cleanup_fd_ int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	char byte = 1;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};

	assert_non_null(actors);
	for (unsigned int i = 0; i < MANY_OPERATIONS; i++) {
		actor_init(&actors[i], scene, 'r');
		loop_readv(scene->loop, &actors[i].io, fd, &iov, 1, 0, 0);
		assert_int_equal(actors[i].times, 0);
	}
	assert_int_equal(loop_in_flight(scene->loop), MANY_OPERATIONS);
	run_until(scene, MANY_OPERATIONS);
	for (unsigned int i = 0; i < MANY_OPERATIONS; i++) {
		assert_int_equal(actors[i].times, 1);
		assert_int_equal(actors[i].result, 1);
	}
	free(actors);
}

#define MANY_POLLS 6000u

struct counted_poll {
	struct loop_io io;
	struct scene *scene;
};

static unsigned int polls_done;

static void count_poll(struct loop_io *io, int result)
{
	struct counted_poll *poll = io->owner;

	assert_int_equal(result, POLLIN);
	if (++polls_done == MANY_POLLS)
		loop_stop(poll->scene->loop);
}

static void completions_beyond_the_completion_queue_are_not_lost(void **state)
{
	struct scene *scene = *state;
	struct counted_poll *polls = calloc(MANY_POLLS, sizeof(*polls));
	_cleanup_fd_ int fd = eventfd(0, EFD_CLOEXEC);

	assert_non_null(polls);
	polls_done = 0;
	for (unsigned int i = 0; i < MANY_POLLS; i++) {
		polls[i].io.done = count_poll;
		polls[i].io.owner = &polls[i];
		polls[i].scene = scene;
		loop_poll(scene->loop, &polls[i].io, fd, POLLIN);
	}
	/* All at once: more than the completion queue has room for. */
	assert_int_equal(eventfd_write(fd, 1), 0);
	assert_int_equal(loop_run(scene->loop), 0);
	assert_int_equal(polls_done, MANY_POLLS);
	free(polls);
}

static void pollers_are_armed_before_sleep_and_disarmed_after(void **state)
{
	struct scene *scene = *state;
	struct actor poller, timer;

	actor_init(&poller, scene, 'p');
	actor_init(&timer, scene, 't');
	loop_poller_add(scene->loop, &poller.poller);
	loop_timer_arm(scene->loop, &timer.timer, 2 * NS_PER_MS);
	run_until(scene, 1);
	assert_true(poller.armed >= 1);
	assert_int_equal(poller.armed, poller.disarmed);
	loop_poller_remove(scene->loop, &poller.poller);
}

static bool find_work_while_arming(struct loop_poller *poller)
{
	struct actor *actor = poller->owner;

	/* The guest queued a request just before the kick was armed. */
	if (actor->armed++ == 0)
		actor->has_work = true;
	return actor->has_work;
}

static void work_found_while_arming_keeps_the_loop_awake(void **state)
{
	struct scene *scene = *state;
	struct actor poller;

	actor_init(&poller, scene, 'p');
	poller.poller.arm = find_work_while_arming;
	loop_poller_add(scene->loop, &poller.poller);
	run_until(scene, 1);
	assert_int_equal(poller.times, 1);
	loop_poller_remove(scene->loop, &poller.poller);
}

static struct actor *removed_by_poller;

static bool remove_the_other(struct loop_poller *poller)
{
	struct actor *actor = poller->owner;

	loop_poller_remove(actor->scene->loop, &removed_by_poller->poller);
	loop_poller_remove(actor->scene->loop, poller);
	note(actor->scene, actor->letter);
	return true;
}

static void a_poller_may_remove_itself_and_the_next(void **state)
{
	struct scene *scene = *state;
	struct actor first, second;

	actor_init(&first, scene, 'f');
	actor_init(&second, scene, 's');
	second.has_work = true;
	first.poller.poll = remove_the_other;
	removed_by_poller = &second;
	loop_poller_add(scene->loop, &second.poller);
	loop_poller_add(scene->loop, &first.poller);
	run_until(scene, 1);
	assert_string_equal(scene->trace, "f");
}

static void a_stop_before_the_run_allows_one_turn(void **state)
{
	struct scene *scene = *state;
	struct actor deferred;

	actor_init(&deferred, scene, 'd');
	loop_defer(scene->loop, &deferred.deferred);
	loop_stop(scene->loop);
	assert_int_equal(loop_run(scene->loop), 0);
	assert_string_equal(scene->trace, "d");
}

static void free_owner(struct loop_io *io, int result)
{
	assert_int_equal(result, -ECANCELED);
	free(io);
}

static void destroying_a_loop_ends_polls_and_lets_go_of_their_files(
	void **state)
{
	struct loop *loop;
	struct loop_io *poll = calloc(1, sizeof(*poll));
	struct loop_io *receive = calloc(1, sizeof(*receive));
	int pair[2];
	char byte;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(loop_create(&loop), 0);
	poll->done = free_owner;
	receive->done = free_owner;
	loop_poll(loop, poll, pair[0], POLLIN);
	loop_stop(loop);
	assert_int_equal(loop_run(loop), 0);
	/* One is in the kernel, the other isn't even submitted. */
	loop_recv(loop, receive, pair[0], &byte, 1, 0);
	loop_destroy(loop);
	/* The other side sees the end at once: nobody else holds pair[0]. */
	close(pair[0]);
	assert_int_equal(recv(pair[1], &byte, 1, MSG_DONTWAIT), 0);
	close(pair[1]);
}

static void poll_again(struct loop_io *io, int result)
{
	struct actor *actor = io->owner;

	actor->result = result;
	loop_poll(actor->scene->loop, io, actor->fd, POLLIN);
}

static void an_owner_that_never_stops_does_not_stop_the_end(void **state)
{
	struct scene scene = {0};
	struct actor stubborn;
	_cleanup_fd_ int fd = eventfd(0, EFD_CLOEXEC);

	(void)state;
	assert_int_equal(loop_create(&scene.loop), 0);
	actor_init(&stubborn, &scene, 's');
	stubborn.fd = fd;
	stubborn.io.done = poll_again;
	poll_again(&stubborn.io, 0);
	loop_destroy(scene.loop);
	assert_int_equal(stubborn.result, -ECANCELED);
}

static void an_idle_loop_uses_no_cpu(void **state)
{
	struct scene *scene = *state;
	struct actor poller, timer;
	struct timespec before, after;
	int64_t used_ns;

	actor_init(&poller, scene, 'p');
	actor_init(&timer, scene, 't');
	loop_poller_add(scene->loop, &poller.poller);
	loop_timer_arm(scene->loop, &timer.timer, 300 * NS_PER_MS);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	run_until(scene, 1);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	used_ns = (after.tv_sec - before.tv_sec) * (int64_t)NS_PER_SECOND +
		  after.tv_nsec - before.tv_nsec;
	assert_true(used_ns < (int64_t)(30 * NS_PER_MS));
	loop_poller_remove(scene->loop, &poller.poller);
}

#define SCENE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, scene_begin, scene_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(a_turn_runs_pollers_then_timers_then_deferred_work),
		SCENE_TEST(done_never_runs_inside_the_call_that_starts),
		SCENE_TEST(timers_expire_in_order_and_not_early),
		SCENE_TEST(arming_an_armed_timer_moves_it),
		SCENE_TEST(a_cancelled_timer_stays_silent),
		SCENE_TEST(a_timer_that_rearms_itself_starves_nobody),
		SCENE_TEST(many_timers_expire_in_order_of_their_deadlines),
		SCENE_TEST(work_deferred_by_deferred_work_waits_a_turn),
		SCENE_TEST(deferred_work_can_be_taken_back),
		SCENE_TEST(a_multishot_poll_reports_each_kick_until_cancelled),
		SCENE_TEST(a_cancelled_accept_comes_back),
		SCENE_TEST(more_operations_than_the_queue_holds_all_complete),
		SCENE_TEST(
			completions_beyond_the_completion_queue_are_not_lost),
		SCENE_TEST(pollers_are_armed_before_sleep_and_disarmed_after),
		SCENE_TEST(work_found_while_arming_keeps_the_loop_awake),
		SCENE_TEST(a_poller_may_remove_itself_and_the_next),
		SCENE_TEST(a_stop_before_the_run_allows_one_turn),
		cmocka_unit_test(
			destroying_a_loop_ends_polls_and_lets_go_of_their_files),
		cmocka_unit_test(
			an_owner_that_never_stops_does_not_stop_the_end),
		SCENE_TEST(an_idle_loop_uses_no_cpu),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
