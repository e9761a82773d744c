// SPDX-License-Identifier: Apache-2.0
/*
 * test_attach.c - how the cache filter gets its file, with a fake daemon on the
 * other side, real locks and virtual time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "attach.h"
#include "pool_protocol.h"

#define MS UINT64_C(1000000)
#define KEPT_BYTES UINT64_C(40960)

/* The one instance: what it asked for, and what it was told. */
struct forebay_instance {
	uint64_t now_ns;
	struct forebay_timer *timer; /* the armed one */
	uint64_t deadline_ns;
	bool connected;
	int channel_status;
	unsigned int asked;
	struct pool_open open;
	unsigned int logged;
	unsigned int recalled;
	int memory_status;
	const char *pool;
};

struct scene {
	struct forebay_instance instance;
	struct forebay_disk disk;
	struct attach attach;
	unsigned int ended;
	int status;
	char path[32];
};

static uint64_t fake_now_ns(struct forebay_instance *instance)
{
	return instance->now_ns;
}

static void fake_timer_arm(struct forebay_instance *instance,
			   struct forebay_timer *timer, uint64_t delay_ns)
{
	instance->timer = timer;
	instance->deadline_ns = instance->now_ns + delay_ns;
}

static void fake_timer_cancel(struct forebay_instance *instance,
			      struct forebay_timer *timer)
{
	(void)timer;
	instance->timer = NULL;
}

static int fake_channel_open(struct forebay_instance *instance)
{
	return instance->channel_status;
}

static int fake_channel_send(struct forebay_instance *instance,
			     const void *bytes, size_t count, const int *fds,
			     uint32_t fd_count)
{
	(void)fds;
	assert_int_equal(fd_count, 0);
	if (!instance->connected)
		return -ENOTCONN;
	union pool_request request;

	assert_int_equal(pool_request_parse(bytes, count, &request), 0);
	assert_int_equal(request.type, POOL_OPEN);
	instance->open = request.open;
	instance->asked++;
	return 0;
}

static void fake_log(struct forebay_instance *instance,
		     enum forebay_log_level level, const char *format, ...)
{
	(void)level;
	(void)format;
	instance->logged++;
}

static int fake_property_integer(struct forebay_instance *instance,
				 const char *name, int64_t *ret_value)
{
	(void)instance;
	if (strcmp(name, "reservation") == 0) {
		*ret_value = INT64_C(96) << 20;
		return 0;
	}
	assert_string_equal(name, "limit");
	*ret_value = INT64_C(1) << 30;
	return 0;
}

static int fake_property_string(struct forebay_instance *instance,
				const char *name, const char **ret_value)
{
	assert_string_equal(name, "pool");
	*ret_value = instance->pool;
	return 0;
}

static int fake_memory_request(struct forebay_instance *instance,
			       const char *name, uint64_t bytes)
{
	assert_string_equal(name, "index");
	assert_int_equal(bytes, KEPT_BYTES);
	instance->recalled++;
	return instance->memory_status;
}

static const struct forebay_host fake_host = {
	.now_ns = fake_now_ns,
	.timer_arm = fake_timer_arm,
	.timer_cancel = fake_timer_cancel,
	.channel_open = fake_channel_open,
	.channel_send = fake_channel_send,
	.memory_request = fake_memory_request,
	.log = fake_log,
	.property_integer = fake_property_integer,
	.property_string = fake_property_string,
};

static void on_done(struct attach *attach, int status)
{
	struct scene *scene = attach->owner;

	scene->ended++;
	scene->status = status;
}

static uint64_t kept_bytes(const struct attach *attach)
{
	assert_int_equal(attach->file_bytes, 1 << 30);
	return KEPT_BYTES;
}

static int scene_begin(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	scene->disk.size_bytes = UINT64_C(1) << 33;
	scene->disk.name = "web-1";
	scene->instance.pool = "fast";
	scene->instance.now_ns = 1000 * MS;
	scene->attach.host = &fake_host;
	scene->attach.instance = &scene->instance;
	scene->attach.disk = &scene->disk;
	scene->attach.done = on_done;
	scene->attach.kept_bytes = kept_bytes;
	scene->instance.memory_status = -ENOTCONN;
	scene->attach.owner = scene;
	snprintf(scene->path, sizeof(scene->path), "/tmp/fbXXXXXX");
	close(mkstemp(scene->path));
	*state = scene;
	return 0;
}

static int scene_end(void **state)
{
	struct scene *scene = *state;

	/* Whatever happened, it left no timer behind. */
	assert_true(scene->ended <= 1);
	if (scene->ended == 1)
		assert_null(scene->instance.timer);
	if (scene->attach.fd >= 0)
		close(scene->attach.fd);
	unlink(scene->path);
	free(scene);
	return 0;
}

static void turn_clock(struct scene *scene, uint64_t delay_ns)
{
	struct forebay_instance *instance = &scene->instance;
	uint64_t end_ns = instance->now_ns + delay_ns;

	while (instance->timer && instance->deadline_ns <= end_ns) {
		struct forebay_timer *timer = instance->timer;

		instance->now_ns = instance->deadline_ns;
		instance->timer = NULL;
		timer->expired(timer);
	}
	instance->now_ns = end_ns;
}

