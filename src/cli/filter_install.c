/* SPDX-License-Identifier: Apache-2.0 */
/* filter_install.c - forebay filter install, uninstall, issues, and the keys
 * that a host trusts. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "bundle_issue.h"
#include "client.h"
#include "error.h"
#include "file.h"
#include "nouns.h"
#include "output.h"
#include "signing.h"
#include "table.h"

static const char *text(const json_t *object, const char *member)
{
	const char *words = json_string_value(json_object_get(object, member));

	return words ? words : "";
}

static int call_and_show(const struct invocation *invocation,
			 struct client *client,
			 const struct client_request *request,
			 output_present_fn present, struct error *error)
{
	struct client_answer answer;
	int ret = client_call(client, request, &answer, error);

	if (ret < 0)
		return ret;
	ret = output_answer(invocation, &answer, present, error);
	client_answer_release(&answer);
	return ret;
}

/* -- bundles ------------------------------------------------------------ */

static void print_need(const json_t *needs, const char *member)
{
	const json_t *list = json_object_get(needs, member);
	const json_t *need;
	size_t index;

	json_array_foreach(list, index, need)(void)
		printf("  needs %s: %s\n", member, json_string_value(need));
}

static int present_installed(const json_t *filter)
{
	static const char *const kinds[] = {"files", "devices", "sockets",
					    "keys"};
	const json_t *bundle = json_object_get(filter, "bundle");
	const json_t *needs = json_object_get(bundle, "needs");
	json_int_t memory =
		json_integer_value(json_object_get(needs, "memory_bytes"));

	(void)printf("filter %s@%s: installed, class %s, signed by %s\n",
		     text(filter, "name"), text(filter, "version"),
		     text(filter, "class"), text(bundle, "signer"));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		print_need(needs, kinds[i]);
	if (memory > 0)
		(void)printf("  needs memory: %lld bytes\n", (long long)memory);
	return 0;
}

int filter_install(const struct invocation *invocation, struct client *client,
		   struct error *error)
{
	const char *file = invocation->operands[0];
	const struct client_request request = {
		.method = CLIENT_POST,
		.path = "/v1/filters",
		.file = file,
		.subject_kind = "bundle",
		.subject_name = file,
	};

	return call_and_show(invocation, client, &request, present_installed,
			     error);
}

static int present_uninstalled(const json_t *filter)
{
	(void)printf("filter %s@%s: uninstalled\n", text(filter, "name"),
		     text(filter, "version"));
	return 0;
}

int filter_uninstall(const struct invocation *invocation, struct client *client,
		     struct error *error)
{
	char *path = client_path("filters", invocation->operands[0], NULL);
	const struct client_request request = {
		.method = CLIENT_DELETE,
		.path = path,
		.subject_kind = "filter",
		.subject_name = invocation->operands[0],
	};
	int ret = path ? call_and_show(invocation, client, &request,
				       present_uninstalled, error)
		       : error_set(error, -ENOMEM, "forebay: out of memory");

	free(path);
	return ret;
}

static const char *advice_for(const char *code)
{
	enum bundle_issue issue;

	return bundle_issue_find(code, &issue) == 0 ? bundle_issue_advice(issue)
						    : "";
}

static int present_issues(const json_t *list)
{
	static const struct column columns[] = {
		{"filter", UNIT_TEXT},	   {"version", UNIT_TEXT},
		{"issue", UNIT_STATE},	   {"what is wrong", UNIT_TEXT},
		{"what to do", UNIT_TEXT},
	};
	struct table *table = table_create(columns, 5);
	const json_t *filter;
	size_t index;

	json_array_foreach(json_object_get(list, "items"), index, filter)
	{
		const char *code = text(filter, "issue_code");

		if (!json_is_string(json_object_get(filter, "issue")))
			continue;
		table_row(table,
			  json_pack("[O?O?sO?s]",
				    json_object_get(filter, "name"),
				    json_object_get(filter, "version"), code,
				    json_object_get(filter, "issue"),
				    advice_for(code)));
	}
	return table_finish_list(table, "every filter can be used");
}

int filter_issues(const struct invocation *invocation, struct client *client,
		  struct error *error)
{
	return output_get(invocation, client, "/v1/filters", present_issues,
			  error);
}

/* -- keys --------------------------------------------------------------- */

static int present_trusted(const json_t *key)
{
	(void)printf("key %s: trusted, id %s\n", text(key, "name"),
		     text(key, "key_id"));
	return 0;
}

static int present_untrusted(const json_t *key)
{
	(void)printf("key %s: not trusted any more\n", text(key, "name"));
	return 0;
}

static int present_keys(const json_t *list)
{
	static const struct column columns[] = {
		{"key", UNIT_TEXT},
		{"id", UNIT_TEXT},
	};
	struct table *table = table_create(columns, 2);
	const json_t *key;
	size_t index;

	json_array_foreach(json_object_get(list, "items"), index, key)
		table_row(table,
			  json_pack("[O?O?]", json_object_get(key, "name"),
				    json_object_get(key, "key_id")));
	return table_finish_list(table, "no key is trusted: no bundle can be "
					"installed");
}

int filter_keys(const struct invocation *invocation, struct client *client,
		struct error *error)
{
	return output_get(invocation, client, "/v1/trusted-keys", present_keys,
			  error);
}

/* "me" of "/tmp/me.pub". Owns: the caller. */
static char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *name = strdup(slash ? slash + 1 : path);
	char *dot = name ? strrchr(name, '.') : NULL;

	if (dot)
		*dot = '\0';
	return name;
}

int filter_trust(const struct invocation *invocation, struct client *client,
		 struct error *error)
{
	const char *file = invocation->operands[0];
	char *words, *name;
	json_t *body;
	int ret = file_read(file, SIGNING_TEXT_BYTES, &words, NULL);

	if (ret < 0)
		return error_set(error, ret, "%s: cannot be read: %s", file,
				 strerror(-ret));
	name = name_of(file);
	body = json_pack("{s:s, s:s}", "name", name ? name : "", "key", words);
	/* A secret that was named by mistake goes nowhere. */
	if (strncmp(words, "forebay-secret", strlen("forebay-secret")) == 0)
		ret = error_set(error, -EINVAL,
				"%s: is a secret key; name the .pub file",
				file);
	else if (!body)
		ret = error_set(error, -EINVAL, "%s: is not a public key",
				file);
	else
		ret = call_and_show(
			invocation, client,
			&(struct client_request){.method = CLIENT_POST,
						 .path = "/v1/trusted-keys",
						 .body = body,
						 .subject_kind = "key",
						 .subject_name = file},
			present_trusted, error);
	signing_forget(words, strlen(words));
	free(words);
	free(name);
	json_decref(body);
	return ret;
}

int filter_untrust(const struct invocation *invocation, struct client *client,
		   struct error *error)
{
	char *path = client_path("trusted-keys", invocation->operands[0], NULL);
	const struct client_request request = {
		.method = CLIENT_DELETE,
		.path = path,
		.subject_kind = "key",
		.subject_name = invocation->operands[0],
	};
	int ret = path ? call_and_show(invocation, client, &request,
				       present_untrusted, error)
		       : error_set(error, -ENOMEM, "forebay: out of memory");

	free(path);
	return ret;
}
