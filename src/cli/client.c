/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.c - libcurl on the socket, and every way in which a call can fail put
 * into one line.
 *
 * Nothing of the environment that redirects HTTP (proxies) applies: the peer is
 * always the process behind the unix socket.
 */
#include "client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "error.h"
#include "exit_code.h"

#define SYSTEM_SOCKET "/run/forebay/forebayd.sock"
#define CONNECT_DEADLINE_MS 5000L
/* forebayd answers within 60 s, with 202 where the work isn't done by then. */
#define ANSWER_DEADLINE_MS 120000L

struct client {
	CURL *curl;
	char *root; /* NULL: the system's */
	char *socket;
	json_t *problem; /* of the last refused call, or NULL */
};

struct transfer {
	CURL *curl;
	struct curl_slist *headers;
	char *body;
	FILE *file; /* or NULL */
	const struct client_request *request;
	struct client_answer answer;
	int code; /* why on_bytes() stopped the transfer */
};

void client_answer_release(struct client_answer *answer)
{
	free(answer->bytes);
	json_decref(answer->json);
	*answer = (struct client_answer){0};
}

void client_close(struct client *client)
{
	if (!client)
		return;
	curl_easy_cleanup(client->curl);
	free(client->root);
	free(client->socket);
	json_decref(client->problem);
	free(client);
}

int client_open(const char *root, struct client **ret_client,
		struct error *error)
{
	struct client *client = calloc(1, sizeof(*client));
	const size_t limit = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	if (!client)
		return error_set(error, -ENOMEM, "forebay: out of memory");
	client->curl = curl_easy_init();
	if (root) {
		client->root = strdup(root);
		if (asprintf(&client->socket, "%s/run/forebayd.sock", root) < 0)
			client->socket = NULL;
	} else {
		client->socket = strdup(SYSTEM_SOCKET);
	}
	if (!client->curl || !client->socket || (root && !client->root)) {
		client_close(client);
		return error_set(error, -ENOMEM, "forebay: out of memory");
	}
	if (strlen(client->socket) > limit) {
		error_set(error, -EINVAL,
			  "%s: the socket's path has %zu bytes, a socket takes "
			  "%zu; choose a shorter --root",
			  client->socket, strlen(client->socket), limit);
		client_close(client);
		return -EINVAL;
	}
	*ret_client = client;
	return 0;
}

char *client_path(const char *collection, const char *name, const char *rest)
{
	char *escaped = curl_easy_escape(NULL, name, 0);
	char *path = NULL;

	if (escaped && asprintf(&path, "/v1/%s/%s%s%s", collection, escaped,
				rest ? "/" : "", rest ? rest : "") < 0)
		path = NULL;
	curl_free(escaped);
	return path;
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *context)
{
	struct transfer *transfer = context;
	struct client_answer *answer = &transfer->answer;
	size_t more = size * count;
	char *grown;

	if (more > CLIENT_ANSWER_MAX_BYTES - answer->byte_count) {
		transfer->code = -EMSGSIZE;
		return CURL_WRITEFUNC_ERROR;
	}
	grown = realloc(answer->bytes, answer->byte_count + more + 1);
	if (!grown) {
		transfer->code = -ENOMEM;
		return CURL_WRITEFUNC_ERROR;
	}
	memcpy(grown + answer->byte_count, bytes, more);
	answer->bytes = grown;
	answer->byte_count += more;
	grown[answer->byte_count] = '\0';
	return more;
}

static int on_waiting(void *context, curl_off_t down_total, curl_off_t down,
		      curl_off_t up_total, curl_off_t up)
{
	const struct client_request *request = context;

	(void)down_total;
	(void)down;
	(void)up_total;
	(void)up;
	request->waiting(request->waiting_context);
	return 0;
}

