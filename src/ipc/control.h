/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.h - requests and answers over a channel: the control sockets of
 * forebay-disk and forebay-cached.
 *
 *	{"id": 7, "method": "stats", "params": {}}
 *	{"id": 7, "result": {...}}
 *	{"id": 7, "error": {"errno": -5, "message": "..."}}
 *
 * One JSON object a packet, at most CHANNEL_BYTES_MAX bytes. Answers may come
 * in any order. A peer over its budget gets -EBUSY; a peer that doesn't read
 * its answers is disconnected.
 */
#ifndef FOREBAY_IPC_CONTROL_H
#define FOREBAY_IPC_CONTROL_H

#include <jansson.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "list.h"
#include "loop.h"

#define CONTROL_PEERS_MAX 16u
#define CONTROL_CALLS_PER_PEER_MAX 16u

struct control_server;
/* A request that waits for its answer. */
struct control_call;

struct control_method {
	const char *name;
	/*
	 * Answers @call exactly once, now or later, with control_reply() or
	 * control_fail(). @params: an object, valid during the call.
	 */
	void (*run)(void *owner, struct control_call *call,
		    const json_t *params);
};

/*
 * Listens at @path, for this user only. @methods ends with an entry without a
 * name and lives as long as the server. Returns: 0 or as channel_listen(), with
 * words in @error.
 */
int control_server_create(struct loop *loop, const char *path,
			  const struct control_method *methods, void *owner,
			  struct control_server **ret_server,
			  struct error *error);
/*
 * Disconnects everyone and removes the socket's file. Calls that wait must
 * still be answered, the answers go nowhere. NULL is fine.
 */
void control_server_destroy(struct control_server *server);

/* Owns: takes @result, an object; NULL stands for an empty one. */
void control_reply(struct control_call *call, json_t *result);
/* @code: a negative errno. */
void control_fail(struct control_call *call, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * One request over a connection of its own, for threads without a loop.
 * Owns: takes @params (NULL: none); gives *ret_result, an object.
 * Returns: 0, the server's errno, -ETIMEDOUT, or what connecting returned;
 * with words in @error.
 */
int control_request(const char *path, const char *method, json_t *params,
		    uint64_t timeout_ns, json_t **ret_result,
		    struct error *error);

/* The same on a loop, many requests over one connection. */
struct control_client;

struct control_client_handler {
	/*
	 * The server is gone; the client may be destroyed here. All calls have
	 * been answered before.
	 */
	void (*closed)(void *owner, int reason);
	void *owner;
};

struct control_answer {
	/*
	 * @result: an object, valid during the call; NULL when @error is set.
	 */
	void (*done)(struct control_answer *answer, const json_t *result,
		     const struct error *error);
	void *owner;
	/* The client's: */
	struct loop_timer timer;
	struct control_client *client;
	struct list node;
	uint64_t id;
	int refusal;
};

int control_client_create(struct loop *loop, const char *path,
			  const struct control_client_handler *handler,
			  struct control_client **ret_client);
/*
 * Sends a request; @answer lives until its done(), which is never called from
 * inside this call. Owns: takes @params (NULL: none).
 */
void control_client_call(struct control_client *client,
			 struct control_answer *answer, const char *method,
			 json_t *params, uint64_t timeout_ns);
/* Answers what waits with -ECANCELED, from inside. NULL is fine. */
void control_client_destroy(struct control_client *client);

#endif
