/* SPDX-License-Identifier: Apache-2.0 */
/* filter.c - forebay filter. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "client.h"
#include "error.h"
#include "nouns.h"
#include "output.h"
#include "quantity.h"
#include "table.h"

/* What is wrong with it, else what it is for. */
static json_t *remark(const json_t *filter)
{
	json_t *issue = json_object_get(filter, "issue");

	return json_is_string(issue) ? issue
				     : json_object_get(filter, "description");
}

/* Who answers for it: a name of a key, or we; NULL where it can't be said. */
static const char *origin(const json_t *filter)
{
	const char *signer = json_string_value(
		json_object_get(json_object_get(filter, "bundle"), "signer"));

	if (json_is_string(json_object_get(filter, "issue")))
		return NULL;
	return signer ? signer : "forebay";
}

static int present_list(const json_t *list)
{
	static const struct column columns[] = {
		{"filter", UNIT_TEXT},	{"state", UNIT_STATE},
		{"version", UNIT_TEXT}, {"class", UNIT_TEXT},
		{"from", UNIT_TEXT},	{"disks", UNIT_COUNT},
		{"note", UNIT_TEXT},
	};
	const json_t *filters = json_object_get(list, "items");
	struct table *table = table_create(columns, 7);

	for (size_t i = 0; i < json_array_size(filters); i++) {
		const json_t *filter = json_array_get(filters, i);
		const json_t *issue = json_object_get(filter, "issue");

		table_row(table,
			  json_pack("[O?sO?O?s?iO?]",
				    json_object_get(filter, "name"),
				    json_is_string(issue) ? "failed" : "ready",
				    json_object_get(filter, "version"),
				    json_object_get(filter, "class"),
				    origin(filter),
				    (int)json_array_size(
					    json_object_get(filter, "disks")),
				    remark(filter)));
	}
	return table_finish_list(table, "no filters are installed");
}

/* In the unit of the property, as people write it. New; may be NULL. */
static json_t *bound_text(const char *type, const json_t *value)
{
	json_int_t number = json_integer_value(value);
	char text[32];

	if (!json_is_integer(value))
		return json_is_string(value) ? json_deep_copy(value) : NULL;
	if (number >= 0 && strcmp(type, "size") == 0)
		quantity_format_size((uint64_t)number, text, sizeof(text));
	else if (number >= 0 && strcmp(type, "duration") == 0)
		quantity_format_duration((uint64_t)number, text, sizeof(text));
	else
		(void)snprintf(text, sizeof(text), "%lld", (long long)number);
	return json_string(text);
}

/* "1MiB to 64GiB", "write-back, write-through". New; NULL: anything. */
static json_t *range_text(const json_t *property, const char *type)
{
	json_auto_t *least =
		bound_text(type, json_object_get(property, "minimum"));
	json_auto_t *most =
		bound_text(type, json_object_get(property, "maximum"));
	char words[256] = "";
	const json_t *choice;
	size_t index;

	if (least && most)
		return json_sprintf("%s to %s", json_string_value(least),
				    json_string_value(most));
	json_array_foreach(json_object_get(property, "choices"), index, choice)
	{
		size_t used = strlen(words);

		(void)snprintf(words + used, sizeof(words) - used, "%s%s",
			       index > 0 ? ", " : "",
			       json_string_value(choice));
	}
	return words[0] ? json_string(words) : NULL;
}

static json_t *default_text(const json_t *property, const char *type)
{
	const json_t *value = json_object_get(property, "default");

	if (json_is_boolean(value))
		return json_string(json_is_true(value) ? "true" : "false");
	return bound_text(type, value);
}

static int present_properties(const json_t *properties)
{
	static const struct column columns[] = {
		{"property", UNIT_TEXT}, {"type", UNIT_TEXT},
		{"range", UNIT_TEXT},	 {"default", UNIT_TEXT},
		{"online", UNIT_TEXT},	 {"what it is", UNIT_TEXT},
	};
	struct table *table = table_create(columns, 6);
	const json_t *property;
	size_t index;

	json_array_foreach(properties, index, property)
	{
		const char *type =
			json_string_value(json_object_get(property, "type"));
		bool online = json_is_true(json_object_get(property, "online"));

		type = type ? type : "";
		table_row(table,
			  json_pack("[O?so?o?sO?]",
				    json_object_get(property, "name"), type,
				    range_text(property, type),
				    default_text(property, type),
				    online ? "yes" : "no",
				    json_object_get(property, "description")));
	}
	return table_finish_list(table, "it has no properties");
}

/* Who signed it, and what it needs. */
static void add_bundle(struct table *table, const json_t *bundle)
{
	const json_t *needs = json_object_get(bundle, "needs"), *value, *need;
	const char *kind;
	size_t index;

	if (!bundle)
		return;
	table_pair(table, "Signed by", UNIT_TEXT,
		   json_object_get(bundle, "signer"));
	table_pair(table, "Key", UNIT_TEXT, json_object_get(bundle, "key_id"));
	json_object_foreach((json_t *)needs, kind, value)
	{
		json_array_foreach(value, index, need)
			table_pair(table, "Needs", UNIT_TEXT, need);
	}
	value = json_object_get(needs, "memory_bytes");
	if (json_integer_value(value) > 0)
		table_pair(table, "Needs memory", UNIT_SIZE, value);
}

static int present_show(const json_t *filter)
{
	static const char *const members[][2] = {
		{"Filter", "name"},	{"Version", "version"},
		{"Class", "class"},	{"For", "description"},
		{"Library", "library"}, {"Issue", "issue"},
	};
	const json_t *properties = json_object_get(filter, "properties");
	struct table *table = table_create_pairs();
	int ret;

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		if (json_is_string(json_object_get(filter, members[i][1])))
			table_pair(table, members[i][0], UNIT_TEXT,
				   json_object_get(filter, members[i][1]));
	}
	add_bundle(table, json_object_get(filter, "bundle"));
	ret = table_finish(table);
	if (ret < 0 || json_array_size(properties) == 0)
		return ret;
	(void)printf("\n");
	return present_properties(properties);
}

int filter_show(const struct invocation *invocation, struct client *client,
		struct error *error)
{
	char *path = client_path("filters", invocation->operands[0], NULL);
	int ret =
		path ? output_get(invocation, client, path, present_show, error)
		     : error_set(error, -ENOMEM, "forebay: out of memory");

	free(path);
	return ret;
}

int filter_list(const struct invocation *invocation, struct client *client,
		struct error *error)
{
	return output_get(invocation, client, "/v1/filters", present_list,
			  error);
}