static int set_body(struct transfer *transfer)
{
	struct curl_slist *more;

	if (!transfer->request->body)
		transfer->body = strdup("");
	else
		transfer->body =
			json_dumps(transfer->request->body, JSON_COMPACT);
	/* Else libcurl asks the server's leave before a long body. */
	transfer->headers = curl_slist_append(NULL, "Expect:");
	more = curl_slist_append(transfer->headers,
				 "Content-Type: application/json");
	if (!transfer->body || !transfer->headers || !more)
		return -ENOMEM;
	curl_easy_setopt(transfer->curl, CURLOPT_POST, 1L);
	curl_easy_setopt(transfer->curl, CURLOPT_POSTFIELDS, transfer->body);
	curl_easy_setopt(transfer->curl, CURLOPT_POSTFIELDSIZE,
			 (long)strlen(transfer->body));
	curl_easy_setopt(transfer->curl, CURLOPT_HTTPHEADER, transfer->headers);
	return 0;
}

/* Streamed: it is not taken into memory. */
static int set_file(struct transfer *transfer)
{
	struct curl_slist *more;

	transfer->file = fopen(transfer->request->file, "re");
	if (!transfer->file || fseeko(transfer->file, 0, SEEK_END) < 0)
		return -errno;
	transfer->headers = curl_slist_append(NULL, "Expect:");
	more = curl_slist_append(transfer->headers,
				 "Content-Type: application/octet-stream");
	if (!transfer->headers || !more)
		return -ENOMEM;
	curl_easy_setopt(transfer->curl, CURLOPT_POST, 1L);
	curl_easy_setopt(transfer->curl, CURLOPT_POSTFIELDSIZE_LARGE,
			 (curl_off_t)ftello(transfer->file));
	rewind(transfer->file);
	curl_easy_setopt(transfer->curl, CURLOPT_READDATA, transfer->file);
	curl_easy_setopt(transfer->curl, CURLOPT_HTTPHEADER, transfer->headers);
	return 0;
}

static int set_method(struct transfer *transfer)
{
	switch (transfer->request->method) {
	case CLIENT_GET:
		curl_easy_setopt(transfer->curl, CURLOPT_HTTPGET, 1L);
		return 0;
	case CLIENT_DELETE:
		curl_easy_setopt(transfer->curl, CURLOPT_CUSTOMREQUEST,
				 "DELETE");
		return 0;
	case CLIENT_POST:
		return transfer->request->file ? set_file(transfer)
					       : set_body(transfer);
	}
	return -EINVAL;
}

static int set_up(struct client *client, struct transfer *transfer)
{
	CURL *curl = client->curl;
	char *url = NULL;
	CURLcode taken;

	curl_easy_reset(curl);
	if (asprintf(&url, "http://localhost%s", transfer->request->path) < 0)
		return -ENOMEM;
	taken = curl_easy_setopt(curl, CURLOPT_URL, url);
	free(url);
	if (taken != CURLE_OK)
		return -ENOMEM;
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, client->socket);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "forebay/" FOREBAY_VERSION);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_DEADLINE_MS);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, ANSWER_DEADLINE_MS);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
	if (transfer->request->waiting) {
		curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
		curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_waiting);
		curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer->request);
	}
	return set_method(transfer);
}

static int explain_no_connection(const struct client *client,
				 struct error *error)
{
	long os_errno = 0;

	curl_easy_getinfo(client->curl, CURLINFO_OS_ERRNO, &os_errno);
	if (os_errno == EACCES)
		return error_set(error, -ECONNREFUSED,
				 "forebayd: no permission to use %s; run as "
				 "root or join the group that owns it",
				 client->socket);
	return error_set(error, -ECONNREFUSED,
			 "forebayd: doesn't answer on %s%s%s; start it with "
			 "'forebayd%s%s'",
			 client->socket, os_errno ? ": " : "",
			 os_errno ? strerror((int)os_errno) : "",
			 client->root ? " --root " : "",
			 client->root ? client->root : "");
}

