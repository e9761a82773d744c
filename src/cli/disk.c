/* SPDX-License-Identifier: Apache-2.0 */
/* disk.c - forebay disk; the tables are in disk_view.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "backend_uri.h"
#include "client.h"
#include "disk_view.h"
#include "disk_wait.h"
#include "error.h"
#include "nouns.h"
#include "output.h"
#include "quantity.h"

#define NS_PER_SECOND 1000000000ull

static int out_of_memory(struct error *error)
{
	return error_set(error, -ENOMEM, "forebay: out of memory");
}

/* "/v1/disks/NAME" with @rest behind it; the caller frees it. */
static char *path_of(const struct invocation *invocation, const char *rest)
{
	return client_path("disks", invocation->operands[0], rest);
}

static int call_and_show(const struct invocation *invocation,
			 struct client *client,
			 const struct client_request *request,
			 output_present_fn present, struct error *error)
{
	struct client_request about_disk = *request;
	struct client_answer answer;
	int ret;

	if (!request->path)
		return out_of_memory(error);
	about_disk.subject_kind = "disk";
	about_disk.subject_name = invocation->operands[0];
	ret = client_call(client, &about_disk, &answer, error);
	if (ret < 0)
		return ret;
	ret = output_answer(invocation, &answer, present, error);
	client_answer_release(&answer);
	return ret;
}

/* "vhost-user-blk,nbd" as an array; forebayd says which words it knows. */
static json_t *split_exports(const char *text)
{
	json_t *kinds = json_array();

	while (kinds) {
		size_t length = strcspn(text, ",");

		if (json_array_append_new(kinds, json_stringn(text, length)) <
		    0) {
			json_decref(kinds);
			return NULL;
		}
		if (text[length] == '\0')
			break;
		text += length + 1;
	}
	return kinds;
}

static int add_size(const struct invocation *invocation, json_t *body,
		    struct error *error)
{
	const char *text = invocation->flags[FLAG_SIZE];
	uint64_t bytes = 0;

	if (!text)
		return 0;
	if (quantity_parse_size(text, &bytes) < 0)
		return error_set(error, -EINVAL,
				 "--size: '%s' is no size; write digits and "
				 "KiB, MiB, GiB or TiB, for example 20GiB",
				 text);
	if (json_object_set_new(body, "size_bytes",
				json_integer((json_int_t)bytes)) < 0)
		return out_of_memory(error);
	return 0;
}

/* A number that forebayd checks; here only that it is one. */
static int add_number(const struct invocation *invocation, unsigned int flag,
		      const char *member, json_t *body, struct error *error)
{
	const char *text = invocation->flags[flag];
	unsigned long number;
	char *end;

	if (!text)
		return 0;
	errno = 0;
	number = strtoul(text, &end, 10);
	if (errno != 0 || *end || text[0] < '0' || text[0] > '9' ||
	    number > UINT32_MAX)
		return error_set(error, -EINVAL, "--%s: '%s' is no number",
				 grammar_flags[flag].name, text);
	if (json_object_set_new(body, member,
				json_integer((json_int_t)number)) < 0)
		return out_of_memory(error);
	return 0;
}

static int add_device(const struct invocation *invocation, json_t *body,
		      struct error *error)
{
	int ret = add_number(invocation, FLAG_QUEUES, "queues", body, error);

	if (ret == 0)
		ret = add_number(invocation, FLAG_DEVICE_REVISION,
				 "device_revision", body, error);
	if (ret == 0 && invocation->flags[FLAG_READ_ONLY] &&
	    json_object_set_new(body, "read_only", json_true()) < 0)
		ret = out_of_memory(error);
	return ret;
}

/* forebayd has another working directory. A new value. */
static json_t *absolute(const char *path)
{
	char *whole = realpath(path, NULL);
	json_t *text = json_string(whole ? whole : path);

	free(whole);
	return text;
}

static int fill_body(const struct invocation *invocation, json_t *body,
		     struct error *error)
{
	const char *policy = invocation->flags[FLAG_POLICY];
	const char *exports = invocation->flags[FLAG_EXPORT];
	char *backend = backend_uri_from_text(invocation->flags[FLAG_BACKEND]);
	json_t *uri = json_string(backend);

