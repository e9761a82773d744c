// SPDX-License-Identifier: Apache-2.0
/*
 * control_server.c - peers, their calls, and answers that may come late.
 *
 * A call outlives its peer and even the server: whoever works on it holds a
 * pointer and will answer. When the peer is gone the answer goes nowhere.
 */
#include "control.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acceptor.h"
#include "channel.h"
#include "fd.h"
#include "list.h"
#include "log.h"
#include "unix_address.h"

#define SOCKET_MODE 0600

struct peer {
	struct list node;
	struct control_server *server;
	struct channel *channel;
	struct list calls;
	unsigned int call_count;
};

struct control_call {
	struct list node;
	struct peer *peer; /* NULL: gone */
	json_t *id;
};

struct control_server {
	struct loop *loop;
	const struct control_method *methods;
	void *owner;
	int fd;
	struct acceptor acceptor;
	struct list peers;
	unsigned int peer_count;
	char path[UNIX_PATH_LENGTH_MAX + 1];
};

static void peer_destroy(struct peer *peer)
{
	struct list *node;

	while ((node = list_take_first(&peer->calls)))
		list_entry(node, struct control_call, node)->peer = NULL;
	list_remove(&peer->node);
	peer->server->peer_count--;
	channel_destroy(peer->channel);
	free(peer);
}

/* Owns: takes @answer. Frees @call. */
static void answer(struct control_call *call, json_t *answer_object)
{
	struct peer *peer = call->peer;
	char *text = json_dumps(answer_object, JSON_COMPACT);
	int status = text ? 0 : -ENOMEM;

	json_decref(answer_object);
	list_remove(&call->node);
	json_decref(call->id);
	free(call);
	if (peer) {
		peer->call_count--;
		if (status == 0)
			status = channel_send(peer->channel, text, strlen(text),
					      NULL, 0);
		/* One that doesn't read, or is about to be reported gone. */
		if (status < 0 && status != -ENOTCONN) {
			log_warning("control: peer dropped: %s",
				    strerror(-status));
			peer_destroy(peer);
		}
	}
	free(text);
}

/* The length of @result as text, or one more than fits. */
static size_t text_bytes(const json_t *object)
{
	return json_dumpb(object, NULL, 0, JSON_COMPACT);
}

void control_reply(struct control_call *call, json_t *result)
{
	json_t *object = json_pack("{s:O, s:o}", "id", call->id, "result",
				   result ? result : json_object());

	if (!object) {
		control_fail(call, -ENOMEM, "no memory for the answer");
		return;
	}
	if (text_bytes(object) > CHANNEL_BYTES_MAX) {
		json_decref(object);
		control_fail(call, -EMSGSIZE,
			     "the answer is larger than a packet");
		return;
	}
	answer(call, object);
}

void control_fail(struct control_call *call, int code, const char *format, ...)
{
	char message[ERROR_MESSAGE_BYTES];
	json_t *object;
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	/* A cut message may end inside a character: "?" keeps the errno. */
	object = json_pack("{s:O, s:{s:i, s:s}}", "id", call->id, "error",
			   "errno", code, "message", message);
	if (!object)
		object = json_pack("{s:O, s:{s:i, s:s}}", "id", call->id,
				   "error", "errno", code, "message", "?");
	answer(call, object);
}

static const struct control_method *find_method(const struct control_server *s,
						const char *name)
{
	for (const struct control_method *at = s->methods; at->name; at++)
		if (strcmp(at->name, name) == 0)
			return at;
	return NULL;
}

