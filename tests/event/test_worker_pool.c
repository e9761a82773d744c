// SPDX-License-Identifier: Apache-2.0
/* test_worker_pool.c - jobs run side by side on other threads, and all come
 * back to the loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "clock.h"
#include "worker_pool.h"

#define JOBS 200u

struct job {
	struct worker_pool_job job;
	struct scene *scene;
	unsigned int runs;
	unsigned int again; /* given once more so often */
	pthread_t thread;
};

struct scene {
	struct loop *loop;
	struct worker_pool *pool;
	struct loop_timer watchdog;
	struct job jobs[JOBS];
	unsigned int left;
	atomic_uint inside; /* jobs that run now */
	bool meets; /* each waits until another runs, too */
};

static void on_watchdog(struct loop_timer *timer)
{
	(void)timer;
	fail_msg("the loop waited for something that never came");
}

static void run(struct worker_pool_job *job)
{
	struct job *mine = job->owner;
	struct scene *scene = mine->scene;

	mine->runs++;
	mine->thread = pthread_self();
	if (!scene->meets)
		return;
	atomic_fetch_add(&scene->inside, 1);
	/* Ends by the watchdog's failure if there is one thread only. */
	while (atomic_load(&scene->inside) < 2)
		sched_yield();
}

static void done(struct worker_pool_job *job)
{
	struct job *mine = job->owner;
	struct scene *scene = mine->scene;

	if (mine->again > 0) {
		mine->again--;
		worker_pool_give(scene->pool, job);
		return;
	}
	if (--scene->left == 0)
		loop_stop(scene->loop);
}

static int begin(void **state)
{
	struct scene *scene = test_calloc(1, sizeof(*scene));

	assert_int_equal(loop_create(&scene->loop), 0);
	assert_int_equal(worker_pool_create(scene->loop, &scene->pool), 0);
	scene->watchdog.expired = on_watchdog;
	loop_timer_arm(scene->loop, &scene->watchdog, 20 * NS_PER_SECOND);
	for (unsigned int i = 0; i < JOBS; i++) {
		struct job *job = &scene->jobs[i];

		job->scene = scene;
		job->job.run = run;
		job->job.done = done;
		job->job.owner = job;
	}
	*state = scene;
	return 0;
}

static int end(void **state)
{
	struct scene *scene = *state;

	worker_pool_destroy(scene->pool);
	loop_destroy(scene->loop);
	test_free(scene);
	return 0;
}

static void give(struct scene *scene, unsigned int count)
{
	scene->left = count;
	for (unsigned int i = 0; i < count; i++)
		worker_pool_give(scene->pool, &scene->jobs[i].job);
	assert_int_equal(loop_run(scene->loop), 0);
}

static void every_job_runs_once_on_another_thread(void **state)
{
	struct scene *scene = *state;

	give(scene, JOBS);
	for (unsigned int i = 0; i < JOBS; i++) {
		assert_int_equal(scene->jobs[i].runs, 1);
		assert_false(
			pthread_equal(scene->jobs[i].thread, pthread_self()));
	}
}

static void jobs_run_side_by_side(void **state)
{
	struct scene *scene = *state;

	scene->meets = true;
	give(scene, 2);
	assert_false(
		pthread_equal(scene->jobs[0].thread, scene->jobs[1].thread));
}

static void a_job_may_be_given_again_by_its_end(void **state)
{
	struct scene *scene = *state;

	scene->jobs[0].again = 50;
	scene->jobs[1].again = 30;
	give(scene, 3);
	assert_int_equal(scene->jobs[0].runs, 51);
	assert_int_equal(scene->jobs[1].runs, 31);
	give(scene, 1);
	assert_int_equal(scene->jobs[0].runs, 52);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_job_runs_once_on_another_thread),
		TEST(jobs_run_side_by_side),
		TEST(a_job_may_be_given_again_by_its_end),
	};

	return cmocka_run_group_tests_name("worker pool", tests, NULL, NULL);
}
