/* SPDX-License-Identifier: Apache-2.0 */
/* policy.c - forebay policy. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "client.h"
#include "error.h"
#include "nouns.h"
#include "output.h"
#include "policy_file.h"
#include "table.h"
#include "yaml_read.h"

/* "throttle, cache" of a policy's filters, as a new string value. */
static json_t *join_filters(const json_t *filters)
{
	json_t *text = json_string("");

	for (size_t i = 0; i < json_array_size(filters); i++) {
		const char *before = json_string_value(text);
		const char *name = json_string_value(
			json_object_get(json_array_get(filters, i), "filter"));
		json_t *longer =
			json_sprintf("%s%s%s", before ? before : "",
				     i > 0 ? ", " : "", name ? name : "?");

		json_decref(text);
		text = longer;
	}
	return text;
}

static int present_created(const json_t *policy)
{
	json_t *filters = join_filters(json_object_get(policy, "filters"));
	const char *names = json_string_value(filters);

	(void)printf("policy %s: created, %s\n",
		     json_string_value(json_object_get(policy, "name")),
		     names && *names ? names : "without filters");
	json_decref(filters);
	return 0;
}

/* Puts the place in the file before what forebayd said about it. */
static int add_place(const struct yaml_source *source,
		     const struct client *client, struct error *error)
{
	const char *pointer = client_refused_at(client);
	struct error plain = *error;

	if (!pointer)
		return error->code;
	return error_set(error, plain.code, "%s:%d: %s", source->name,
			 yaml_source_line(source, pointer), plain.message);
}

static int present_updated(const json_t *policy)
{
	const json_t *untold = json_object_get(policy, "untold");

	(void)printf("policy %s: updated, version %lld\n",
		     json_string_value(json_object_get(policy, "name")),
		     json_integer_value(json_object_get(policy, "version")));
	for (size_t i = 0; i < json_array_size(untold); i++) {
		const json_t *entry = json_array_get(untold, i);
		const char *disk =
			json_string_value(json_object_get(entry, "disk"));
		const char *reason =
			json_string_value(json_object_get(entry, "reason"));

		(void)printf("  disk %s has the version before: %s; restart it "
			     "with 'forebay disk restart %s'\n",
			     disk, reason, disk);
	}
	return 0;
}

/* Posts the file that was read to @path. */
static int post_file(const struct invocation *invocation, struct client *client,
		     const struct yaml_source *source, const char *path,
		     int (*present)(const json_t *policy), struct error *error)
{
	const struct client_request request = {
		.method = CLIENT_POST,
		.path = path,
		.body = source->value,
		.subject_kind = "policy",
		.subject_name = json_string_value(
			json_object_get(source->value, "name")),
	};
	struct client_answer answer;
	int ret = client_call(client, &request, &answer, error);

	if (ret < 0)
		return add_place(source, client, error);
	ret = output_answer(invocation, &answer, present, error);
	client_answer_release(&answer);
	return ret;
}

int policy_create(const struct invocation *invocation, struct client *client,
		  struct error *error)
{
	struct yaml_source source;
	int ret =
		policy_file_read(invocation->flags[FLAG_FILE], &source, error);

	if (ret < 0)
		return ret;
	ret = post_file(invocation, client, &source, "/v1/policies",
			present_created, error);
	yaml_source_close(&source);
	return ret;
}

int policy_update(const struct invocation *invocation, struct client *client,
		  struct error *error)
{
	struct yaml_source source;
	char *path;
	int ret =
		policy_file_read(invocation->flags[FLAG_FILE], &source, error);

	if (ret < 0)
		return ret;
	path = client_path(
		"policies",
		json_string_value(json_object_get(source.value, "name")),
		"update");
	ret = path ? post_file(invocation, client, &source, path,
			       present_updated, error)
		   : error_set(error, -ENOMEM, "out of memory");
	free(path);
	yaml_source_close(&source);
	return ret;
}

static int present_list(const json_t *list)
{
	static const struct column columns[] = {
		{"policy", UNIT_TEXT},
		{"version", UNIT_COUNT},
		{"disks", UNIT_COUNT},
		{"filters", UNIT_TEXT},
	};
	const json_t *policies = json_object_get(list, "items");
	struct table *table = table_create(columns, 4);

	for (size_t i = 0; i < json_array_size(policies); i++) {
		const json_t *policy = json_array_get(policies, i);
		const json_t *disks = json_object_get(policy, "disks");
		json_t *filters =
			join_filters(json_object_get(policy, "filters"));

		table_row(table, json_pack("[O?O?Io?]",
					   json_object_get(policy, "name"),
					   json_object_get(policy, "version"),
					   (json_int_t)json_array_size(disks),
					   filters));
	}
	return table_finish_list(
		table, "no policies; make one with 'forebay policy create'");
}

int policy_list(const struct invocation *invocation, struct client *client,
		struct error *error)
{
	return output_get(invocation, client, "/v1/policies", present_list,
			  error);
}