	free(backend);
	if (json_object_set_new(body, "name",
				json_string(invocation->operands[0])) < 0 ||
	    json_object_set_new(body, "backend", uri) < 0 ||
	    (policy &&
	     json_object_set_new(body, "policy", json_string(policy)) < 0) ||
	    (invocation->flags[FLAG_ID] &&
	     json_object_set_new(body, "id",
				 json_string(invocation->flags[FLAG_ID])) <
		     0) ||
	    (invocation->flags[FLAG_SIDECAR] &&
	     json_object_set_new(body, "sidecar",
				 absolute(invocation->flags[FLAG_SIDECAR])) <
		     0) ||
	    (exports &&
	     json_object_set_new(body, "exports", split_exports(exports)) < 0))
		return error_set(error, -EINVAL,
				 "disk: a name or path isn't UTF-8; use "
				 "another");
	if (add_size(invocation, body, error) < 0)
		return error->code;
	return add_device(invocation, body, error);
}

int disk_create(const struct invocation *invocation, struct client *client,
		struct error *error)
{
	json_t *body = json_object();
	struct client_request request = {
		.method = CLIENT_POST, .path = "/v1/disks", .body = body};
	int ret = fill_body(invocation, body, error);

	if (ret == 0)
		ret = call_and_show(invocation, client, &request,
				    disk_view_created, error);
	json_decref(body);
	return ret;
}

int disk_list(const struct invocation *invocation, struct client *client,
	      struct error *error)
{
	return output_get(invocation, client, "/v1/disks", disk_view_list,
			  error);
}

int disk_show(const struct invocation *invocation, struct client *client,
	      struct error *error)
{
	char *path = path_of(invocation, NULL);
	struct client_request request = {.method = CLIENT_GET, .path = path};
	int ret = call_and_show(invocation, client, &request, disk_view_show,
				error);

	free(path);
	return ret;
}

int disk_stats(const struct invocation *invocation, struct client *client,
	       struct error *error)
{
	char *path = path_of(invocation, "stats");
	struct client_request request = {.method = CLIENT_GET, .path = path};
	int ret = call_and_show(invocation, client, &request, disk_view_stats,
				error);

	free(path);
	return ret;
}

int disk_advise(const struct invocation *invocation, struct client *client,
		struct error *error)
{
	char *path = path_of(invocation, "advice");
	struct client_request request = {.method = CLIENT_GET, .path = path};
	int ret = call_and_show(invocation, client, &request, disk_view_advice,
				error);

	free(path);
	return ret;
}

int disk_open(const struct invocation *invocation, struct client *client,
	      struct error *error)
{
	static const struct {
		unsigned int flag;
		const char *word;
	} words[] = {
		{FLAG_INCOMING, "incoming=true"},
		{FLAG_DROP_CLEAN, "drop_clean=true"},
		{FLAG_DISCARD_DIRTY, "discard_dirty=true"},
	};
	char verb[80] = "open";

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t used = strlen(verb);

		if (invocation->flags[words[i].flag])
			(void)snprintf(verb + used, sizeof(verb) - used, "%s%s",
				       strchr(verb, '?') ? "&" : "?",
				       words[i].word);
	}
	return disk_wait(invocation, client, verb, NULL, error);
}

int disk_restart(const struct invocation *invocation, struct client *client,
		 struct error *error)
{
	return disk_wait(invocation, client, "restart", NULL, error);
}

int disk_resize(const struct invocation *invocation, struct client *client,
		struct error *error)
{
	json_t *body = json_object();
	int ret = add_size(invocation, body, error);

	if (ret == 0)
		ret = disk_wait(invocation, client, "resize", body, error);
	json_decref(body);
	return ret;
}

int disk_close(const struct invocation *invocation, struct client *client,
	       struct error *error)
{
	return disk_wait(invocation, client,
			 invocation->flags[FLAG_BACKGROUND]
				 ? "close?background=true"
				 : "close",
			 NULL, error);
}

static int add_timeout(const struct invocation *invocation, json_t *body,
		       struct error *error)
{
	const char *text = invocation->flags[FLAG_TIMEOUT];
	uint64_t ns = 0;

	if (!text)
		return 0;
	if (quantity_parse_duration(text, &ns) < 0 || ns < NS_PER_SECOND)
		return error_set(error, -EINVAL,
				 "--timeout: '%s' is no time; write a number "
				 "and s, min or h, for example 10min",
				 text);
	if (json_object_set_new(
		    body, "timeout_s",
		    json_integer((json_int_t)(ns / NS_PER_SECOND))) < 0)
		return out_of_memory(error);
	return 0;
}

