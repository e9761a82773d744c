// SPDX-License-Identifier: Apache-2.0
/*
 * worker.c - the hand-over of one job there and back.
 *
 * `job` changes hands under the mutex: the loop sets it, the thread takes it.
 * An eventfd brings the news back; it is polled only while a job is under way,
 * so that an idle worker leaves nothing in the ring.
 */
#include "worker.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fd.h"

struct worker {
	struct loop *loop;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t wanted;
	struct worker_job *given; /* the thread hasn't taken it yet */
	bool stopping;
	/* The loop's own: */
	struct worker_job *current;
	struct loop_io news;
	int event_fd;
};

/* Returns: NULL when the worker is to end. */
static struct worker_job *wait_for_job(struct worker *worker)
{
	struct worker_job *job;

	pthread_mutex_lock(&worker->mutex);
	while (!worker->given && !worker->stopping)
		pthread_cond_wait(&worker->wanted, &worker->mutex);
	job = worker->given;
	worker->given = NULL;
	pthread_mutex_unlock(&worker->mutex);
	return job;
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct worker_job *job;

	while ((job = wait_for_job(worker)) != NULL) {
		job->run(job);
		eventfd_write(worker->event_fd, 1);
	}
	return NULL;
}

/* Signals are for the loop's thread. */
static int start_thread(struct worker *worker)
{
	sigset_t all;
	sigset_t before;
	int status;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	status = pthread_create(&worker->thread, NULL, work, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -status;
}

int worker_create(struct loop *loop, struct worker **ret_worker)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	int status;

	if (!worker)
		return -ENOMEM;
	worker->loop = loop;
	worker->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker->event_fd < 0) {
		status = -errno;
		free(worker);
		return status;
	}
	pthread_mutex_init(&worker->mutex, NULL);
	pthread_cond_init(&worker->wanted, NULL);
	status = start_thread(worker);
	if (status < 0) {
		fd_close(worker->event_fd);
		free(worker);
		return status;
	}
	*ret_worker = worker;
	return 0;
}

void worker_destroy(struct worker *worker)
{
	if (!worker)
		return;
	assert(!worker->current);
	pthread_mutex_lock(&worker->mutex);
	worker->stopping = true;
	pthread_cond_signal(&worker->wanted);
	pthread_mutex_unlock(&worker->mutex);
	pthread_join(worker->thread, NULL);
	pthread_cond_destroy(&worker->wanted);
	pthread_mutex_destroy(&worker->mutex);
	fd_close(worker->event_fd);
	free(worker);
}

static void watch(struct worker *worker);

static void on_news(struct loop_io *io, int result)
{
	struct worker *worker = io->owner;
	struct worker_job *job = worker->current;
	eventfd_t count;

	/* The loop is going down, and who could be told with it. */
	if (result == -ECANCELED)
		return;
	if (eventfd_read(worker->event_fd, &count) < 0) {
		watch(worker);
		return;
	}
	worker->current = NULL;
	job->done(job);
}

static void watch(struct worker *worker)
{
	worker->news.done = on_news;
	worker->news.owner = worker;
	loop_poll(worker->loop, &worker->news, worker->event_fd, POLLIN);
}

void worker_give(struct worker *worker, struct worker_job *job)
{
	assert(!worker->current);
	worker->current = job;
	watch(worker);
	pthread_mutex_lock(&worker->mutex);
	worker->given = job;
	pthread_cond_signal(&worker->wanted);
	pthread_mutex_unlock(&worker->mutex);
}