static void connect_channel(struct scene *scene, bool connected)
{
	scene->instance.connected = connected;
	attach_channel_state(&scene->attach, connected);
}

static void grant(struct scene *scene)
{
	const struct pool_grant answer = {
		.type = POOL_GRANT,
		.file_bytes = UINT64_C(1) << 30,
		.granted_bytes = UINT64_C(64) << 20,
	};
	int fd = open(scene->path, O_RDWR | O_CREAT, 0600);

	attach_message(&scene->attach, &answer, sizeof(answer), &fd, 1);
}

static void says(const struct scene *scene, const char *word)
{
	if (!strstr(scene->attach.error.message, word))
		fail_msg("'%s' doesn't say '%s'", scene->attach.error.message,
			 word);
}

static void it_asks_when_connected_and_ends_with_the_lock(void **state)
{
	struct scene *scene = *state;
	int second;

	attach_start(&scene->attach);
	assert_int_equal(scene->instance.asked, 0);
	connect_channel(scene, true);
	assert_int_equal(scene->instance.asked, 1);
	assert_string_equal(scene->instance.open.pool, "fast");
	assert_int_equal(scene->instance.open.limit_bytes, 1 << 30);
	assert_int_equal(scene->instance.open.reservation_bytes, 96 << 20);
	assert_int_equal(scene->instance.open.disk_bytes, UINT64_C(1) << 33);
	grant(scene);
	assert_int_equal(scene->ended, 1);
	assert_int_equal(scene->status, 0);
	assert_int_equal(scene->attach.file_bytes, 1 << 30);
	assert_int_equal(scene->attach.granted_bytes, 64 << 20);
	second = open(scene->path, O_RDWR);
	assert_int_equal(flock(second, LOCK_EX | LOCK_NB), -1);
	close(second);
}

static void memory_is_asked_for_when_the_lock_is_held(void **state)
{
	struct scene *scene = *state;
	int predecessor = open(scene->path, O_RDWR);
	char memory[1];

	scene->instance.memory_status = 0;
	assert_int_equal(flock(predecessor, LOCK_EX), 0);
	attach_start(&scene->attach);
	connect_channel(scene, true);
	grant(scene);
	turn_clock(scene, 100 * MS);
	assert_int_equal(scene->instance.recalled, 0);
	close(predecessor);
	turn_clock(scene, 100 * MS);
	assert_int_equal(scene->instance.recalled, 1);
	assert_int_equal(scene->ended, 0);
	attach_memory(&scene->attach, memory);
	assert_int_equal(scene->ended, 1);
	assert_int_equal(scene->status, 0);
	assert_ptr_equal(scene->attach.kept, memory);
}

static void without_memory_it_ends_all_the_same(void **state)
{
	struct scene *scene = *state;

	scene->instance.memory_status = 0;
	attach_start(&scene->attach);
	connect_channel(scene, true);
	grant(scene);
	attach_memory(&scene->attach, NULL);
	assert_int_equal(scene->ended, 1);
	assert_int_equal(scene->status, 0);
	assert_null(scene->attach.kept);
}

static void memory_that_does_not_come_is_not_waited_for(void **state)
{
	struct scene *scene = *state;
	char memory[1];

	scene->instance.memory_status = 0;
	attach_start(&scene->attach);
	connect_channel(scene, true);
	grant(scene);
	turn_clock(scene, 2 * ATTACH_MEMORY_DEADLINE_NS);
	assert_int_equal(scene->ended, 1);
	assert_int_equal(scene->status, 0);
	/* Too late: the cache has begun without. */
	attach_memory(&scene->attach, memory);
	assert_null(scene->attach.kept);
}

static bool unused_after_writing(struct scene *scene, off_t offset)
{
	int fd = open(scene->path, O_RDWR);

	assert_int_equal(posix_fallocate(fd, 0, 8 << 20), 0);
	if (offset >= 0)
		assert_int_equal(pwrite(fd, "x", 1, offset), 1);
	close(fd);
	attach_start(&scene->attach);
	connect_channel(scene, true);
	grant(scene);
	assert_int_equal(scene->status, 0);
	return scene->attach.unused;
}

static void a_file_that_nobody_wrote_to_is_unused(void **state)
{
	assert_true(unused_after_writing(*state, -1));
}

static void a_superblock_alone_is_not_a_log_yet(void **state)
{
	assert_true(unused_after_writing(*state, 0));
}

static void a_file_with_a_log_is_not_unused(void **state)
{
	assert_false(unused_after_writing(*state, POOL_GRANULE_BYTES));
}

static void it_asks_again_after_a_lost_connection(void **state)
{
	struct scene *scene = *state;

	attach_start(&scene->attach);
	connect_channel(scene, true);
	connect_channel(scene, false);
	turn_clock(scene, 100 * MS);
	assert_int_equal(scene->ended, 0);
	connect_channel(scene, true);
	assert_int_equal(scene->instance.asked, 2);
	grant(scene);
	assert_int_equal(scene->status, 0);
}

