// SPDX-License-Identifier: Apache-2.0
/* running.c - the names behind the marker, and what is said of a broken rule.
 */
#include "running.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define LAST_WORDS_BYTES 512u
#define DISK_NAME_BYTES 256u

_Thread_local struct running running_here;

static struct running_filter filters[RUNNING_FILTERS_MAX];
static uint32_t filter_layers[RUNNING_FILTERS_MAX];
static uint32_t filter_count;
static char disk_name[DISK_NAME_BYTES];
static char last_words[LAST_WORDS_BYTES];
static void (*_Atomic waker)(void);

void running_set_disk(const char *name)
{
	snprintf(disk_name, sizeof(disk_name), "%s", name);
}

const char *running_disk(void)
{
	return disk_name;
}

const char *running_callback_name(enum running_callback callback)
{
	switch (callback) {
	case RUNNING_OPEN:
		return "open";
	case RUNNING_CLOSE:
		return "close";
	case RUNNING_SUBMIT:
		return "submit";
	case RUNNING_COMPLETED:
		return "completed";
	case RUNNING_PROPERTIES:
		return "properties_changed";
	case RUNNING_CHANNEL_STATE:
		return "channel_state";
	case RUNNING_CHANNEL_MESSAGE:
		return "channel_message";
	case RUNNING_MEMORY:
		return "memory_ready";
	case RUNNING_STATUS:
		return "status";
	case RUNNING_ACTION:
		return "action";
	case RUNNING_IO:
		return "the end of an io";
	case RUNNING_TIMER:
		return "a timer";
	case RUNNING_DEFERRED:
		return "deferred work";
	case RUNNING_EVENT:
		return "event";
	case RUNNING_CALL:
		return "call";
	case RUNNING_WORK:
		return "work";
	}
	return NULL;
}

static void fill(struct running_filter *filter, const char *name,
		 uint32_t layer)
{
	snprintf(filter->name, sizeof(filter->name), "%s", name);
	for (uint32_t i = 0; i < RUNNING_CALLBACKS; i++)
		filter->places[i] = (struct running_place){
			.filter = filter,
			.callback =
				running_callback_name((enum running_callback)i),
			.layer = layer,
		};
}

struct running_filter *running_filter(const char *name, uint32_t layer)
{
	const char *text = name ? name : "";
	struct running_filter *filter;

	for (uint32_t i = 0; i < filter_count; i++)
		if (filter_layers[i] == layer &&
		    strcmp(filters[i].name, text) == 0)
			return &filters[i];
	if (filter_count == RUNNING_FILTERS_MAX)
		return &filters[RUNNING_FILTERS_MAX - 1];
	filter = &filters[filter_count];
	if (filter_count == RUNNING_FILTERS_MAX - 1) {
		text = "(one of many)";
		layer = RUNNING_LAYER_ANY;
	}
	filter_layers[filter_count++] = layer;
	fill(filter, text, layer);
	return filter;
}

void running_set_waker(void (*wake)(void))
{
	atomic_store(&waker, wake);
}

void running_wake_watchdog(void)
{
	void (*wake)(void) = atomic_load(&waker);

	atomic_store(&running_here.unwatched, false);
	if (wake)
		wake();
}

void running_misuse(const char *filter, const char *function, const char *rule)
{
	const struct running_place *place = running_now();
	const char *name =
		place && place->filter->name[0] ? place->filter->name : filter;

	snprintf(last_words, sizeof(last_words),
		 "disk %s: filter %s broke a rule: in %s, %s %s", disk_name,
		 name, place ? place->callback : "no callback", function, rule);
	log_error("%s", last_words);
	abort();
}

const char *running_last_words(void)
{
	return last_words;
}
