/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h - one request after another to forebayd's REST API, by unix socket.
 */
#ifndef FOREBAY_CLI_CLIENT_H
#define FOREBAY_CLI_CLIENT_H

#include <jansson.h>
#include <stddef.h>

struct client;
struct error;

#define CLIENT_ANSWER_MAX_BYTES (16u << 20)

enum client_method { CLIENT_GET = 0, CLIENT_POST, CLIENT_DELETE };

struct client_request {
	enum client_method method;
	const char *path; /* "/v1/pools" */
	const json_t *body; /* NULL: none */
	const char *file; /* of a POST: this file is the body; NULL: none */
	/* "disk", "d1": named in a refusal that names nothing itself; NULL:
	 * forebayd. */
	const char *subject_kind;
	const char *subject_name;
	/* Called about once a second while the answer isn't there; NULL: not.
	 */
	void (*waiting)(void *context);
	void *waiting_context;
};

struct client_answer {
	long status;
	char *bytes; /* exactly what came, NUL-terminated */
	size_t byte_count;
	json_t *json; /* the same parsed; NULL when it isn't JSON */
};

/*
 * Connects to nothing yet. @root: the host's folder, or NULL for the system's.
 * Returns: 0, or -EINVAL (the socket's path would be too long), -ENOMEM.
 */
int client_open(const char *root, struct client **ret_client,
		struct error *error);
void client_close(struct client *client);

/*
 * Returns: 0 for an answer of status 2xx. Otherwise a negative errno (see
 * exit_code.h) with @error in the form "OBJECT: what; what to do".
 * Owns: the caller ends @ret_answer with client_answer_release().
 */
int client_call(struct client *client, const struct client_request *request,
		struct client_answer *ret_answer, struct error *error);
/* Where the last refused call's body is wrong: a JSON pointer that lives until
 * the next call; NULL when the API didn't say. */
const char *client_refused_at(const struct client *client);
void client_answer_release(struct client_answer *answer);

/* "/v1/disks/NAME/flush" with NAME escaped. Owns: the caller frees it. */
char *client_path(const char *collection, const char *name, const char *rest);

#endif
