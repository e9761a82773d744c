// SPDX-License-Identifier: Apache-2.0
/*
 * control_client.c - many requests over one connection, on a loop.
 *
 * Each answer that is waited for sits in a list; what fails before it is even
 * sent sits there too, with its error, until deferred work tells its owner: so
 * done() never runs inside the call.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "control.h"
#include "control_message.h"
#include "fd.h"
#include "list.h"

struct control_client {
	struct loop *loop;
	struct channel *channel;
	struct control_client_handler handler;
	struct list waiting;
	struct list refused;
	struct loop_deferred tell_refused;
	uint64_t next_id;
	/* In client_closed(): a done() that destroys us only says so. */
	bool closing;
	bool destroyed;
};

static void finish(struct control_answer *answer, const json_t *result,
		   const struct error *error)
{
	list_remove(&answer->node);
	loop_timer_cancel(answer->client->loop, &answer->timer);
	answer->done(answer, result, error);
}

/* Ends every answer of @list; their owners may start new ones elsewhere. */
static void fail_all(struct list *list, int code, const char *message)
{
	struct list *node;
	struct error error;

	error_set(&error, code, "%s", message);
	while ((node = list_first(list)))
		finish(list_entry(node, struct control_answer, node), NULL,
		       &error);
}

static void tell_refused(struct loop_deferred *deferred)
{
	struct control_client *client = deferred->owner;
	struct list refused;
	struct list *node;

	list_init(&refused);
	list_append_all(&refused, &client->refused);
	while ((node = list_first(&refused))) {
		struct control_answer *answer =
			list_entry(node, struct control_answer, node);
		struct error error = {.code = answer->refusal};

		error_set(&error, answer->refusal,
			  "the request can't be sent: %s",
			  strerror(-answer->refusal));
		finish(answer, NULL, &error);
	}
}

static void answer_late(struct loop_timer *timer)
{
	struct control_answer *answer = timer->owner;
	struct error error;

	error_set(&error, -ETIMEDOUT, "no answer in time");
	finish(answer, NULL, &error);
}

static struct control_answer *find(struct control_client *client, uint64_t id)
{
	list_for_each (node, &client->waiting) {
		struct control_answer *answer =
			list_entry(node, struct control_answer, node);

		if (answer->id == id)
			return answer;
	}
	return NULL;
}

static void client_message(void *owner, const void *bytes, size_t count,
			   const int *fds, uint32_t fd_count)
{
	struct control_client *client = owner;
	struct control_answer *answer;
	json_t *result = NULL;
	struct error error;
	uint64_t id;
	int status;

	for (uint32_t i = 0; i < fd_count; i++)
		fd_close(fds[i]);
	status = control_message_parse_answer(bytes, count, &id, &result,
					      &error);
	answer = find(client, id);
	/* Nobody: it came after its deadline. */
	if (answer)
		finish(answer, result, status < 0 ? &error : NULL);
	json_decref(result);
}

static void client_closed(void *owner, int reason)
{
	struct control_client *client = owner;

	client->closing = true;
	fail_all(&client->waiting, -ECONNRESET, "the server is gone");
	client->closing = false;
	if (client->destroyed)
		control_client_destroy(client);
	else
		client->handler.closed(client->handler.owner, reason);
}

int control_client_create(struct loop *loop, const char *path,
			  const struct control_client_handler *handler,
			  struct control_client **ret_client)
{
	struct control_client *client = calloc(1, sizeof(*client));
	const struct channel_handler channel_handler = {
		.message = client_message,
		.closed = client_closed,
		.owner = client,
	};
	int status;
	int fd;

	if (!client)
		return -ENOMEM;
	fd = channel_connect_now(path);
	status = fd < 0 ? fd
			: channel_create(loop, fd, &channel_handler,
					 &client->channel);
	if (status < 0) {
		fd_close(fd);
		free(client);
		return status;
	}
	client->loop = loop;
	client->handler = *handler;
	client->tell_refused.run = tell_refused;
	client->tell_refused.owner = client;
	list_init(&client->waiting);
	list_init(&client->refused);
	*ret_client = client;
	return 0;
}

void control_client_call(struct control_client *client,
			 struct control_answer *answer, const char *method,
			 json_t *params, uint64_t timeout_ns)
{
	char *text = NULL;
	int status;

	answer->client = client;
	answer->id = ++client->next_id;
	answer->timer =
		(struct loop_timer){.expired = answer_late, .owner = answer};
	status = control_message_request(answer->id, method, params, &text,
					 NULL);
	if (status == 0)
		status = channel_send(client->channel, text, strlen(text), NULL,
				      0);
	free(text);
	if (status < 0) {
		answer->refusal = status;
		list_append(&client->refused, &answer->node);
		loop_defer(client->loop, &client->tell_refused);
		return;
	}
	list_append(&client->waiting, &answer->node);
	loop_timer_arm(client->loop, &answer->timer, timeout_ns);
}

void control_client_destroy(struct control_client *client)
{
	if (!client)
		return;
	if (client->closing) {
		client->destroyed = true;
		return;
	}
	loop_defer_cancel(client->loop, &client->tell_refused);
	fail_all(&client->waiting, -ECANCELED, "the client is gone");
	fail_all(&client->refused, -ECANCELED, "the client is gone");
	channel_destroy(client->channel);
	free(client);
}
