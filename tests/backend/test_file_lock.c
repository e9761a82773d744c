// SPDX-License-Identifier: Apache-2.0
/*
 * test_file_lock.c - who may use an image at the same time: we, and the
 * real qemu-img and qemu-io.
 */
#include "image_scene.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "image_lock.h"

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

/*
 * A file system by FUSE that nobody serves: each question to it waits.
 * Returns: the descriptor that ends it when it is closed, or -1.
 */
static int mount_silent(const char *path)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char options[64];

	if (fd < 0)
		return -1;
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (mkdir(path, 0700) < 0 ||
	    mount("silent", path, "fuse", 0, options) < 0) {
		rmdir(path);
		close(fd);
		return -1;
	}
	return fd;
}

static void a_file_system_that_hangs_elsewhere_delays_no_open(void **state)
{
	struct scene *scene = *state;
	char path[64], pid_text[32];
	int server, hung;

	snprintf(path, sizeof(path), "%s/silent", scene->directory);
	server = mount_silent(path);
	if (server < 0)
		skip(); /* needs root and FUSE */
	/* Of whom we ask for the lock's owner this is looked at first. */
	hung = open(path, O_PATH | O_CLOEXEC);
	assert_true(hung >= 0);
	predecessor_pid = start_predecessor(scene);
	assert_int_equal(open_image(scene, false, 30 * NS_PER_MS), -EBUSY);
	snprintf(pid_text, sizeof(pid_text), "(pid %d)", (int)predecessor_pid);
	assert_non_null(strstr(scene->reason, pid_text));
	kill(predecessor_pid, SIGKILL);
	assert_int_equal(waitpid(predecessor_pid, NULL, 0), predecessor_pid);
	close(server);
	close(hung);
	assert_int_equal(umount2(path, MNT_DETACH), 0);
	rmdir(path);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(while_we_write_qemu_tools_are_refused_except_with_U),
		SCENE_TEST(while_we_read_others_may_read_but_not_write),
		SCENE_TEST(an_image_of_a_running_qemu_is_refused_by_name),
		SCENE_TEST(two_of_us_never_write_the_same_image),
		SCENE_TEST(an_open_waits_for_the_predecessor_to_be_gone),
		SCENE_TEST(an_open_gives_up_when_its_time_is_over),
		SCENE_TEST(a_file_system_that_hangs_elsewhere_delays_no_open),
	};

	return cmocka_run_group_tests_name("file lock", tests, NULL, NULL);
}