static void run_call(struct peer *peer, struct control_call *call,
		     const json_t *request)
{
	const char *name =
		json_string_value(json_object_get(request, "method"));
	json_t *params = json_object_get(request, "params");
	const struct control_method *method =
		name ? find_method(peer->server, name) : NULL;
	json_t *no_params = NULL;

	if (peer->call_count > CONTROL_CALLS_PER_PEER_MAX) {
		control_fail(call, -EBUSY, "more than %u requests at once",
			     CONTROL_CALLS_PER_PEER_MAX);
		return;
	}
	if (!name || (params && !json_is_object(params))) {
		control_fail(call, -EINVAL,
			     "not a request: it needs a method, "
			     "and params must be an object");
		return;
	}
	if (!method) {
		control_fail(call, -EOPNOTSUPP, "no such method: %s", name);
		return;
	}
	if (!params)
		params = no_params = json_object();
	method->run(peer->server->owner, call, params);
	json_decref(no_params);
}

static void peer_message(void *owner, const void *bytes, size_t count,
			 const int *fds, uint32_t fd_count)
{
	struct peer *peer = owner;
	struct control_call *call = calloc(1, sizeof(*call));
	json_t *request;
	json_t *id;

	for (uint32_t i = 0; i < fd_count; i++)
		fd_close(fds[i]);
	/* The only word that takes no memory: it hangs up. */
	if (!call) {
		log_warning("control: peer dropped: no memory for its request");
		peer_destroy(peer);
		return;
	}
	request = json_loadb(bytes, count, JSON_REJECT_DUPLICATES, NULL);
	id = json_object_get(request, "id");
	call->peer = peer;
	call->id = json_is_integer(id) ? json_incref(id) : json_null();
	list_append(&peer->calls, &call->node);
	peer->call_count++;
	run_call(peer, call, request);
	json_decref(request);
}

static void peer_closed(void *owner, int reason)
{
	(void)reason;
	peer_destroy(owner);
}

static void add_peer(struct control_server *server, int fd)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	const struct channel_handler handler = {
		.message = peer_message,
		.closed = peer_closed,
		.owner = peer,
	};

	if (!peer || server->peer_count == CONTROL_PEERS_MAX ||
	    channel_create(server->loop, fd, &handler, &peer->channel) < 0) {
		log_warning("control %s: peer refused, %u are connected",
			    server->path, server->peer_count);
		fd_close(fd);
		free(peer);
		return;
	}
	peer->server = server;
	list_init(&peer->calls);
	list_append(&server->peers, &peer->node);
	server->peer_count++;
}

static void server_free(struct control_server *server)
{
	fd_close(server->fd);
	free(server);
}

static void accepted(struct acceptor *acceptor, int fd)
{
	struct control_server *server = acceptor->owner;

	if (fd < 0)
		log_warning("control %s: accept: %s", server->path,
			    strerror(-fd));
	else
		add_peer(server, fd);
}

static void stopped(struct acceptor *acceptor)
{
	server_free(acceptor->owner);
}

int control_server_create(struct loop *loop, const char *path,
			  const struct control_method *methods, void *owner,
			  struct control_server **ret_server,
			  struct error *error)
{
	struct control_server *server;
	int fd = channel_listen(path, SOCKET_MODE);

	if (fd < 0)
		return error_set(error, fd, "control socket %s: %s", path,
				 strerror(-fd));
	server = calloc(1, sizeof(*server));
	if (!server) {
		fd_close(fd);
		return error_set(error, -ENOMEM, "control socket %s: no memory",
				 path);
	}
	server->loop = loop;
	server->methods = methods;
	server->owner = owner;
	server->fd = fd;
	server->acceptor = (struct acceptor){
		.accepted = accepted,
		.stopped = stopped,
		.owner = server,
	};
	list_init(&server->peers);
	snprintf(server->path, sizeof(server->path), "%s", path);
	acceptor_start(&server->acceptor, loop, fd);
	*ret_server = server;
	return 0;
}

void control_server_destroy(struct control_server *server)
{
	if (!server)
		return;
	unlink(server->path);
	list_for_each_safe (node, &server->peers)
		peer_destroy(list_entry(node, struct peer, node));
	if (acceptor_stop(&server->acceptor))
		server_free(server);
}
