/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest.c - libmicrohttpd around the routes.
 *
 * A thread for each connection, so that a request that waits for a disk delays
 * nobody else. What comes in is foreign: sizes are limited here, words are
 * checked by the gate.
 */
#include "rest.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "file.h"
#include "log.h"
#include "routes.h"
#include "unix_address.h"

#define IDLE_TIMEOUT_S 60u
#define BACKLOG 64
#define SOCKET_MODE 0660

struct rest {
	struct agent *agent;
	struct MHD_Daemon *daemon;
	char *path;
};

/* One request while its body arrives. */
struct exchange {
	char *body;
	uint64_t body_bytes;
	int file_fd; /* of a body that is a file, else -1 */
	bool too_large;
	int failed; /* -errno of writing the file */
};

/* -- out ---------------------------------------------------------------- */

static enum MHD_Result send_text(struct MHD_Connection *connection, int status,
				 const char *type, char *text,
				 const char *allowed)
{
	struct MHD_Response *response;
	enum MHD_Result result;

	if (!text)
		return MHD_NO;
	response = MHD_create_response_from_buffer(strlen(text), text,
						   MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(text);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL,
				"no-store");
	if (allowed && allowed[0])
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW,
					allowed);
	result = MHD_queue_response(connection, (unsigned int)status, response);
	MHD_destroy_response(response);
	return result;
}

/* Takes @document. */
static enum MHD_Result send_document(struct MHD_Connection *connection,
				     int status, const char *type,
				     json_t *document, const char *allowed)
{
	char *text =
		document ? json_dumps(document,
				      JSON_INDENT(2) | JSON_REAL_PRECISION(6))
			 : NULL;

	json_decref(document);
	return send_text(connection, status, type, text, allowed);
}

static enum MHD_Result send_problem(struct MHD_Connection *connection,
				    const struct problem *problem,
				    const char *allowed)
{
	return send_document(connection, problem_http_status(problem->code),
			     "application/problem+json",
			     problem_document(problem), allowed);
}

/* -- in ----------------------------------------------------------------- */

static const char *query(const struct route_request *request, const char *name)
{
	return MHD_lookup_connection_value(request->owner,
					   MHD_GET_ARGUMENT_KIND, name);
}

static int parse_body(const struct exchange *exchange, json_t **ret_body,
		      struct problem *problem)
{
	json_error_t where;
	json_t *body;

	if (exchange->body_bytes == 0)
		return problem_set(problem, PROBLEM_BAD_JSON,
				   "the body is empty: a JSON object is "
				   "needed");
	body = json_loadb(exchange->body, exchange->body_bytes,
			  JSON_REJECT_DUPLICATES, &where);
	if (!body)
		return problem_set(problem, PROBLEM_BAD_JSON,
				   "line %d, column %d: %s", where.line,
				   where.column, where.text);
	*ret_body = body;
	return 0;
}

static int answer(struct route_request *request, const struct route *route,
		  const struct exchange *exchange, struct route_answer *answer,
		  struct problem *problem)
{
	json_auto_t *body = NULL;
	int result = 0;

	if (exchange->too_large)
		return problem_set(
			problem, PROBLEM_TOO_LARGE,
			"the body has more than %llu bytes",
			exchange->file_fd >= 0
				? (unsigned long long)REST_FILE_BYTES_MAX
				: REST_BODY_BYTES_MAX);
	if (exchange->failed < 0)
		return problem_internal(problem, "upload", exchange->failed);
	if (route->takes_body)
		result = parse_body(exchange, &body, problem);
	request->body = body;
	request->upload_fd = exchange->file_fd;
	return result < 0 ? result : route->handle(request, answer, problem);
}

static enum MHD_Result handle(struct rest *rest,
			      struct MHD_Connection *connection,
			      const char *url, const char *method,
			      const struct exchange *exchange)
{
	char object[256], allowed[ROUTE_METHODS_BYTES];
	struct route_request request = {
		.agent = rest->agent,
		.object = object,
		.query = query,
		.owner = connection,
	};
	struct route_answer out = {0};
	struct problem problem = {0};
	const struct route *route;
	int result = route_find(method, url, &route, object, allowed, &problem);

	if (result == 0)
		result = answer(&request, route, exchange, &out, &problem);
	if (result < 0) {
		log_info("%s %s: %s", method, url, problem.detail);
		json_decref(out.document);
		free(out.text);
		return send_problem(connection, &problem, allowed);
	}
	log_debug("%s %s", method, url);
	if (out.text)
		return send_text(connection, 200, out.text_type, out.text,
				 NULL);
	return send_document(connection, out.status ? out.status : 200,
			     "application/json", out.document, NULL);
}

static void take_file(struct exchange *exchange, const char *bytes,
		      size_t count)
{
	if (exchange->body_bytes + count > REST_FILE_BYTES_MAX)
		exchange->too_large = true;
	if (exchange->too_large || exchange->failed < 0)
		return;
	exchange->failed = file_write_all(exchange->file_fd, bytes, count);
	exchange->body_bytes += count;
}