static int explain_transport(const struct client *client,
			     const struct transfer *transfer, CURLcode result,
			     struct error *error)
{
	if (transfer->code == -EMSGSIZE)
		return error_set(error, -EMSGSIZE,
				 "forebayd: the answer is longer than %u MiB; "
				 "look in its log",
				 CLIENT_ANSWER_MAX_BYTES >> 20);
	if (transfer->code == -ENOMEM || result == CURLE_OUT_OF_MEMORY)
		return error_set(error, -ENOMEM, "forebay: out of memory");
	if (result == CURLE_COULDNT_CONNECT)
		return explain_no_connection(client, error);
	if (result == CURLE_OPERATION_TIMEDOUT)
		return error_set(error, -ETIMEDOUT,
				 "forebayd: no answer on %s in time; the work "
				 "may still be under way: see 'forebay status'",
				 client->socket);
	return error_set(error, -ECONNREFUSED,
			 "forebayd: the connection on %s ended before the "
			 "answer (%s); see whether it runs, and its log",
			 client->socket, curl_easy_strerror(result));
}

/* "disk d1" and "d1" need not be said again; nor a path within a URI. */
static int names_object(const char *detail, const char *object)
{
	const char *name = strchr(object, ' ');

	if (strstr(detail, object))
		return 1;
	return name && name[1] == '/' && strstr(detail, name + 1) != NULL;
}

/* Whom a refusal is about, when it doesn't say: the request's own subject. */
static void describe_subject(const struct client_request *request, char *buffer,
			     size_t buffer_bytes)
{
	(void)snprintf(buffer, buffer_bytes, "%s%s%s",
		       request->subject_kind ? request->subject_kind
					     : "forebayd",
		       request->subject_kind ? " " : "",
		       request->subject_kind ? request->subject_name : "");
}

/* RFC 7807 with our members: object, detail, hint. */
static int explain_problem(const struct transfer *transfer, struct error *error)
{
	const struct client_answer *answer = &transfer->answer;
	int code = exit_code_errno_from_http(answer->status);
	const json_t *problem = answer->json;
	const char *object =
		json_string_value(json_object_get(problem, "object"));
	const char *detail =
		json_string_value(json_object_get(problem, "detail"));
	const char *hint = json_string_value(json_object_get(problem, "hint"));
	char subject[128];

	if (!detail)
		return error_set(error, -EPROTO,
				 "forebayd: answered status %ld without saying "
				 "why; look in its log",
				 answer->status);
	describe_subject(transfer->request, subject, sizeof(subject));
	if (!object)
		object = subject;
	if (names_object(detail, object))
		object = NULL;
	return error_set(error, code, "%s%s%s%s%s", object ? object : "",
			 object ? ": " : "", detail, hint ? "; " : "",
			 hint ? hint : "");
}

static int conclude(const struct client *client, struct transfer *transfer,
		    CURLcode result, struct error *error)
{
	struct client_answer *answer = &transfer->answer;

	if (result != CURLE_OK)
		return explain_transport(client, transfer, result, error);
	curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE,
			  &answer->status);
	if (!answer->bytes)
		answer->bytes = calloc(1, 1);
	if (!answer->bytes)
		return error_set(error, -ENOMEM, "forebay: out of memory");
	answer->json = json_loadb(answer->bytes, answer->byte_count, 0, NULL);
	if (answer->status < 200 || answer->status > 299)
		return explain_problem(transfer, error);
	return 0;
}

int client_call(struct client *client, const struct client_request *request,
		struct client_answer *ret_answer, struct error *error)
{
	struct transfer transfer = {.curl = client->curl, .request = request};
	int ret = set_up(client, &transfer);

	json_decref(client->problem);
	client->problem = NULL;
	if (ret < 0 && ret != -ENOMEM)
		(void)error_set(error, ret, "%s: cannot be read: %s",
				request->file, strerror(-ret));
	else if (ret < 0)
		(void)error_set(error, ret, "forebay: out of memory");
	else
		ret = conclude(client, &transfer,
			       curl_easy_perform(client->curl), error);
	curl_slist_free_all(transfer.headers);
	free(transfer.body);
	if (transfer.file)
		(void)fclose(transfer.file);
	if (ret < 0) {
		client->problem = json_incref(transfer.answer.json);
		client_answer_release(&transfer.answer);
	} else {
		*ret_answer = transfer.answer;
	}
	return ret;
}

const char *client_refused_at(const struct client *client)
{
	return json_string_value(json_object_get(client->problem, "pointer"));
}
