/* SPDX-License-Identifier: Apache-2.0 */
/* pool.c - forebay pool. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "arguments.h"
#include "backend_uri.h"
#include "client.h"
#include "error.h"
#include "nouns.h"
#include "output.h"
#include "table.h"

static int present_created(const json_t *pool)
{
	const char *reason = json_string_value(json_object_get(pool, "reason"));

	(void)printf("pool %s: created, %s%s%s\n",
		     json_string_value(json_object_get(pool, "name")),
		     json_string_value(json_object_get(pool, "state")),
		     reason ? ": " : "", reason ? reason : "");
	return 0;
}

static json_t *absolute_paths(const struct invocation *invocation)
{
	json_t *paths = json_array();

	for (size_t i = 1; i < invocation->operand_count; i++) {
		char *path = backend_uri_absolute(invocation->operands[i]);

		if (json_array_append_new(paths, json_string(path)) < 0) {
			json_decref(paths);
			paths = NULL;
		}
		free(path);
	}
	return paths;
}

int pool_create(const struct invocation *invocation, struct client *client,
		struct error *error)
{
	json_t *body = json_pack("{s:s, s:o}", "name", invocation->operands[0],
				 "paths", absolute_paths(invocation));
	struct client_request request = {
		.method = CLIENT_POST,
		.path = "/v1/pools",
		.body = body,
		.subject_kind = "pool",
		.subject_name = invocation->operands[0],
	};
	struct client_answer answer;
	int ret;

	if (!body)
		return error_set(error, -EINVAL,
				 "pool: a name or path isn't UTF-8; use "
				 "another");
	ret = client_call(client, &request, &answer, error);
	json_decref(body);
	if (ret < 0)
		return ret;
	ret = output_answer(invocation, &answer, present_created, error);
	client_answer_release(&answer);
	return ret;
}

/* Returns: a new string, or NULL when forebay-cached didn't say. */
static json_t *join_names(const json_t *names)
{
	json_t *joined = json_is_array(names) ? json_string("") : NULL;

	for (size_t i = 0; i < json_array_size(names); i++) {
		json_t *more = json_sprintf(
			"%s%s%s", json_string_value(joined), i > 0 ? " " : "",
			json_string_value(json_array_get(names, i)));

		json_decref(joined);
		joined = more;
	}
	if (joined && json_string_length(joined) == 0) {
		json_decref(joined);
		return NULL;
	}
	return joined;
}

/* Something is wrong with it, or with one of its directories. */
static bool is_noted(const json_t *pool)
{
	const json_t *paths = json_object_get(pool, "paths");
	bool noted = json_is_string(json_object_get(pool, "reason"));

	for (size_t i = 0; i < json_array_size(paths); i++)
		noted |= json_is_string(
			json_object_get(json_array_get(paths, i), "reason"));
	return noted;
}

static int present_one(const json_t *pool)
{
	static const struct column columns[] = {
		{"path", UNIT_TEXT},	{"state", UNIT_STATE},
		{"size", UNIT_SIZE},	{"free", UNIT_SIZE},
		{"granted", UNIT_SIZE}, {"disks", UNIT_TEXT},
		{"note", UNIT_TEXT},
	};
	const json_t *paths = json_object_get(pool, "paths");
	bool ready = !json_is_string(json_object_get(pool, "reason"));
	struct table *table = table_create(columns, is_noted(pool) ? 7 : 6);

	for (size_t i = 0; i < json_array_size(paths); i++) {
		const json_t *path = json_array_get(paths, i);
		const json_t *reason = json_object_get(path, "reason");
		const char *state = ready ? "ready" : "pending";

		if (json_is_string(reason))
			state = "missing";
		else
			reason = json_object_get(pool, "reason");
		table_row(table,
			  json_pack("[O?s O?O?O?o?O?]",
				    json_object_get(path, "path"), state,
				    json_object_get(path, "size_bytes"),
				    json_object_get(path, "free_bytes"),
				    json_object_get(path, "granted_bytes"),
				    join_names(json_object_get(path, "disks")),
				    reason));
	}
	return table_finish_list(table, "the pool has no directory");
}

