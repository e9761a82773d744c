// SPDX-License-Identifier: Apache-2.0
/* test_worker.c - jobs go to another thread and come back to the loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "clock.h"
#include "worker.h"

struct scene {
	struct loop *loop;
	struct worker *worker;
	struct loop_timer watchdog;
	struct worker_job job;
	pthread_t thread; /* where run() was */
	pthread_mutex_t gate; /* run() waits for it */
	unsigned int runs;
	unsigned int wanted;
	bool signals_blocked;
	bool timer_expired;
};

static void on_watchdog(struct loop_timer *timer)
{
	(void)timer;
	fail_msg("the loop waited for something that never came");
}

static void run(struct worker_job *job)
{
	struct scene *scene = job->owner;
	sigset_t blocked;

	pthread_mutex_lock(&scene->gate);
	pthread_mutex_unlock(&scene->gate);
	scene->thread = pthread_self();
	scene->runs++;
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	scene->signals_blocked = sigismember(&blocked, SIGTERM) == 1;
}

static void done(struct worker_job *job)
{
	struct scene *scene = job->owner;

	if (scene->runs < scene->wanted)
		worker_give(scene->worker, job);
	else
		loop_stop(scene->loop);
}

static int begin(void **state)
{
	struct scene *scene = test_calloc(1, sizeof(*scene));

	assert_int_equal(loop_create(&scene->loop), 0);
	assert_int_equal(worker_create(scene->loop, &scene->worker), 0);
	pthread_mutex_init(&scene->gate, NULL);
	scene->watchdog.expired = on_watchdog;
	loop_timer_arm(scene->loop, &scene->watchdog, 20 * NS_PER_SECOND);
	scene->job.run = run;
	scene->job.done = done;
	scene->job.owner = scene;
	scene->wanted = 1;
	*state = scene;
	return 0;
}

static int end(void **state)
{
	struct scene *scene = *state;

	worker_destroy(scene->worker);
	loop_destroy(scene->loop);
	test_free(scene);
	return 0;
}

static void a_job_runs_on_another_thread_without_signals(void **state)
{
	struct scene *scene = *state;

	worker_give(scene->worker, &scene->job);
	assert_int_equal(loop_run(scene->loop), 0);
	assert_int_equal(scene->runs, 1);
	assert_false(pthread_equal(scene->thread, pthread_self()));
	assert_true(scene->signals_blocked);
}

static void the_next_job_may_be_given_in_done(void **state)
{
	struct scene *scene = *state;

	scene->wanted = 1000;
	worker_give(scene->worker, &scene->job);
	assert_int_equal(loop_run(scene->loop), 0);
	assert_int_equal(scene->runs, 1000);
}

static void on_timer(struct loop_timer *timer)
{
	struct scene *scene = timer->owner;

	scene->timer_expired = true;
	pthread_mutex_unlock(&scene->gate);
}

static void a_job_that_waits_does_not_stop_the_loop(void **state)
{
	struct scene *scene = *state;
	struct loop_timer timer = {.expired = on_timer, .owner = scene};

	pthread_mutex_lock(&scene->gate);
	worker_give(scene->worker, &scene->job);
	loop_timer_arm(scene->loop, &timer, NS_PER_MS);
	assert_int_equal(loop_run(scene->loop), 0);
	assert_true(scene->timer_expired);
	assert_int_equal(scene->runs, 1);
}

static void a_worker_that_never_worked_ends(void **state)
{
	struct scene *scene = *state;

	worker_destroy(scene->worker);
	scene->worker = NULL;
	worker_destroy(NULL);
}

#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(a_job_runs_on_another_thread_without_signals),
		SCENE_TEST(the_next_job_may_be_given_in_done),
		SCENE_TEST(a_job_that_waits_does_not_stop_the_loop),
		SCENE_TEST(a_worker_that_never_worked_ends),
	};

	return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