static void a_predecessor_is_waited_for_without_a_channel(void **state)
{
	struct scene *scene = *state;
	int predecessor = open(scene->path, O_RDWR);

	assert_int_equal(flock(predecessor, LOCK_EX), 0);
	attach_start(&scene->attach);
	connect_channel(scene, true);
	grant(scene);
	connect_channel(scene, false);
	turn_clock(scene, 999 * MS);
	assert_int_equal(scene->ended, 0);
	assert_int_equal(scene->instance.logged, 0);
	turn_clock(scene, 2000 * MS);
	assert_int_equal(scene->instance.logged, 1);
	close(predecessor);
	turn_clock(scene, 5 * MS);
	assert_int_equal(scene->ended, 1);
	assert_int_equal(scene->status, 0);
	assert_int_equal(scene->instance.asked, 1);
}

static void a_lock_that_never_comes_free_is_named(void **state)
{
	struct scene *scene = *state;
	int holder = open(scene->path, O_RDWR);

	assert_int_equal(flock(holder, LOCK_EX), 0);
	attach_start(&scene->attach);
	connect_channel(scene, true);
	grant(scene);
	turn_clock(scene, ATTACH_LOCK_DEADLINE_NS + 10 * MS);
	assert_int_equal(scene->status, -EBUSY);
	says(scene, "web-1");
	says(scene, "another process");
	assert_int_equal(scene->attach.fd, -1);
	close(holder);
}

static void a_file_deleted_while_it_waited_is_asked_for_again(void **state)
{
	struct scene *scene = *state;
	int holder = open(scene->path, O_RDWR);

	assert_int_equal(flock(holder, LOCK_EX), 0);
	attach_start(&scene->attach);
	connect_channel(scene, true);
	grant(scene);
	unlink(scene->path);
	close(holder);
	turn_clock(scene, 5 * MS);
	assert_int_equal(scene->ended, 0);
	assert_int_equal(scene->instance.asked, 2);
	grant(scene);
	assert_int_equal(scene->status, 0);
}

static void a_silent_daemon_is_given_up_on(void **state)
{
	struct scene *scene = *state;

	attach_start(&scene->attach);
	turn_clock(scene, ATTACH_ANSWER_DEADLINE_NS / 2);
	connect_channel(scene, true);
	turn_clock(scene, ATTACH_ANSWER_DEADLINE_NS / 2 + 10 * MS);
	assert_int_equal(scene->status, -ETIMEDOUT);
	assert_int_equal(scene->instance.logged, 1);
	says(scene, "forebay-cached");
	/* Late news meet nobody. */
	grant(scene);
	connect_channel(scene, false);
	assert_int_equal(scene->ended, 1);
}

static void a_refusal_keeps_its_words(void **state)
{
	struct scene *scene = *state;
	struct pool_refuse answer = {
		.type = POOL_REFUSE,
		.error = -ENOSPC,
		.message = "pool fast is full: add a directory",
	};

	attach_start(&scene->attach);
	connect_channel(scene, true);
	attach_message(&scene->attach, &answer, sizeof(answer), NULL, 0);
	assert_int_equal(scene->status, -ENOSPC);
	says(scene, "pool fast is full: add a directory");
}

static void an_answer_that_makes_no_sense_ends_the_open(void **state)
{
	struct scene *scene = *state;
	int fd = open("/dev/null", O_RDONLY);

	attach_start(&scene->attach);
	connect_channel(scene, true);
	attach_message(&scene->attach, "nonsense", 8, &fd, 1);
	assert_int_equal(scene->status, -EBADMSG);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	says(scene, "upgraded");
}

static void a_filter_without_a_daemon_says_so(void **state)
{
	struct scene *scene = *state;

	scene->instance.channel_status = -ENOENT;
	attach_start(&scene->attach);
	assert_int_equal(scene->status, -ENOENT);
	says(scene, "daemon_socket");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_begin, scene_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_asks_when_connected_and_ends_with_the_lock),
		TEST(memory_is_asked_for_when_the_lock_is_held),
		TEST(without_memory_it_ends_all_the_same),
		TEST(memory_that_does_not_come_is_not_waited_for),
		TEST(a_file_that_nobody_wrote_to_is_unused),
		TEST(a_superblock_alone_is_not_a_log_yet),
		TEST(a_file_with_a_log_is_not_unused),
		TEST(it_asks_again_after_a_lost_connection),
		TEST(a_predecessor_is_waited_for_without_a_channel),
		TEST(a_lock_that_never_comes_free_is_named),
		TEST(a_file_deleted_while_it_waited_is_asked_for_again),
		TEST(a_silent_daemon_is_given_up_on),
		TEST(a_refusal_keeps_its_words),
		TEST(an_answer_that_makes_no_sense_ends_the_open),
		TEST(a_filter_without_a_daemon_says_so),
	};

	return cmocka_run_group_tests_name("attach", tests, NULL, NULL);
}
