/* SPDX-License-Identifier: Apache-2.0 */
/* history_record.c - see history_record.h. Pure. */
#include "history_record.h"

#include <string.h>

#define WORD_LENGTH_MAX 32u
#define TEXT_LENGTH_MAX 511u
/* Each of a disk's filters in each phase. */
#define RESULTS_MAX 64u

/* Copies a member if it is a text of at most @longest bytes. */
static void take_text(json_t *entry, const json_t *record, const char *member,
		      size_t longest)
{
	const char *text = json_string_value(json_object_get(record, member));

	if (text && strlen(text) <= longest)
		json_object_set_new(entry, member, json_string(text));
}

static void take_number(json_t *entry, const json_t *record, const char *member)
{
	const json_t *value = json_object_get(record, member);

	if (json_is_integer(value) && json_integer_value(value) >= 0)
		json_object_set_new(entry, member,
				    json_integer(json_integer_value(value)));
}

static json_t *take_results(const json_t *results)
{
	json_t *list = json_array();
	const json_t *result;
	size_t index;

	json_array_foreach(results, index, result)
	{
		json_t *taken = json_object();

		if (index == RESULTS_MAX) {
			json_decref(taken);
			break;
		}
		take_text(taken, result, "filter", WORD_LENGTH_MAX);
		take_text(taken, result, "phase", WORD_LENGTH_MAX);
		take_text(taken, result, "outcome", WORD_LENGTH_MAX);
		take_text(taken, result, "reason", TEXT_LENGTH_MAX);
		take_number(taken, result, "ms");
		json_array_append_new(list, taken);
	}
	return list;
}

json_t *history_record_parse(const char *line, size_t length, json_int_t now_ms)
{
	json_auto_t *record = json_loadb(line, length, 0, NULL);
	json_int_t time_ms =
		json_integer_value(json_object_get(record, "time_ms"));
	json_t *entry;

	if (!json_is_object(record))
		return NULL;
	if (time_ms <= 0 || time_ms > now_ms)
		time_ms = now_ms;
	entry = json_pack("{s:I, s:s}", "time_ms", time_ms, "source", "disk");
	take_text(entry, record, "kind", WORD_LENGTH_MAX);
	take_text(entry, record, "outcome", WORD_LENGTH_MAX);
	take_text(entry, record, "filter", WORD_LENGTH_MAX);
	take_text(entry, record, "vm", WORD_LENGTH_MAX);
	take_text(entry, record, "name", TEXT_LENGTH_MAX);
	take_text(entry, record, "reason", TEXT_LENGTH_MAX);
	take_number(entry, record, "size_bytes");
	take_number(entry, record, "missed");
	json_object_set_new(entry, "filters",
			    take_results(json_object_get(record, "filters")));
	if (!json_object_get(entry, "kind") ||
	    !json_object_get(entry, "outcome")) {
		json_decref(entry);
		return NULL;
	}
	return entry;
}