static void take_body(struct exchange *exchange, const char *bytes,
		      size_t count)
{
	char *body;

	if (exchange->file_fd >= 0) {
		take_file(exchange, bytes, count);
		return;
	}
	if (exchange->too_large ||
	    exchange->body_bytes + count > REST_BODY_BYTES_MAX) {
		exchange->too_large = true;
		return;
	}
	body = realloc(exchange->body, exchange->body_bytes + count);
	if (!body) {
		exchange->too_large = true;
		return;
	}
	memcpy(body + exchange->body_bytes, bytes, count);
	exchange->body = body;
	exchange->body_bytes += count;
}

/* A file without a name, so that no kill leaves it behind. */
static int open_upload(struct exchange *exchange, const struct rest *rest,
		       const char *method, const char *url)
{
	char object[256], allowed[ROUTE_METHODS_BYTES];
	const struct route *route;
	struct problem ignored;
	struct host_path path;

	if (route_find(method, url, &route, object, allowed, &ignored) < 0 ||
	    !route->takes_file)
		return 0;
	path = host_lib(&rest->agent->host, "upload-XXXXXX");
	exchange->file_fd = mkostemp(path.text, O_CLOEXEC);
	if (exchange->file_fd < 0)
		return -errno;
	unlink(path.text);
	return 0;
}

static struct exchange *exchange_create(const struct rest *rest,
					const char *method, const char *url)
{
	struct exchange *exchange = calloc(1, sizeof(*exchange));

	if (!exchange)
		return NULL;
	exchange->file_fd = -1;
	exchange->failed = open_upload(exchange, rest, method, url);
	return exchange;
}

/*
 * libmicrohttpd: once for the head, once for each part of the body, and once
 * more with nothing. The parameters are its own.
 */
/* NOLINTNEXTLINE(readability-function-size) */
static enum MHD_Result on_request(void *owner,
				  struct MHD_Connection *connection,
				  const char *url, const char *method,
				  const char *version, const char *upload_data,
				  size_t *upload_data_size,
				  void **connection_owner)
{
	struct exchange *exchange = *connection_owner;

	(void)version;
	if (!exchange) {
		exchange = exchange_create(owner, method, url);
		*connection_owner = exchange;
		return exchange ? MHD_YES : MHD_NO;
	}
	if (*upload_data_size > 0) {
		take_body(exchange, upload_data, *upload_data_size);
		*upload_data_size = 0;
		return MHD_YES;
	}
	return handle(owner, connection, url, method, exchange);
}

static void on_completed(void *owner, struct MHD_Connection *connection,
			 void **connection_owner,
			 enum MHD_RequestTerminationCode code)
{
	struct exchange *exchange = *connection_owner;

	(void)owner;
	(void)connection;
	(void)code;
	if (!exchange)
		return;
	fd_close(exchange->file_fd);
	free(exchange->body);
	free(exchange);
	*connection_owner = NULL;
}

/* -- life --------------------------------------------------------------- */

/* A socket that nobody listens on yet. Returns: descriptor or -errno. */
static int bind_to(const char *path)
{
	_cleanup_fd_ int fd = -1;
	struct sockaddr_un address;
	int result = unix_address(path, &address);

	if (result < 0)
		return result;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    chmod(path, SOCKET_MODE) < 0)
		return -errno;
	return take_fd(&fd);
}

/*
 * Who finds the socket's file can connect: it gets its name when somebody
 * listens. The host's lock is ours, so one that is there is a dead forebayd's.
 */
static int listen_at(const char *path)
{
	char next[HOST_PATH_BYTES + 8];
	_cleanup_fd_ int fd = -1;

	(void)snprintf(next, sizeof(next), "%s.next", path);
	unlink(next);
	fd = bind_to(next);
	if (fd < 0)
		return fd;
	if (listen(fd, BACKLOG) < 0 || rename(next, path) < 0) {
		int result = -errno;

		unlink(next);
		return result;
	}
	return take_fd(&fd);
}

int rest_start(struct agent *agent, const char *path, struct rest **ret_rest,
	       struct error *error)
{
	struct rest *rest = calloc(1, sizeof(*rest));
	int fd;

	if (!rest)
		return error_set(error, -ENOMEM, "%s: out of memory", path);
	rest->agent = agent;
	rest->path = strdup(path);
	fd = listen_at(path);
	if (fd < 0 || !rest->path) {
		rest_stop(rest);
		return error_set(error, fd, "socket %s can't be made: %s", path,
				 strerror(-fd));
	}
	rest->daemon = MHD_start_daemon(
		MHD_USE_THREAD_PER_CONNECTION |
			MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
			MHD_USE_ITC,
		0, NULL, NULL, on_request, rest, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, REST_CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, IDLE_TIMEOUT_S,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
		MHD_OPTION_END);
	if (!rest->daemon) {
		fd_close(fd);
		rest_stop(rest);
		return error_set(error, -EIO, "no HTTP server on %s", path);
	}
	*ret_rest = rest;
	return 0;
}

void rest_stop(struct rest *rest)
{
	if (!rest)
		return;
	/* First, so that no new request comes. */
	if (rest->daemon)
		unlink(rest->path);
	if (rest->daemon)
		MHD_stop_daemon(rest->daemon);
	free(rest->path);
	free(rest);
}
