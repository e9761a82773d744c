// SPDX-License-Identifier: Apache-2.0
/*
 * worker_pool.c - two lists under one mutex: what is to be run, and what has
 * been.
 *
 * An eventfd brings the news of the second; it is polled only while jobs are
 * under way, so that an idle pool leaves nothing in the ring.
 */
#include "worker_pool.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "fd.h"

struct queue {
	struct worker_pool_job *first;
	struct worker_pool_job *last;
};

struct worker_pool {
	struct loop *loop;
	pthread_t threads[WORKER_POOL_THREADS];
	unsigned int thread_count;
	pthread_mutex_t mutex;
	pthread_cond_t wanted;
	struct queue to_run;
	struct queue ended;
	bool stopping;
	int event_fd;
	/* The loop's own: */
	struct loop_io news;
	unsigned int under_way;
	bool watching;
};

static void put(struct queue *queue, struct worker_pool_job *job)
{
	job->next = NULL;
	if (queue->first)
		queue->last->next = job;
	else
		queue->first = job;
	queue->last = job;
}

static struct worker_pool_job *take(struct queue *queue)
{
	struct worker_pool_job *job = queue->first;

	if (job)
		queue->first = job->next;
	return job;
}

static void *work(void *argument)
{
	struct worker_pool *pool = argument;

	pthread_mutex_lock(&pool->mutex);
	for (;;) {
		struct worker_pool_job *job = take(&pool->to_run);

		if (job) {
			pthread_mutex_unlock(&pool->mutex);
			job->run(job);
			pthread_mutex_lock(&pool->mutex);
			put(&pool->ended, job);
			eventfd_write(pool->event_fd, 1);
		} else if (pool->stopping) {
			break;
		} else {
			pthread_cond_wait(&pool->wanted, &pool->mutex);
		}
	}
	pthread_mutex_unlock(&pool->mutex);
	return NULL;
}

/* Signals are for the loop's thread, but for those of a thread's own faults. */
static int start_threads(struct worker_pool *pool)
{
	static const int own_faults[] = {SIGSEGV, SIGBUS,  SIGILL,
					 SIGFPE,  SIGABRT, SIGSYS};
	sigset_t most;
	sigset_t before;
	int status = 0;

	sigfillset(&most);
	for (size_t i = 0; i < sizeof(own_faults) / sizeof(*own_faults); i++)
		sigdelset(&most, own_faults[i]);
	pthread_sigmask(SIG_SETMASK, &most, &before);
	while (status == 0 && pool->thread_count < WORKER_POOL_THREADS) {
		status = pthread_create(&pool->threads[pool->thread_count],
					NULL, work, pool);
		pool->thread_count += status == 0;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pool->thread_count > 0 ? 0 : -status;
}

int worker_pool_create(struct loop *loop, struct worker_pool **ret_pool)
{
	struct worker_pool *pool = calloc(1, sizeof(*pool));
	int status;

	if (!pool)
		return -ENOMEM;
	pool->loop = loop;
	pool->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pool->event_fd < 0) {
		status = -errno;
		free(pool);
		return status;
	}
	pthread_mutex_init(&pool->mutex, NULL);
	pthread_cond_init(&pool->wanted, NULL);
	status = start_threads(pool);
	if (status < 0) {
		worker_pool_destroy(pool);
		return status;
	}
	*ret_pool = pool;
	return 0;
}

void worker_pool_destroy(struct worker_pool *pool)
{
	if (!pool)
		return;
	assert(pool->under_way == 0);
	pthread_mutex_lock(&pool->mutex);
	pool->stopping = true;
	pthread_cond_broadcast(&pool->wanted);
	pthread_mutex_unlock(&pool->mutex);
	for (unsigned int i = 0; i < pool->thread_count; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->wanted);
	pthread_mutex_destroy(&pool->mutex);
	fd_close(pool->event_fd);
	free(pool);
}

static void watch(struct worker_pool *pool);

/* Jobs that end meanwhile have news of their own. */
static void on_news(struct loop_io *io, int result)
{
	struct worker_pool *pool = io->owner;
	struct worker_pool_job *job;
	eventfd_t count;

	pool->watching = false;
	/* The loop is going down, and who could be told with it. */
	if (result == -ECANCELED)
		return;
	(void)eventfd_read(pool->event_fd, &count);
	pthread_mutex_lock(&pool->mutex);
	job = pool->ended.first;
	pool->ended.first = NULL;
	pthread_mutex_unlock(&pool->mutex);
	while (job) {
		/* Its owner may free it, or give it again. */
		struct worker_pool_job *next = job->next;

		pool->under_way--;
		job->done(job);
		job = next;
	}
	if (pool->under_way > 0)
		watch(pool);
}

static void watch(struct worker_pool *pool)
{
	if (pool->watching)
		return;
	pool->watching = true;
	pool->news.done = on_news;
	pool->news.owner = pool;
	loop_poll(pool->loop, &pool->news, pool->event_fd, POLLIN);
}

void worker_pool_give(struct worker_pool *pool, struct worker_pool_job *job)
{
	pool->under_way++;
	watch(pool);
	pthread_mutex_lock(&pool->mutex);
	put(&pool->to_run, job);
	pthread_cond_signal(&pool->wanted);
	pthread_mutex_unlock(&pool->mutex);
}
