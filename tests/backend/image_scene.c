// SPDX-License-Identifier: Apache-2.0
/* image_scene.c - see image_scene.h. */
#include "image_scene.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

static void scene_fail(struct loop_timer *timer)
{
	(void)timer;
	fail_msg("the loop waited for something that never came");
}

int scene_begin(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	int fd;

	assert_non_null(scene);
	assert_int_equal(loop_create(&scene->loop), 0);
	scene->watchdog.expired = scene_fail;
	loop_timer_arm(scene->loop, &scene->watchdog, 40 * NS_PER_SECOND);
	strcpy(scene->directory, "/tmp/backend-XXXXXX");
	assert_non_null(mkdtemp(scene->directory));
	snprintf(scene->path, sizeof(scene->path), "%s/image",
		 scene->directory);
	snprintf(scene->uri, sizeof(scene->uri), "file:%s", scene->path);
	fd = open(scene->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, IMAGE_BYTES), 0);
	close(fd);
	assert_int_equal(
		posix_memalign((void **)&scene->buffer, 4096, BUFFER_BYTES), 0);
	memset(scene->buffer, 0, BUFFER_BYTES);
	*state = scene;
	return 0;
}

int scene_end(void **state)
{
	struct scene *scene = *state;

	backend_close(scene->backend);
	loop_destroy(scene->loop);
	unlink(scene->path);
	rmdir(scene->directory);
	free(scene->buffer);
	free(scene);
	return 0;
}

void opened(struct backend_open_request *request, int status,
	    struct backend *backend, const struct error *error)
{
	struct scene *scene = request->owner;

	scene->status = status;
	scene->backend = backend;
	scene->error = *error;
	loop_stop(scene->loop);
}

void waits(struct backend_open_request *request, const char *reason)
{
	struct scene *scene = request->owner;

	scene->waits++;
	snprintf(scene->reason, sizeof(scene->reason), "%s", reason);
}

int open_image(struct scene *scene, bool read_only, uint64_t timeout_ns)
{
	scene->request = (struct backend_open_request){
		.uri = scene->uri,
		.read_only = read_only,
		.keep = scene->keep,
		.lock_timeout_ns = timeout_ns,
		.waiting = waits,
		.done = opened,
		.owner = scene,
	};
	scene->status = 1;
	backend_open(scene->loop, &scene->request);
	assert_int_equal(scene->status, 1);
	assert_int_equal(loop_run(scene->loop), 0);
	return scene->status;
}

void open_for_writing(struct scene *scene)
{
	assert_int_equal(open_image(scene, false, 0), 0);
	assert_non_null(scene->backend);
}

struct operation {
	struct backend_io io;
	struct loop *loop;
	int result;
	bool finished;
};

static void operation_done(struct backend_io *io, int result)
{
	struct operation *operation = io->owner;

	operation->result = result;
	operation->finished = true;
	loop_stop(operation->loop);
}

int run_vectored(struct scene *scene, enum backend_operation kind,
		 const struct iovec *iov, unsigned int count, uint64_t offset,
		 uint32_t flags)
{
	struct operation operation = {
		.io =
			{
				.operation = kind,
				.flags = flags,
				.iov = iov,
				.iov_count = count,
				.offset = offset,
				.done = operation_done,
			},
		.loop = scene->loop,
	};

	for (unsigned int i = 0; i < count; i++)
		operation.io.length += iov[i].iov_len;
	operation.io.owner = &operation;
	backend_submit(scene->backend, &operation.io);
	assert_false(operation.finished);
	while (!operation.finished)
		assert_int_equal(loop_run(scene->loop), 0);
	return operation.result;
}

int run_on(struct scene *scene, enum backend_operation kind, void *bytes,
	   uint64_t length, uint64_t offset, uint32_t flags)
{
	const struct iovec iov = {bytes, length};

	return run_vectored(scene, kind, &iov, 1, offset, flags);
}

int run_range(struct scene *scene, enum backend_operation kind, uint64_t offset,
	      uint64_t length, uint32_t flags)
{
	struct operation operation = {
		.io = {.operation = kind,
		       .flags = flags,
		       .offset = offset,
		       .length = length,
		       .done = operation_done},
		.loop = scene->loop,
	};

	operation.io.owner = &operation;
	backend_submit(scene->backend, &operation.io);
	while (!operation.finished)
		assert_int_equal(loop_run(scene->loop), 0);
	return operation.result;
}

void read_back(struct scene *scene, void *bytes, size_t length, off_t offset)
{
	int fd = open(scene->path, O_RDONLY | O_CLOEXEC);

	assert_int_equal(pread(fd, bytes, length, offset), length);
	close(fd);
}

bool all_are(const char *bytes, size_t count, char value)
{
	for (size_t i = 0; i < count; i++)
		if (bytes[i] != value)
			return false;
	return true;
}

void resize(struct scene *scene, off_t bytes)
{
	assert_int_equal(truncate(scene->path, bytes), 0);
}