int disk_flush(const struct invocation *invocation, struct client *client,
	       struct error *error)
{
	json_t *body;
	int ret;

	if (invocation->flags[FLAG_TIMEOUT] && !invocation->flags[FLAG_HOLD])
		return error_set(error, -EINVAL, "--timeout: only with --hold");
	if (invocation->flags[FLAG_HOLD]) {
		body = json_object();
		ret = add_timeout(invocation, body, error);
		if (ret == 0)
			ret = disk_hold_wait(invocation, client, body, error);
		json_decref(body);
		return ret;
	}
	return disk_wait(invocation, client, "flush", NULL, error);
}

int disk_release(const struct invocation *invocation, struct client *client,
		 struct error *error)
{
	return disk_wait(invocation, client, "release", NULL, error);
}

int disk_notify(const struct invocation *invocation, struct client *client,
		struct error *error)
{
	char *path = path_of(invocation, "notify");
	json_t *body = json_pack("{s:s}", "vm", invocation->operands[1]);
	struct client_request request = {
		.method = CLIENT_POST, .path = path, .body = body};
	int ret;

	if (!body)
		ret = error_set(error, -EINVAL, "STATE isn't UTF-8");
	else
		ret = call_and_show(invocation, client, &request,
				    disk_view_notified, error);
	json_decref(body);
	free(path);
	return ret;
}

int disk_history(const struct invocation *invocation, struct client *client,
		 struct error *error)
{
	char *path = path_of(invocation, "history");
	struct client_request request = {.method = CLIENT_GET, .path = path};
	int ret = call_and_show(invocation, client, &request, disk_view_history,
				error);

	free(path);
	return ret;
}

int disk_delete(const struct invocation *invocation, struct client *client,
		struct error *error)
{
	const char *backend = invocation->flags[FLAG_DELETE_BACKEND];
	const char *dirty = invocation->flags[FLAG_DISCARD_DIRTY];
	char *plain = path_of(invocation, NULL);
	char *path = NULL;
	struct client_request request = {.method = CLIENT_DELETE};
	int ret;

	if (plain &&
	    asprintf(&path, "%s%s%s%s%s", plain, backend || dirty ? "?" : "",
		     backend ? "delete_backend=true" : "",
		     backend && dirty ? "&" : "",
		     dirty ? "discard_dirty=true" : "") < 0)
		path = NULL;
	request.path = path;
	ret = call_and_show(invocation, client, &request, disk_view_deleted,
			    error);
	free(plain);
	free(path);
	return ret;
}

/* The values are a flag's; only letters, digits and dashes can be right. */
static int check_word(const char *flag, const char *word, struct error *error)
{
	if (!word ||
	    word[strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0')
		return 0;
	return error_set(error, -EINVAL,
			 "--%s: '%s' can't be right; see "
			 "'forebay disk xml --help'",
			 flag, word);
}

static char *xml_path(const struct invocation *invocation)
{
	const char *kind = invocation->flags[FLAG_EXPORT];
	const char *target = invocation->flags[FLAG_TARGET];
	char *plain = path_of(invocation, "xml");
	char *path = NULL;

	if (plain &&
	    asprintf(&path, "%s%s%s%s%s%s%s", plain, kind || target ? "?" : "",
		     kind ? "export=" : "", kind ? kind : "",
		     kind && target ? "&" : "", target ? "target=" : "",
		     target ? target : "") < 0)
		path = NULL;
	free(plain);
	return path;
}

int disk_xml(const struct invocation *invocation, struct client *client,
	     struct error *error)
{
	struct client_request request = {.method = CLIENT_GET,
					 .subject_kind = "disk",
					 .subject_name =
						 invocation->operands[0]};
	struct client_answer answer;
	char *path;
	int ret;

	if (invocation->flags[FLAG_OUTPUT])
		return error_set(error, -EINVAL,
				 "--output: disk xml prints XML only; leave it "
				 "out");
	ret = check_word("export", invocation->flags[FLAG_EXPORT], error);
	if (ret == 0)
		ret = check_word("target", invocation->flags[FLAG_TARGET],
				 error);
	if (ret < 0)
		return ret;
	path = xml_path(invocation);
	if (!path)
		return out_of_memory(error);
	request.path = path;
	ret = client_call(client, &request, &answer, error);
	free(path);
	if (ret < 0)
		return ret;
	(void)fputs(answer.bytes, stdout);
	client_answer_release(&answer);
	return 0;
}
