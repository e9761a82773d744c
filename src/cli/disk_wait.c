/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_wait.c - asks again for as long as the API answers 202.
 *
 * The line of progress comes from a second connection, asked once a second from
 * libcurl's progress callback while the first one waits for its answer.
 */
#include "disk_wait.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "arguments.h"
#include "client.h"
#include "disk_view.h"
#include "error.h"
#include "human.h"
#include "output.h"

#define HTTP_ACCEPTED 202
/* Between two questions, so that one that is answered at once asks little. */
#define PAUSE_MS 100

struct progress {
	const char *name;
	const char *verb;
	struct client *client;
	char *path;
	time_t started_s;
	time_t shown_s;
};

static time_t now_s(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static void pause_ms(long ms)
{
	const struct timespec pause = {.tv_nsec = ms * 1000000};

	(void)nanosleep(&pause, NULL);
}

static void wipe(struct progress *progress)
{
	if (progress->shown_s != progress->started_s)
		(void)fputs("\r\033[K", stderr);
}

/* "disk d1: close: 12 s, state closing, 1.2 GiB dirty" */
static void show(struct progress *progress)
{
	struct client_request request = {.method = CLIENT_GET,
					 .path = progress->path};
	struct client_answer answer;
	time_t now = now_s();
	const char *state;
	const json_t *dirty;
	char size[HUMAN_BYTES];

	if (now == progress->shown_s)
		return;
	if (client_call(progress->client, &request, &answer, NULL) < 0)
		return;
	progress->shown_s = now;
	state = json_string_value(json_object_get(answer.json, "state"));
	dirty = json_object_get(answer.json, "dirty_bytes");
	(void)fprintf(stderr, "\r\033[Kdisk %s: %s: %lld s, state %s",
		      progress->name, progress->verb,
		      (long long)(now - progress->started_s),
		      state ? state : "not known");
	if (json_is_integer(dirty))
		(void)fprintf(
			stderr, ", %s dirty",
			human_size((uint64_t)json_integer_value(dirty), size));
	client_answer_release(&answer);
}

static void on_waiting(void *context)
{
	show(context);
}

/* Without a terminal, or without memory, there is no progress to see. */
static bool start_progress(const struct invocation *invocation,
			   const char *verb, struct progress *progress)
{
	const char *term = getenv("TERM");

	*progress = (struct progress){.name = invocation->operands[0],
				      .verb = verb,
				      .started_s = now_s(),
				      .shown_s = now_s()};
	if (!isatty(STDERR_FILENO) || !term || strcmp(term, "dumb") == 0)
		return false;
	progress->path = client_path("disks", progress->name, NULL);
	if (!progress->path || client_open(invocation->flags[FLAG_ROOT],
					   &progress->client, NULL) < 0)
		return false;
	return true;
}

static void end_progress(struct progress *progress)
{
	wipe(progress);
	client_close(progress->client);
	free(progress->path);
}

static output_present_fn view_of(const char *verb)
{
	if (strncmp(verb, "open", strlen("open")) == 0)
		return disk_view_opened;
	if (strcmp(verb, "restart") == 0)
		return disk_view_restarted;
	if (strcmp(verb, "resize") == 0)
		return disk_view_resized;
	if (strcmp(verb, "release") == 0)
		return disk_view_released;
	if (strcmp(verb, "hold") == 0)
		return disk_view_held;
	if (strncmp(verb, "close", strlen("close")) == 0)
		return disk_view_closed;
	return disk_view_flushed;
}

/* What has begun is only waited for: again would be twice. */
static bool is_once(const char *verb)
{
	return strcmp(verb, "restart") == 0 || strstr(verb, "drop_clean") ||
	       strstr(verb, "discard_dirty");
}

int disk_wait(const struct invocation *invocation, struct client *client,
	      const char *verb, const json_t *body, struct error *error)
{
	struct progress progress;
	bool visible = start_progress(invocation, verb, &progress);
	char *path = client_path("disks", invocation->operands[0], verb);
	char *open_path = client_path("disks", invocation->operands[0], "open");
	struct client_request request = {
		.method = CLIENT_POST,
		.path = path,
		.body = body,
		.subject_kind = "disk",
		.subject_name = invocation->operands[0],
		.waiting = visible ? on_waiting : NULL,
		.waiting_context = &progress,
	};
	struct client_answer answer;
	int ret = path && open_path
			  ? 0
			  : error_set(error, -ENOMEM, "forebay: out of memory");

	if (ret == 0)
		ret = client_call(client, &request, &answer, error);
	while (ret == 0 && answer.status == HTTP_ACCEPTED) {
		client_answer_release(&answer);
		pause_ms(PAUSE_MS);
		if (is_once(verb))
			request.path = open_path;
		ret = client_call(client, &request, &answer, error);
	}
	end_progress(&progress);
	free(path);
	free(open_path);
	if (ret < 0)
		return ret;
	ret = output_answer(invocation, &answer, view_of(verb), error);
	client_answer_release(&answer);
	return ret;
}

/* It is held; or why it won't be, as -EBUSY. 1: it is still being made. */
static int look_at_hold(const struct invocation *invocation,
			const struct client_answer *answer, struct error *error)
{
	const json_t *hold = json_object_get(answer->json, "hold");
	const char *state = json_string_value(json_object_get(hold, "state"));
	const char *reason = json_string_value(json_object_get(hold, "reason"));

	if (state &&
	    (strcmp(state, "making") == 0 || strcmp(state, "unknown") == 0))
		return 1;
	if (state && strcmp(state, "held") == 0)
		return 0;
	return error_set(error, -EBUSY, "disk %s can't be held: %s",
			 invocation->operands[0],
			 reason ? reason : "somebody has released it");
}

/* What has ended is known to its user by now: another may begin. */
static void forget_hold(const struct invocation *invocation,
			struct client *client)
{
	char *path = client_path("disks", invocation->operands[0], "release");
	struct client_request request = {.method = CLIENT_POST, .path = path};
	struct client_answer answer;

	if (path && client_call(client, &request, &answer, NULL) == 0)
		client_answer_release(&answer);
	free(path);
}

int disk_hold_wait(const struct invocation *invocation, struct client *client,
		   const json_t *body, struct error *error)
{
	struct progress progress;
	bool visible = start_progress(invocation, "hold", &progress);
	char *path = client_path("disks", invocation->operands[0], "hold");
	char *disk_path = client_path("disks", invocation->operands[0], NULL);
	struct client_request request = {
		.method = CLIENT_POST,
		.path = path,
		.body = body,
		.subject_kind = "disk",
		.subject_name = invocation->operands[0],
	};
	struct client_answer answer = {0};
	bool begun;
	int ret = path && disk_path
			  ? 0
			  : error_set(error, -ENOMEM, "forebay: out of memory");

	if (ret == 0)
		ret = client_call(client, &request, &answer, error);
	begun = ret == 0;
	request.method = CLIENT_GET;
	request.path = disk_path;
	request.body = NULL;
	while (ret == 0 &&
	       (ret = look_at_hold(invocation, &answer, error)) == 1) {
		client_answer_release(&answer);
		if (visible)
			show(&progress);
		pause_ms(PAUSE_MS);
		ret = client_call(client, &request, &answer, error);
	}
	end_progress(&progress);
	if (begun && ret == -EBUSY)
		forget_hold(invocation, client);
	free(path);
	free(disk_path);
	if (ret == 0)
		ret = output_answer(invocation, &answer, disk_view_held, error);
	client_answer_release(&answer);
	return ret;
}
