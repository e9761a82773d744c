/* SPDX-License-Identifier: Apache-2.0 */
/* filter.c - forebay filter. */
#include "arguments.h"
#include "client.h"
#include "nouns.h"
#include "output.h"
#include "table.h"

/* What is wrong with it, else what it is for. */
static json_t *remark(const json_t *filter)
{
	json_t *issue = json_object_get(filter, "issue");

	return json_is_string(issue) ? issue
				     : json_object_get(filter, "description");
}

static int present_list(const json_t *list)
{
	static const struct column columns[] = {
		{"filter", UNIT_TEXT},	{"state", UNIT_STATE},
		{"version", UNIT_TEXT}, {"class", UNIT_TEXT},
		{"note", UNIT_TEXT},
	};
	const json_t *filters = json_object_get(list, "items");
	struct table *table = table_create(columns, 5);

	for (size_t i = 0; i < json_array_size(filters); i++) {
		const json_t *filter = json_array_get(filters, i);
		const json_t *issue = json_object_get(filter, "issue");

		table_row(table,
			  json_pack("[O?sO?O?O?]",
				    json_object_get(filter, "name"),
				    json_is_string(issue) ? "failed" : "ready",
				    json_object_get(filter, "version"),
				    json_object_get(filter, "class"),
				    remark(filter)));
	}
	return table_finish_list(table, "no filters are installed");
}

int filter_list(const struct invocation *invocation, struct client *client,
		struct error *error)
{
	return output_get(invocation, client, "/v1/filters", present_list,
			  error);
}
