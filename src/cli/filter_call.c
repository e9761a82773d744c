/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter_call.c - forebay filter status, forebay filter call.
 *
 * An argument is a word, and the API wants a value of the type that the action
 * declares: so the installed filters are asked for that first. What isn't
 * declared goes as text, and the disk's process says what is wrong.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "client.h"
#include "disk_view.h"
#include "error.h"
#include "nouns.h"
#include "output.h"

#define FIRST_ARGUMENT 3u

static int out_of_memory(struct error *error)
{
	return error_set(error, -ENOMEM, "forebay: out of memory");
}

static int ask(const struct invocation *invocation, struct client *client,
	       struct client_request *request, output_present_fn present,
	       struct error *error)
{
	struct client_answer answer;
	int ret;

	request->subject_kind = "disk";
	request->subject_name = invocation->operands[0];
	ret = client_call(client, request, &answer, error);
	if (ret < 0)
		return ret;
	ret = output_answer(invocation, &answer, present, error);
	client_answer_release(&answer);
	return ret;
}

static bool is_filter_name(const char *word)
{
	return word[strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789-")] ==
	       '\0';
}

int filter_status(const struct invocation *invocation, struct client *client,
		  struct error *error)
{
	const char *filter =
		invocation->operand_count > 1 ? invocation->operands[1] : NULL;
	char *path = NULL;
	char *plain;
	int ret;

	if (filter && !is_filter_name(filter))
		return error_set(error, -EINVAL,
				 "filter status: '%s' is no filter's name; see "
				 "'forebay filter list'",
				 filter);
	plain = client_path("disks", invocation->operands[0], "filters");
	if (plain && asprintf(&path, "%s%s%s", plain, filter ? "?filter=" : "",
			      filter ? filter : "") < 0)
		path = NULL;
	free(plain);
	if (!path)
		return out_of_memory(error);
	ret = ask(invocation, client, &(struct client_request){.path = path},
		  disk_view_filters, error);
	free(path);
	return ret;
}

static const json_t *find(const json_t *list, const char *name)
{
	const json_t *item;
	size_t index;

	json_array_foreach(list, index, item)
	{
		const char *found =
			json_string_value(json_object_get(item, "name"));

		if (found && strcmp(found, name) == 0)
			return item;
	}
	return NULL;
}

/* Returns: the arguments that the action declares; NULL if it isn't known. */
static int declared(const struct invocation *invocation, struct client *client,
		    json_t **ret_arguments, struct error *error)
{
	const struct client_request request = {.path = "/v1/filters"};
	struct client_answer answer;
	const json_t *action;
	int ret = client_call(client, &request, &answer, error);

	if (ret < 0)
		return ret;
	action =
		find(json_object_get(find(json_object_get(answer.json, "items"),
					  invocation->operands[1]),
				     "actions"),
		     invocation->operands[2]);
	*ret_arguments = json_incref(json_object_get(action, "arguments"));
	client_answer_release(&answer);
	return 0;
}

/* Sizes and durations may be text, and are read where they are checked. */
static json_t *value_of(const json_t *argument, const char *text)
{
	const char *type = json_string_value(json_object_get(argument, "type"));
	char *end;
	long long number;

	if (type && strcmp(type, "boolean") == 0 && strcmp(text, "true") == 0)
		return json_true();
	if (type && strcmp(type, "boolean") == 0 && strcmp(text, "false") == 0)
		return json_false();
	if (type && strcmp(type, "string") != 0) {
		errno = 0;
		number = strtoll(text, &end, 10);
		if (errno == 0 && end != text && *end == '\0')
			return json_integer(number);
	}
	return json_string(text);
}

static int add_arguments(const struct invocation *invocation,
			 const json_t *known, json_t *arguments,
			 struct error *error)
{
	for (size_t i = FIRST_ARGUMENT; i < invocation->operand_count; i++) {
		const char *word = invocation->operands[i];
		const char *equals = strchr(word, '=');
		char name[64];

		if (!equals || equals == word ||
		    (size_t)(equals - word) >= sizeof(name))
			return error_set(error, -EINVAL,
					 "filter call: '%s' is no argument; "
					 "write NAME=VALUE",
					 word);
		(void)snprintf(name, sizeof(name), "%.*s", (int)(equals - word),
			       word);
		if (json_object_get(arguments, name))
			return error_set(error, -EINVAL,
					 "filter call: '%s' is given twice",
					 name);
		if (json_object_set_new(
			    arguments, name,
			    value_of(find(known, name), equals + 1)) < 0)
			return error_set(error, -EINVAL,
					 "filter call: '%s' isn't UTF-8", word);
	}
	return 0;
}

/* A result is the filter's own: as JSON, and nothing if there is none. */
static int present_result(const json_t *answer)
{
	const json_t *result = json_object_get(answer, "result");

	if (!result || json_is_null(result))
		return 0;
	if (json_is_string(result))
		return puts(json_string_value(result)) < 0 ? -EIO : 0;
	if (json_dumpf(result, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY) < 0)
		return -EIO;
	return putchar('\n') < 0 ? -EIO : 0;
}

int filter_call(const struct invocation *invocation, struct client *client,
		struct error *error)
{
	json_t *arguments = json_object();
	json_t *known = NULL;
	json_t *body = json_pack(
		"{s:s, s:s, s:O}", "filter", invocation->operands[1], "action",
		invocation->operands[2], "arguments", arguments);
	char *path = client_path("disks", invocation->operands[0], "call");
	struct client_request request = {
		.method = CLIENT_POST,
		.path = path,
		.body = body,
	};
	int ret = body && path ? 0 : out_of_memory(error);

	if (ret == 0 && invocation->operand_count > FIRST_ARGUMENT)
		ret = declared(invocation, client, &known, error);
	if (ret == 0)
		ret = add_arguments(invocation, known, arguments, error);
	if (ret == 0)
		ret = ask(invocation, client, &request, present_result, error);
	json_decref(known);
	json_decref(body);
	json_decref(arguments);
	free(path);
	return ret;
}
