/* SPDX-License-Identifier: Apache-2.0 */
/* disk_history.c - what happened to a disk, a line each. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "disk_view.h"
#include "quantity.h"
#include "table.h"

#define TIME_BYTES 32u
#define WORDS_BYTES 256u
/* What a filter reports has up to 500. */
#define NOTE_BYTES 640u
#define SIZE_BYTES 32u

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

/* As the logs have it. */
static void format_time(const json_t *entry, char buffer[TIME_BYTES])
{
	json_int_t time_ms =
		json_integer_value(json_object_get(entry, "time_ms"));
	time_t seconds = (time_t)(time_ms / 1000);
	struct tm parts;

	buffer[0] = '\0';
	if (gmtime_r(&seconds, &parts))
		(void)strftime(buffer, TIME_BYTES, "%Y-%m-%dT%H:%M:%SZ",
			       &parts);
}

/* "grow to 2GiB", "vm running", "properties of gold, version 3". */
static void format_what(const json_t *entry, char buffer[WORDS_BYTES])
{
	const json_t *bytes = json_object_get(entry, "size_bytes");
	const char *kind = text_of(entry, "kind");
	const char *vm = text_of(entry, "vm");
	const char *name = text_of(entry, "name");
	const char *policy = text_of(entry, "policy");
	char size[SIZE_BYTES];

	kind = kind ? kind : "-";
	if (vm)
		(void)snprintf(buffer, WORDS_BYTES, "%s %s", kind, vm);
	else if (json_is_integer(bytes))
		(void)snprintf(buffer, WORDS_BYTES, "%s to %s", kind,
			       quantity_format_size(
				       (uint64_t)json_integer_value(bytes),
				       size, sizeof(size)));
	else if (policy)
		(void)snprintf(buffer, WORDS_BYTES, "%s of %s, version %lld",
			       kind, policy,
			       (long long)json_integer_value(
				       json_object_get(entry, "version")));
	else
		(void)snprintf(buffer, WORDS_BYTES, "%s%s%s", kind,
			       name ? " " : "", name ? name : "");
}

/*
 * The first filter that didn't do as it was asked, or why it wasn't done; or
 * what a filter reports.
 */
static void format_note(const json_t *entry, char buffer[NOTE_BYTES])
{
	const char *reason = text_of(entry, "reason");
	const char *reporter = text_of(entry, "filter");
	const json_t *result;
	size_t index;

	(void)snprintf(buffer, NOTE_BYTES, "%s%s%s%s",
		       reporter ? "filter " : "", reporter ? reporter : "",
		       reporter ? ": " : "", reason ? reason : "");
	if (reason)
		return;
	json_array_foreach(json_object_get(entry, "filters"), index, result)
	{
		const char *outcome = text_of(result, "outcome");
		const char *why = text_of(result, "reason");
		const char *filter = text_of(result, "filter");

		if (!outcome || !filter || strcmp(outcome, "done") == 0)
			continue;
		(void)snprintf(buffer, NOTE_BYTES, "filter %s: %s%s%s", filter,
			       outcome, why ? ": " : "", why ? why : "");
		return;
	}
}

int disk_view_history(const json_t *history)
{
	static const struct column columns[] = {
		{"time", UNIT_TEXT}, {"source", UNIT_TEXT},
		{"what", UNIT_TEXT}, {"outcome", UNIT_TEXT},
		{"note", UNIT_TEXT},
	};
	const json_t *entries = json_object_get(history, "items");
	struct table *table = table_create(columns, 5);
	const json_t *entry;
	size_t index;

	json_array_foreach(entries, index, entry)
	{
		char when[TIME_BYTES], what[WORDS_BYTES], note[NOTE_BYTES];

		format_time(entry, when);
		format_what(entry, what);
		format_note(entry, note);
		table_row(table, json_pack("[ss?ss?s?]", when,
					   text_of(entry, "source"), what,
					   text_of(entry, "outcome"),
					   note[0] ? note : NULL));
	}
	return table_finish_list(table, "nothing has happened yet");
}

int disk_view_notified(const json_t *disk)
{
	const char *name = text_of(disk, "name");

	(void)printf("disk %s: its filters have been told\n",
		     name ? name : "-");
	return 0;
}
