// SPDX-License-Identifier: Apache-2.0
/*
 * image_user.c - a process that uses an image, for test_predecessor.py.
 *
 *	image_user write URI LETTER   writes a block of LETTER at offset 0, says
 *	                              "submitted" when the kernel has it
 *	image_user read URI           says "waiting" while the image is locked,
 *	                              then the first letter it reads
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "clock.h"

#define BLOCK_BYTES 4096u
#define LOCK_TIMEOUT_NS (30 * NS_PER_SECOND)

struct user {
	struct loop *loop;
	struct backend *backend;
	struct backend_open_request request;
	struct backend_io io;
	struct iovec iov;
	struct loop_timer submitted;
	char letter; /* 0: read */
};

static void say(const char *format, const char *word)
{
	printf(format, word);
	fflush(stdout);
}

static void io_done(struct backend_io *io, int result)
{
	struct user *user = io->owner;

	if (result < 0)
		say("failed: %s\n", strerror(-result));
	else if (user->letter)
		say("written%s\n", "");
	else
		printf("read %.1s\n", *(char *)user->iov.iov_base
					      ? (char *)user->iov.iov_base
					      : "0");
	fflush(stdout);
	loop_stop(user->loop);
}

/* A turn later than the submission. */
static void submitted(struct loop_timer *timer)
{
	(void)timer;
	say("submitted%s\n", "");
}

static void waiting(struct backend_open_request *request, const char *reason)
{
	(void)request;
	say("waiting: %s\n", reason);
}

static void opened(struct backend_open_request *request, int status,
		   struct backend *backend, const struct error *error)
{
	struct user *user = request->owner;

	if (status < 0) {
		say("failed: %s\n", error->message);
		loop_stop(user->loop);
		return;
	}
	user->backend = backend;
	user->io = (struct backend_io){
		.operation = user->letter ? BACKEND_WRITE : BACKEND_READ,
		.iov = &user->iov,
		.iov_count = 1,
		.length = BLOCK_BYTES,
		.done = io_done,
		.owner = user,
	};
	backend_submit(backend, &user->io);
	if (user->letter)
		loop_timer_arm(user->loop, &user->submitted, 0);
}

int main(int argument_count, char **arguments)
{
	static _Alignas(4096) char block[BLOCK_BYTES];
	struct user user = {
		.iov = {block, sizeof(block)},
		.submitted = {.expired = submitted},
	};

	if (argument_count < 3 || loop_create(&user.loop) < 0)
		return EXIT_FAILURE;
	if (argument_count > 3) {
		user.letter = arguments[3][0];
		memset(block, user.letter, sizeof(block));
	}
	user.request = (struct backend_open_request){
		.uri = arguments[2],
		.lock_timeout_ns = LOCK_TIMEOUT_NS,
		.waiting = waiting,
		.done = opened,
		.owner = &user,
	};
	backend_open(user.loop, &user.request);
	if (loop_run(user.loop) < 0)
		return EXIT_FAILURE;
	backend_close(user.backend);
	loop_destroy(user.loop);
	return EXIT_SUCCESS;
}
