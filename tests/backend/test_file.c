// SPDX-License-Identifier: Apache-2.0
/*
 * test_file.c - the "file:" driver on real images in a directory of its own,
 * and its locks against the real qemu-img and qemu-io.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend.h"
#include "clock.h"
#include "fd.h"
#include "image_lock.h"

#define IMAGE_BYTES (1024u * 1024u)
#define BUFFER_BYTES 65536u

struct scene {
	struct loop *loop;
	struct backend *backend;
	struct backend_open_request request;
	int status;
	struct error error;
	unsigned int waits;
	char reason[ERROR_MESSAGE_BYTES];
	struct loop_timer watchdog;
	char directory[32];
	char path[64];
	char uri[80];
	char *buffer; /* aligned */
};

static void scene_fail(struct loop_timer *timer)
{
	(void)timer;
	fail_msg("the loop waited for something that never came");
}

static int scene_begin(void **state)
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

static int scene_end(void **state)
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

static void opened(struct backend_open_request *request, int status,
		   struct backend *backend, const struct error *error)
{
	struct scene *scene = request->owner;

	scene->status = status;
	scene->backend = backend;
	scene->error = *error;
	loop_stop(scene->loop);
}

static void waits(struct backend_open_request *request, const char *reason)
{
	struct scene *scene = request->owner;

	scene->waits++;
	snprintf(scene->reason, sizeof(scene->reason), "%s", reason);
}

