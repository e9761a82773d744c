/* SPDX-License-Identifier: Apache-2.0 */
/* status.c - forebay status. */
#include <errno.h>
#include <stdio.h>

#include "arguments.h"
#include "client.h"
#include "nouns.h"
#include "output.h"
#include "table.h"

/* "3 open, 1 closed", as a new string value. */
static json_t *describe_disks(const json_t *states)
{
	json_t *text = json_string("");
	const char *state;
	json_t *count;

	json_object_foreach((json_t *)states, state, count)
	{
		const char *before = json_string_value(text);
		json_t *longer = json_sprintf("%s%s%" JSON_INTEGER_FORMAT " %s",
					      before ? before : "",
					      before && *before ? ", " : "",
					      json_integer_value(count), state);

		json_decref(text);
		text = longer;
	}
	return text;
}

static int present_issues(const json_t *issues)
{
	static const struct column columns[] = {
		{"needs attention", UNIT_TEXT},
		{"why", UNIT_TEXT},
	};
	struct table *table;

	if (json_array_size(issues) == 0)
		return 0;
	(void)putchar('\n');
	table = table_create(columns, 2);
	for (size_t i = 0; i < json_array_size(issues); i++) {
		const json_t *issue = json_array_get(issues, i);

		table_row(table,
			  json_pack("[O?O?]", json_object_get(issue, "object"),
				    json_object_get(issue, "message")));
	}
	return table_finish(table);
}

static int present_status(const json_t *status)
{
	const json_t *cached = json_object_get(status, "cached");
	json_t *disks = describe_disks(json_object_get(status, "disks"));
	struct table *table = table_create_pairs();
	int ret;

	table_pair(table, "Host", UNIT_TEXT, json_object_get(status, "host"));
	table_pair(table, "State", UNIT_STATE,
		   json_object_get(status, "state"));
	table_pair(table, "Version", UNIT_TEXT,
		   json_object_get(status, "version"));
	table_pair(table, "Cache daemon", UNIT_STATE,
		   json_object_get(cached, "state"));
	if (json_is_string(json_object_get(cached, "reason")))
		table_pair(table, "  because", UNIT_TEXT,
			   json_object_get(cached, "reason"));
	table_pair(table, "  restarts", UNIT_COUNT,
		   json_object_get(cached, "restarts"));
	table_pair(table, "Pools", UNIT_COUNT,
		   json_object_get(status, "pools"));
	table_pair(table, "Policies", UNIT_COUNT,
		   json_object_get(status, "policies"));
	table_pair(table, "Disks", UNIT_TEXT, disks);
	ret = table_finish(table);
	json_decref(disks);
	if (ret < 0)
		return ret;
	return present_issues(json_object_get(status, "issues"));
}

int status_show(const struct invocation *invocation, struct client *client,
		struct error *error)
{
	return output_get(invocation, client, "/v1/status", present_status,
			  error);
}
