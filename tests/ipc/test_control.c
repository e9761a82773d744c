// SPDX-License-Identifier: Apache-2.0
/*
 * test_control.c - a control server on a loop, with clients on the same loop,
 * in a thread of their own, and with a plain socket that misbehaves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel.h"
#include "clock.h"
#include "control.h"
#include "fd.h"

#define LONG_NS (20 * NS_PER_SECOND)
#define KEPT_MAX 64u

struct scene {
	struct loop *loop;
	struct control_server *server;
	struct control_client *client;
	unsigned int closes;
	unsigned int answers;
	unsigned int failures;
	unsigned int stop_at; /* answers */
	struct error error;
	json_t *result;
	struct control_call *kept[KEPT_MAX];
	unsigned int kept_count;
	unsigned int stop_at_kept;
	struct loop_timer watchdog;
	char directory[32];
	char path[64];
};

static void method_echo(void *owner, struct control_call *call,
			const json_t *params)
{
	(void)owner;
	control_reply(call, json_deep_copy(params));
}

static void method_fail(void *owner, struct control_call *call,
			const json_t *params)
{
	(void)owner;
	(void)params;
	control_fail(call, -ENOSPC, "no space for %d", 7);
}

static void method_keep(void *owner, struct control_call *call,
			const json_t *params)
{
	struct scene *scene = owner;

	(void)params;
	assert_true(scene->kept_count < KEPT_MAX);
	scene->kept[scene->kept_count++] = call;
	if (scene->kept_count == scene->stop_at_kept)
		loop_stop(scene->loop);
}

static void method_huge(void *owner, struct control_call *call,
			const json_t *params)
{
	char *text = malloc(CHANNEL_BYTES_MAX + 1);

	(void)owner;
	(void)params;
	memset(text, 'h', CHANNEL_BYTES_MAX);
	text[CHANNEL_BYTES_MAX] = '\0';
	control_reply(call, json_pack("{s:s}", "huge", text));
	free(text);
}

static const struct control_method methods[] = {
	{"echo", method_echo}, {"fail", method_fail}, {"keep", method_keep},
	{"huge", method_huge}, {NULL, NULL},
};

static void scene_closed(void *owner, int reason)
{
	struct scene *scene = owner;

	(void)reason;
	scene->closes++;
	control_client_destroy(scene->client);
	scene->client = NULL;
	loop_stop(scene->loop);
}

static void scene_fail(struct loop_timer *timer)
{
	(void)timer;
	fail_msg("the loop waited for something that never came");
}

static int scene_begin(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	struct control_client_handler handler = {scene_closed, scene};

	assert_non_null(scene);
	assert_int_equal(loop_create(&scene->loop), 0);
	scene->watchdog.expired = scene_fail;
	loop_timer_arm(scene->loop, &scene->watchdog, 30 * NS_PER_SECOND);
	strcpy(scene->directory, "/tmp/control-XXXXXX");
	assert_non_null(mkdtemp(scene->directory));
	snprintf(scene->path, sizeof(scene->path), "%s/c", scene->directory);
	assert_int_equal(control_server_create(scene->loop, scene->path,
					       methods, scene, &scene->server,
					       &scene->error),
			 0);
	assert_int_equal(control_client_create(scene->loop, scene->path,
					       &handler, &scene->client),
			 0);
	*state = scene;
	return 0;
}

static void answer_kept(struct scene *scene)
{
	while (scene->kept_count > 0)
		control_reply(scene->kept[--scene->kept_count], NULL);
}

static int scene_end(void **state)
{
	struct scene *scene = *state;

	control_client_destroy(scene->client);
	control_server_destroy(scene->server);
	answer_kept(scene);
	loop_destroy(scene->loop);
	assert_int_equal(access(scene->path, F_OK), -1);
	json_decref(scene->result);
	rmdir(scene->directory);
	free(scene);
	return 0;
}