static int open_image(struct scene *scene, bool read_only, uint64_t timeout_ns)
{
	scene->request = (struct backend_open_request){
		.uri = scene->uri,
		.read_only = read_only,
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

static void open_for_writing(struct scene *scene)
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

static int run_vectored(struct scene *scene, enum backend_operation kind,
			const struct iovec *iov, unsigned int count,
			uint64_t offset, uint32_t flags)
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

static int run_on(struct scene *scene, enum backend_operation kind, void *bytes,
		  uint64_t length, uint64_t offset, uint32_t flags)
{
	const struct iovec iov = {bytes, length};

	return run_vectored(scene, kind, &iov, 1, offset, flags);
}

/* The image's bytes as any other program sees them. */
static void read_back(struct scene *scene, void *bytes, size_t length,
		      off_t offset)
{
	int fd = open(scene->path, O_RDONLY | O_CLOEXEC);

	assert_int_equal(pread(fd, bytes, length, offset), length);
	close(fd);
}

static bool all_are(const char *bytes, size_t count, char value)
{
	for (size_t i = 0; i < count; i++)
		if (bytes[i] != value)
			return false;
	return true;
}

static void resize(struct scene *scene, off_t bytes)
{
	assert_int_equal(truncate(scene->path, bytes), 0);
}

static void what_is_written_is_read_again(void **state)
{
	struct scene *scene = *state;
	struct iovec parts[3] = {
		{scene->buffer, 4096},
		{scene->buffer + 8192, 512},
		{scene->buffer + 16384, 3584},
	};
	char seen[8192];

	open_for_writing(scene);
	assert_int_equal(backend_info(scene->backend)->size_bytes, IMAGE_BYTES);
	memset(scene->buffer, 'a', 4096);
	memset(scene->buffer + 8192, 'b', 512);
	memset(scene->buffer + 16384, 'c', 3584);
	assert_int_equal(run_vectored(scene, BACKEND_WRITE, parts, 3, 12288, 0),
			 0);
	read_back(scene, seen, sizeof(seen), 12288);
	assert_true(all_are(seen, 4096, 'a'));
	assert_true(all_are(seen + 4096, 512, 'b'));
	assert_true(all_are(seen + 4608, 3584, 'c'));
	memset(scene->buffer, 0, BUFFER_BYTES);
	assert_int_equal(run_vectored(scene, BACKEND_READ, parts, 3, 12288, 0),
			 0);
	assert_true(all_are(scene->buffer, 4096, 'a'));
	assert_true(all_are(scene->buffer + 8192, 512, 'b'));
	assert_true(all_are(scene->buffer + 16384, 3584, 'c'));
}

static void a_forced_write_and_a_flush_succeed(void **state)
{
	struct scene *scene = *state;
	char seen[4096];

	open_for_writing(scene);
	memset(scene->buffer, 'f', 4096);
	assert_int_equal(run_on(scene, BACKEND_WRITE, scene->buffer, 4096, 0,
				BACKEND_FUA),
			 0);
	assert_int_equal(run_vectored(scene, BACKEND_FLUSH, NULL, 0, 0, 0), 0);
	read_back(scene, seen, sizeof(seen), 0);
	assert_true(all_are(seen, sizeof(seen), 'f'));
}

static void a_tail_of_one_sector_is_read_and_written_in_place(void **state)
{
	struct scene *scene = *state;
	struct stat facts;

	resize(scene, IMAGE_BYTES + 512);
	open_for_writing(scene);
	memset(scene->buffer, 't', 512);
	assert_int_equal(run_on(scene, BACKEND_WRITE, scene->buffer, 512,
				IMAGE_BYTES, 0),
			 0);
	memset(scene->buffer, 'x', 4096);
	/* A whole block of which only the first sector exists. */
	assert_int_equal(run_on(scene, BACKEND_READ, scene->buffer, 4096,
				IMAGE_BYTES, 0),
			 0);
	assert_true(all_are(scene->buffer, 512, 't'));
	assert_true(all_are(scene->buffer + 512, 3584, 0));
	assert_int_equal(stat(scene->path, &facts), 0);
	assert_int_equal(facts.st_size, IMAGE_BYTES + 512);
}

static void reads_beyond_the_end_give_zeros_and_writes_fail(void **state)
{
	struct scene *scene = *state;

	open_for_writing(scene);
	memset(scene->buffer, 'x', 4096);
	assert_int_equal(run_on(scene, BACKEND_READ, scene->buffer, 4096,
				IMAGE_BYTES + 4096, 0),
			 0);
	assert_true(all_are(scene->buffer, 4096, 0));
	assert_int_equal(run_on(scene, BACKEND_WRITE, scene->buffer, 4096,
				IMAGE_BYTES - 512, 0),
			 -ENOSPC);
	assert_int_equal(run_on(scene, BACKEND_WRITE, scene->buffer, 512,
				UINT64_MAX - 511, 0),
			 -ENOSPC);
}

static void an_image_that_shrinks_gives_errors_and_not_zeros(void **state)
{
	struct scene *scene = *state;

	open_for_writing(scene);
	resize(scene, IMAGE_BYTES / 2);
	assert_int_equal(run_on(scene, BACKEND_READ, scene->buffer, 8192,
				IMAGE_BYTES / 2 - 4096, 0),
			 -EIO);
}

static void memory_without_alignment_works_too(void **state)
{
	struct scene *scene = *state;
	char seen[1024];

	open_for_writing(scene);
	memset(scene->buffer, 'u', 4096);
	assert_int_equal(
		run_on(scene, BACKEND_WRITE, scene->buffer + 1, 1024, 4096, 0),
		0);
	read_back(scene, seen, sizeof(seen), 4096);
	assert_true(all_are(seen, sizeof(seen), 'u'));
	memset(scene->buffer, 0, 4096);
	assert_int_equal(
		run_on(scene, BACKEND_READ, scene->buffer + 3, 1024, 4096, 0),
		0);
	assert_true(all_are(scene->buffer + 3, 1024, 'u'));
}

static uint64_t allocated_bytes(struct scene *scene)
{
	struct stat facts;

	assert_int_equal(stat(scene->path, &facts), 0);
	return (uint64_t)facts.st_blocks * 512;
}

static void fill_image(struct scene *scene, char value)
{
	memset(scene->buffer, value, BUFFER_BYTES);
	for (uint64_t offset = 0; offset < IMAGE_BYTES; offset += BUFFER_BYTES)
		assert_int_equal(run_on(scene, BACKEND_WRITE, scene->buffer,
					BUFFER_BYTES, offset, 0),
				 0);
}

/* An operation without memory. */
static int run_range(struct scene *scene, enum backend_operation kind,
		     uint64_t offset, uint64_t length, uint32_t flags)
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

static void a_discard_gives_the_space_back(void **state)
{
	struct scene *scene = *state;
	char seen[4096];

	open_for_writing(scene);
	fill_image(scene, 'd');
	assert_true(allocated_bytes(scene) >= IMAGE_BYTES);
	assert_int_equal(run_range(scene, BACKEND_DISCARD, 65536, 524288, 0),
			 0);
	assert_true(allocated_bytes(scene) <= IMAGE_BYTES - 524288 + 16384);
	read_back(scene, seen, sizeof(seen), 65536 + 524288);
	assert_true(all_are(seen, sizeof(seen), 'd'));
}

static void zeroes_read_as_zeros_and_keep_their_space_if_asked(void **state)
{
	struct scene *scene = *state;
	char seen[8192];

	open_for_writing(scene);
	fill_image(scene, 'z');
	assert_int_equal(run_range(scene, BACKEND_WRITE_ZEROES, 4096, 524288,
				   BACKEND_NO_HOLE | BACKEND_FUA),
			 0);
	assert_true(allocated_bytes(scene) >= IMAGE_BYTES);
	read_back(scene, seen, sizeof(seen), 0);
	assert_true(all_are(seen, 4096, 'z'));
	assert_true(all_are(seen + 4096, 4096, 0));
	assert_int_equal(
		run_range(scene, BACKEND_WRITE_ZEROES, 524288, 262144, 0), 0);
	read_back(scene, seen, sizeof(seen), 524288);
	assert_true(all_are(seen, 8192, 0));
	/* Parts of blocks as well. */
	assert_int_equal(run_range(scene, BACKEND_WRITE_ZEROES,
				   IMAGE_BYTES - 1024, 512, 0),
			 0);
	read_back(scene, seen, 1024, IMAGE_BYTES - 1024);
	assert_true(all_are(seen, 512, 0));
	assert_true(all_are(seen + 512, 512, 'z'));
}

static void empty_operations_complete(void **state)
{
	struct scene *scene = *state;

	open_for_writing(scene);
	assert_int_equal(run_range(scene, BACKEND_READ, 0, 0, 0), 0);
	assert_int_equal(run_range(scene, BACKEND_WRITE, 0, 0, 0), 0);
	assert_int_equal(run_range(scene, BACKEND_DISCARD, 0, 0, 0), 0);
	assert_int_equal(run_range(scene, BACKEND_WRITE_ZEROES, 0, 0, 0), 0);
}

static void a_read_only_image_refuses_writes(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(open_image(scene, true, 0), 0);
	assert_int_equal(backend_info(scene->backend)->operations,
			 1u << BACKEND_READ | 1u << BACKEND_FLUSH);
	assert_int_equal(run_on(scene, BACKEND_WRITE, scene->buffer, 512, 0, 0),
			 -EROFS);
	assert_int_equal(run_range(scene, BACKEND_DISCARD, 0, 4096, 0), -EROFS);
	assert_int_equal(run_on(scene, BACKEND_READ, scene->buffer, 512, 0, 0),
			 0);
}

/* Runs a program of QEMU's on the image. Returns: its exit code. */
static int run_tool(const char *format, const char *path)
{
	char command[256];
	int status;

	snprintf(command, sizeof(command), format, path);
	status = system(command);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void need_qemu_tools(void)
{
	if (system("command -v qemu-img qemu-io >/dev/null") != 0)
		skip();
}

#define QUIET " >/dev/null 2>&1"
#define WRITE_BY_QEMU "qemu-io -f raw -c 'write 0 4096' %s" QUIET
#define READ_BY_QEMU "qemu-io -r -f raw -c 'read 0 4096' %s" QUIET

static void while_we_write_qemu_tools_are_refused_except_with_U(void **state)
{
	struct scene *scene = *state;

	need_qemu_tools();
	open_for_writing(scene);
	assert_int_not_equal(run_tool(WRITE_BY_QEMU, scene->path), 0);
	/* A copy would be torn, so the tools don't make one. */
	assert_int_not_equal(run_tool("qemu-img convert -f raw -O raw %s "
				      "/dev/null" QUIET,
				      scene->path),
			     0);
	assert_int_equal(
		run_tool("qemu-img info -U -f raw %s" QUIET, scene->path), 0);
	backend_close(scene->backend);
	scene->backend = NULL;
	assert_int_equal(run_tool(WRITE_BY_QEMU, scene->path), 0);
}

static void while_we_read_others_may_read_but_not_write(void **state)
{
	struct scene *scene = *state;

	need_qemu_tools();
	assert_int_equal(open_image(scene, true, 0), 0);
	assert_int_equal(run_tool(READ_BY_QEMU, scene->path), 0);
	assert_int_equal(run_tool("qemu-img info -f raw %s" QUIET, scene->path),
			 0);
	assert_int_not_equal(run_tool(WRITE_BY_QEMU, scene->path), 0);
}

/* Starts qemu-io, which holds the image until its input ends. */
static FILE *start_qemu_writer(struct scene *scene)
{
	char command[256];
	FILE *input;

	snprintf(command, sizeof(command), "qemu-io -f raw %s >/dev/null 2>&1",
		 scene->path);
	input = popen(command, "w");
	assert_non_null(input);
	return input;
}

static void wait_until_locked(struct scene *scene)
{
	uint64_t deadline_ns = clock_monotonic_ns() + 20 * NS_PER_SECOND;
	const struct timespec pause = {.tv_nsec = 5000000};
	int fd = open(scene->path, O_RDWR | O_CLOEXEC);

	while (image_lock(fd, false) == 0) {
		image_unlock(fd);
		assert_true(clock_monotonic_ns() < deadline_ns);
		nanosleep(&pause, NULL);
	}
	close(fd);
}

static void an_image_of_a_running_qemu_is_refused_by_name(void **state)
{
	struct scene *scene = *state;
	FILE *qemu;

	need_qemu_tools();
	qemu = start_qemu_writer(scene);
	wait_until_locked(scene);
	assert_int_equal(open_image(scene, false, 0), -EBUSY);
	assert_null(scene->backend);
	assert_non_null(strstr(scene->error.message, scene->path));
	assert_non_null(strstr(scene->error.message, "qemu-io (pid "));
	assert_int_equal(open_image(scene, true, 0), -EBUSY);
	assert_int_equal(backend_delete(scene->uri, &scene->error), -EBUSY);
	fprintf(qemu, "quit\n");
	pclose(qemu);
	assert_int_equal(open_image(scene, false, 0), 0);
}

static void two_of_us_never_write_the_same_image(void **state)
{
	struct scene *scene = *state;
	struct backend *first;

	open_for_writing(scene);
	first = scene->backend;
	assert_int_equal(open_image(scene, false, 0), -EBUSY);
	assert_int_equal(open_image(scene, true, 0), -EBUSY);
	backend_close(first);
	assert_int_equal(open_image(scene, true, 0), 0);
	first = scene->backend;
	assert_int_equal(open_image(scene, true, 0), 0);
	backend_close(first);
}

/* Holds the image in a child until it is killed. */
static pid_t start_predecessor(struct scene *scene)
{
	int ready[2];
	pid_t pid;
	char byte;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		int fd = open(scene->path, O_RDWR);

		if (image_lock(fd, false) != 0)
			_exit(1);
		close(ready[1]);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 0);
	close(ready[0]);
	return pid;
}

static pid_t predecessor_pid;

static void kill_predecessor(struct backend_open_request *request,
			     const char *reason)
{
	waits(request, reason);
	kill(predecessor_pid, SIGKILL);
}

static void an_open_waits_for_the_predecessor_to_be_gone(void **state)
{
	struct scene *scene = *state;
	char pid_text[32];

	predecessor_pid = start_predecessor(scene);
	scene->request = (struct backend_open_request){
		.uri = scene->uri,
		.lock_timeout_ns = 20 * NS_PER_SECOND,
		.waiting = kill_predecessor,
		.done = opened,
		.owner = scene,
	};
	backend_open(scene->loop, &scene->request);
	assert_int_equal(loop_run(scene->loop), 0);
	assert_int_equal(scene->status, 0);
	assert_non_null(scene->backend);
	assert_int_equal(scene->waits, 1);
	snprintf(pid_text, sizeof(pid_text), "(pid %d)", (int)predecessor_pid);
	assert_non_null(strstr(scene->reason, pid_text));
	assert_int_equal(waitpid(predecessor_pid, NULL, 0), predecessor_pid);
}

static void an_open_gives_up_when_its_time_is_over(void **state)
{
	struct scene *scene = *state;
	uint64_t begin_ns = clock_monotonic_ns();

	predecessor_pid = start_predecessor(scene);
	assert_int_equal(open_image(scene, false, 30 * NS_PER_MS), -EBUSY);
	assert_true(clock_monotonic_ns() - begin_ns >= 30 * NS_PER_MS);
	assert_int_equal(scene->waits, 1);
	kill(predecessor_pid, SIGKILL);
	assert_int_equal(waitpid(predecessor_pid, NULL, 0), predecessor_pid);
}

static void check_refusal(struct scene *scene, const char *uri, int code,
			  const char *words)
{
	uint64_t size;

	assert_int_equal(backend_probe(uri, &size, &scene->error), code);
	assert_int_equal(scene->error.code, code);
	if (!strstr(scene->error.message, words))
		fail_msg("'%s' doesn't say '%s'", scene->error.message, words);
}

static void what_cannot_be_an_image_is_refused_with_words(void **state)
{
	struct scene *scene = *state;
	uint64_t size;
	char uri[96];

	check_refusal(scene, "file:image", -EINVAL, "must be absolute");
	check_refusal(scene, "file://host/image", -EINVAL, "host");
	check_refusal(scene, "rbd:pool/image", -EINVAL, "known schemes: file:");
	check_refusal(scene, "/image", -EINVAL, "known schemes: file:");
	check_refusal(scene, "file:/dev/null", -EINVAL, "neither a file nor");
	snprintf(uri, sizeof(uri), "file:%s", scene->directory);
	check_refusal(scene, uri, -EISDIR, "is a directory");
	assert_int_equal(open_image(scene, false, 0), 0);
	backend_close(scene->backend);
	scene->backend = NULL;
	snprintf(uri, sizeof(uri), "file:%s/missing", scene->directory);
	check_refusal(scene, uri, -ENOENT, "does not exist");
	resize(scene, 1000);
	check_refusal(scene, scene->uri, -EINVAL, "not a multiple of 512");
	resize(scene, 0);
	check_refusal(scene, scene->uri, -EINVAL, "is empty");
	resize(scene, 512);
	assert_int_equal(backend_probe(scene->uri, &size, &scene->error), 0);
	assert_int_equal(size, 512);
}

static void an_unknown_scheme_fails_an_open_later(void **state)
{
	struct scene *scene = *state;

	strcpy(scene->uri, "tape:7");
	assert_int_equal(open_image(scene, false, 0), -EINVAL);
	assert_non_null(strstr(scene->error.message, "tape:7"));
}

static void an_image_is_made_once_and_deleted(void **state)
{
	struct scene *scene = *state;
	struct stat facts;
	uint64_t size;

	assert_int_equal(backend_make(scene->uri, 1 << 20, &scene->error),
			 -EEXIST);
	assert_int_equal(backend_delete(scene->uri, &scene->error), 0);
	assert_int_equal(backend_delete(scene->uri, &scene->error), -ENOENT);
	assert_int_equal(backend_make(scene->uri, 1000, &scene->error),
			 -EINVAL);
	assert_int_equal(backend_make(scene->uri, 1 << 20, &scene->error), 0);
	assert_int_equal(backend_probe(scene->uri, &size, &scene->error), 0);
	assert_int_equal(size, 1 << 20);
	assert_int_equal(stat(scene->path, &facts), 0);
	assert_int_equal(facts.st_mode & 0777, 0600);
}

static void an_image_that_does_not_fit_leaves_nothing(void **state)
{
	struct scene *scene = *state;
	struct rlimit before, small;

	unlink(scene->path);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = (struct rlimit){4096, before.rlim_max};
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(backend_make(scene->uri, 1 << 20, &scene->error),
			 -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(access(scene->path, F_OK), -1);
}

#define SCENE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, scene_begin, scene_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(what_is_written_is_read_again),
		SCENE_TEST(a_forced_write_and_a_flush_succeed),
		SCENE_TEST(a_tail_of_one_sector_is_read_and_written_in_place),
		SCENE_TEST(reads_beyond_the_end_give_zeros_and_writes_fail),
		SCENE_TEST(an_image_that_shrinks_gives_errors_and_not_zeros),
		SCENE_TEST(memory_without_alignment_works_too),
		SCENE_TEST(a_discard_gives_the_space_back),
		SCENE_TEST(zeroes_read_as_zeros_and_keep_their_space_if_asked),
		SCENE_TEST(empty_operations_complete),
		SCENE_TEST(a_read_only_image_refuses_writes),
		SCENE_TEST(while_we_write_qemu_tools_are_refused_except_with_U),
		SCENE_TEST(while_we_read_others_may_read_but_not_write),
		SCENE_TEST(an_image_of_a_running_qemu_is_refused_by_name),
		SCENE_TEST(two_of_us_never_write_the_same_image),
		SCENE_TEST(an_open_waits_for_the_predecessor_to_be_gone),
		SCENE_TEST(an_open_gives_up_when_its_time_is_over),
		SCENE_TEST(what_cannot_be_an_image_is_refused_with_words),
		SCENE_TEST(an_unknown_scheme_fails_an_open_later),
		SCENE_TEST(an_image_is_made_once_and_deleted),
		SCENE_TEST(an_image_that_does_not_fit_leaves_nothing),
	};

	return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