/* Who has what of each directory. */
static int present_shares(const json_t *pool)
{
	static const struct column columns[] = {
		{"disk", UNIT_TEXT},	 {"state", UNIT_STATE},
		{"reserved", UNIT_SIZE}, {"granted", UNIT_SIZE},
		{"used", UNIT_SIZE},	 {"limit", UNIT_SIZE},
		{"path", UNIT_TEXT},
	};
	const json_t *paths = json_object_get(pool, "paths");
	struct table *table = NULL;

	for (size_t i = 0; i < json_array_size(paths); i++) {
		const json_t *path = json_array_get(paths, i);
		const json_t *shares = json_object_get(path, "shares");

		for (size_t j = 0; j < json_array_size(shares); j++) {
			const json_t *share = json_array_get(shares, j);

			if (!table)
				table = table_create(columns, 7);
			table_row(
				table,
				json_pack(
					"[O?O?O?O?O?O?O?]",
					json_object_get(share, "disk"),
					json_object_get(share, "state"),
					json_object_get(share,
							"reserved_bytes"),
					json_object_get(share, "granted_bytes"),
					json_object_get(share, "used_bytes"),
					json_object_get(share, "limit_bytes"),
					json_object_get(path, "path")));
		}
	}
	if (!table)
		return 0;
	(void)putchar('\n');
	return table_finish_list(table, "");
}

static int present_whole(const json_t *pool)
{
	int ret = present_one(pool);

	return ret < 0 ? ret : present_shares(pool);
}

int pool_show(const struct invocation *invocation, struct client *client,
	      struct error *error)
{
	const char *name = invocation->operands[0];
	char *path = client_path("pools", name, NULL);
	struct client_request request = {
		.method = CLIENT_GET,
		.path = path,
		.subject_kind = "pool",
		.subject_name = name,
	};
	struct client_answer answer;
	int ret;

	if (!path)
		return error_set(error, -ENOMEM, "forebay: out of memory");
	ret = client_call(client, &request, &answer, error);
	free(path);
	if (ret < 0)
		return ret;
	ret = output_answer(invocation, &answer, present_whole, error);
	client_answer_release(&answer);
	return ret;
}

static void add_pool(struct table *table, const json_t *pool)
{
	const json_t *paths = json_object_get(pool, "paths");

	for (size_t i = 0; i < json_array_size(paths); i++) {
		const json_t *path = json_array_get(paths, i);
		const json_t *missing = json_object_get(path, "reason");
		bool there = !json_is_string(missing);

		table_row(table,
			  json_pack("[O?o?O?O?O?O?]",
				    json_object_get(pool, "name"),
				    there ? json_incref(json_object_get(
						    pool, "state"))
					  : json_string("missing"),
				    json_object_get(path, "size_bytes"),
				    json_object_get(path, "free_bytes"),
				    json_object_get(path, "path"),
				    there ? json_object_get(pool, "reason")
					  : missing));
	}
}

static int present_list(const json_t *list)
{
	static const struct column columns[] = {
		{"pool", UNIT_TEXT}, {"state", UNIT_STATE}, {"size", UNIT_SIZE},
		{"free", UNIT_SIZE}, {"path", UNIT_TEXT},   {"note", UNIT_TEXT},
	};
	const json_t *pools = json_object_get(list, "items");
	bool noted = false;
	struct table *table;

	for (size_t i = 0; i < json_array_size(pools); i++)
		noted |= is_noted(json_array_get(pools, i));
	/* The last column is for what is wrong; mostly nothing is. */
	table = table_create(columns, noted ? 6 : 5);

	for (size_t i = 0; i < json_array_size(pools); i++)
		add_pool(table, json_array_get(pools, i));
	return table_finish_list(
		table, "no pools; make one with 'forebay pool create'");
}

int pool_list(const struct invocation *invocation, struct client *client,
	      struct error *error)
{
	return output_get(invocation, client, "/v1/pools", present_list, error);
}