static void answered(struct control_answer *answer, const json_t *result,
		     const struct error *error)
{
	struct scene *scene = answer->owner;

	scene->answers++;
	if (error) {
		scene->failures++;
		scene->error = *error;
	}
	json_decref(scene->result);
	scene->result = json_deep_copy(result);
	if (scene->answers == scene->stop_at)
		loop_stop(scene->loop);
}

static void answer_init(struct control_answer *answer, struct scene *scene)
{
	*answer = (struct control_answer){.done = answered, .owner = scene};
}

static void run_until(struct scene *scene, unsigned int answers)
{
	scene->stop_at = scene->answers + answers;
	assert_int_equal(loop_run(scene->loop), 0);
}

static void a_request_gets_its_answer(void **state)
{
	struct scene *scene = *state;
	struct control_answer answer;

	answer_init(&answer, scene);
	control_client_call(scene->client, &answer, "echo",
			    json_pack("{s:i}", "value", 42), LONG_NS);
	assert_int_equal(scene->answers, 0);
	run_until(scene, 1);
	assert_int_equal(scene->failures, 0);
	assert_int_equal(
		json_integer_value(json_object_get(scene->result, "value")),
		42);
}

static void a_failure_carries_its_errno_and_its_words(void **state)
{
	struct scene *scene = *state;
	struct control_answer answer;

	answer_init(&answer, scene);
	control_client_call(scene->client, &answer, "fail", NULL, LONG_NS);
	run_until(scene, 1);
	assert_int_equal(scene->error.code, -ENOSPC);
	assert_string_equal(scene->error.message, "no space for 7");
	control_client_call(scene->client, &answer, "nothing", NULL, LONG_NS);
	run_until(scene, 1);
	assert_int_equal(scene->error.code, -EOPNOTSUPP);
	control_client_call(scene->client, &answer, "huge", NULL, LONG_NS);
	run_until(scene, 1);
	assert_int_equal(scene->error.code, -EMSGSIZE);
	assert_null(scene->result);
}

static void answers_may_come_late_and_in_any_order(void **state)
{
	struct scene *scene = *state;
	struct control_answer first, second, third;

	answer_init(&first, scene);
	answer_init(&second, scene);
	answer_init(&third, scene);
	control_client_call(scene->client, &first, "keep", NULL, LONG_NS);
	control_client_call(scene->client, &second, "keep", NULL, LONG_NS);
	control_client_call(scene->client, &third, "echo", NULL, LONG_NS);
	run_until(scene, 1);
	assert_int_equal(scene->kept_count, 2);
	answer_kept(scene);
	run_until(scene, 2);
	assert_int_equal(scene->failures, 0);
}

static void a_request_without_an_answer_times_out(void **state)
{
	struct scene *scene = *state;
	struct control_answer answer;

	answer_init(&answer, scene);
	control_client_call(scene->client, &answer, "keep", NULL,
			    5 * NS_PER_MS);
	run_until(scene, 1);
	assert_int_equal(scene->error.code, -ETIMEDOUT);
	/* The answer that comes after all finds nobody and harms nobody. */
	scene->stop_at_kept = 1;
	if (scene->kept_count == 0)
		assert_int_equal(loop_run(scene->loop), 0);
	answer_kept(scene);
	control_client_call(scene->client, &answer, "echo", NULL, LONG_NS);
	run_until(scene, 1);
	assert_int_equal(scene->failures, 1);
}

static void a_peer_over_its_budget_is_told_so(void **state)
{
	struct scene *scene = *state;
	struct control_answer answers[CONTROL_CALLS_PER_PEER_MAX + 1];

	for (unsigned int i = 0; i <= CONTROL_CALLS_PER_PEER_MAX; i++) {
		answer_init(&answers[i], scene);
		control_client_call(scene->client, &answers[i], "keep", NULL,
				    LONG_NS);
	}
	run_until(scene, 1);
	assert_int_equal(scene->error.code, -EBUSY);
	assert_int_equal(scene->kept_count, CONTROL_CALLS_PER_PEER_MAX);
	answer_kept(scene);
	run_until(scene, CONTROL_CALLS_PER_PEER_MAX);
	assert_int_equal(scene->failures, 1);
}

static void a_server_that_goes_answers_everyone_first(void **state)
{
	struct scene *scene = *state;
	struct control_answer answer;

	answer_init(&answer, scene);
	control_client_call(scene->client, &answer, "keep", NULL, LONG_NS);
	scene->stop_at_kept = 1;
	assert_int_equal(loop_run(scene->loop), 0);
	control_server_destroy(scene->server);
	scene->server = NULL;
	assert_int_equal(loop_run(scene->loop), 0);
	assert_int_equal(scene->closes, 1);
	assert_int_equal(scene->answers, 1);
	assert_int_equal(scene->error.code, -ECONNRESET);
}

static void destroy_the_client(struct control_answer *answer,
			       const json_t *result, const struct error *error)
{
	struct scene *scene = answer->owner;

	answered(answer, result, error);
	control_client_destroy(scene->client);
	scene->client = NULL;
}

static void a_client_may_be_destroyed_by_its_answer(void **state)
{
	struct scene *scene = *state;
	struct control_answer answer;

	answer_init(&answer, scene);
	answer.done = destroy_the_client;
	control_client_call(scene->client, &answer, "keep", NULL, LONG_NS);
	scene->stop_at_kept = 1;
	assert_int_equal(loop_run(scene->loop), 0);
	control_server_destroy(scene->server);
	scene->server = NULL;
	run_until(scene, 1);
	assert_int_equal(scene->closes, 0);
	assert_null(scene->client);
}

/* Sends raw bytes, runs the loop, and gives the answer as JSON. */
static json_t *raw_exchange(struct scene *scene, int fd, const char *text)
{
	uint64_t deadline_ns = clock_monotonic_ns() + LONG_NS;
	char buffer[4096];
	ssize_t count;

	assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
	do {
		assert_true(clock_monotonic_ns() < deadline_ns);
		loop_stop(scene->loop);
		assert_int_equal(loop_run(scene->loop), 0);
		count = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
	} while (count < 0);
	return json_loadb(buffer, (size_t)count, 0, NULL);
}

static void nonsense_gets_an_error_and_the_next_request_an_answer(void **state)
{
	static const char *const nonsense[] = {
		"{",
		"[]",
		"7",
		"{\"id\":1}",
		"{\"id\":1,\"method\":7}",
		"{\"id\":1,\"method\":\"echo\",\"params\":[]}",
		"{\"id\":\"x\",\"id\":2,\"method\":\"echo\"}",
	};
	struct scene *scene = *state;
	_cleanup_fd_ int fd = channel_connect(scene->path);
	json_t *answer;

	assert_true(fd >= 0);
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		answer = raw_exchange(scene, fd, nonsense[i]);
		assert_int_equal(
			json_integer_value(json_object_get(
				json_object_get(answer, "error"), "errno")),
			-EINVAL);
		json_decref(answer);
	}
	answer = raw_exchange(scene, fd, "{\"id\":9,\"method\":\"echo\"}");
	assert_int_equal(json_integer_value(json_object_get(answer, "id")), 9);
	assert_true(json_is_object(json_object_get(answer, "result")));
	json_decref(answer);
}

static void more_peers_than_the_server_takes_are_hung_up_on(void **state)
{
	struct scene *scene = *state;
	int fds[CONTROL_PEERS_MAX];
	struct control_answer answer;
	char byte;

	/* The scene's own client is one of them. */
	for (unsigned int i = 0; i < CONTROL_PEERS_MAX; i++) {
		fds[i] = channel_connect(scene->path);
		assert_true(fds[i] >= 0);
	}
	answer_init(&answer, scene);
	for (unsigned int i = 0; i < CONTROL_PEERS_MAX; i++) {
		control_client_call(scene->client, &answer, "echo", NULL,
				    LONG_NS);
		run_until(scene, 1);
	}
	assert_int_equal(
		recv(fds[CONTROL_PEERS_MAX - 1], &byte, 1, MSG_DONTWAIT), 0);
	assert_int_equal(
		recv(fds[CONTROL_PEERS_MAX - 2], &byte, 1, MSG_DONTWAIT), -1);
	for (unsigned int i = 0; i < CONTROL_PEERS_MAX; i++)
		close(fds[i]);
}

/* A thread without a loop. */
struct worker {
	struct scene *scene;
	const char *method;
	uint64_t timeout_ns;
	int status;
	json_t *result;
	struct error error;
	int finished_fd;
};

static void *worker_run(void *argument)
{
	struct worker *worker = argument;

	worker->status = control_request(worker->scene->path, worker->method,
					 json_pack("{s:s}", "from", "worker"),
					 worker->timeout_ns, &worker->result,
					 &worker->error);
	close(worker->finished_fd);
	return NULL;
}

static void worker_finished(struct loop_io *io, int result)
{
	struct scene *scene = io->owner;

	assert_true(result > 0);
	loop_stop(scene->loop);
}

static void run_worker(struct worker *worker, struct scene *scene,
		       const char *method, uint64_t timeout_ns)
{
	struct loop_io io = {.done = worker_finished, .owner = scene};
	pthread_t thread;
	int finished[2];

	assert_int_equal(pipe(finished), 0);
	*worker = (struct worker){.scene = scene,
				  .method = method,
				  .timeout_ns = timeout_ns,
				  .finished_fd = finished[1]};
	assert_int_equal(pthread_create(&thread, NULL, worker_run, worker), 0);
	loop_poll(scene->loop, &io, finished[0], POLLHUP);
	assert_int_equal(loop_run(scene->loop), 0);
	pthread_join(thread, NULL);
	close(finished[0]);
}

static void a_thread_without_a_loop_gets_its_answer(void **state)
{
	struct scene *scene = *state;
	struct worker worker;

	run_worker(&worker, scene, "echo", LONG_NS);
	assert_int_equal(worker.status, 0);
	assert_string_equal(
		json_string_value(json_object_get(worker.result, "from")),
		"worker");
	json_decref(worker.result);
	run_worker(&worker, scene, "fail", LONG_NS);
	assert_int_equal(worker.status, -ENOSPC);
	assert_string_equal(worker.error.message, "no space for 7");
}

static void a_thread_waits_no_longer_than_it_said(void **state)
{
	struct scene *scene = *state;
	struct worker worker;

	run_worker(&worker, scene, "keep", 10 * NS_PER_MS);
	assert_int_equal(worker.status, -ETIMEDOUT);
	assert_non_null(strstr(worker.error.message, scene->path));
}

static void a_request_to_nobody_says_where_it_went(void **state)
{
	struct error error;
	json_t *result;

	(void)state;
	assert_int_equal(control_request("/nonexistent/control.sock", "status",
					 NULL, LONG_NS, &result, &error),
			 -ENOENT);
	assert_non_null(strstr(error.message, "/nonexistent/control.sock"));
}

#define SCENE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, scene_begin, scene_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(a_request_gets_its_answer),
		SCENE_TEST(a_failure_carries_its_errno_and_its_words),
		SCENE_TEST(answers_may_come_late_and_in_any_order),
		SCENE_TEST(a_request_without_an_answer_times_out),
		SCENE_TEST(a_peer_over_its_budget_is_told_so),
		SCENE_TEST(a_server_that_goes_answers_everyone_first),
		SCENE_TEST(a_client_may_be_destroyed_by_its_answer),
		SCENE_TEST(
			nonsense_gets_an_error_and_the_next_request_an_answer),
		SCENE_TEST(more_peers_than_the_server_takes_are_hung_up_on),
		SCENE_TEST(a_thread_without_a_loop_gets_its_answer),
		SCENE_TEST(a_thread_waits_no_longer_than_it_said),
		cmocka_unit_test(a_request_to_nobody_says_where_it_went),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
