// SPDX-License-Identifier: Apache-2.0
/*
 * event_filter.c - a filter that writes down lifecycle events, and answers them
 * as a test says.
 *
 * Built several times with another name and class. It reports to probe_note()
 * where the test program exports that, else to the log. The properties name an
 * event as KIND-PHASE: `refuse` it, `hold` it until action "end", or be `slow`
 * and end it in a later step of the loop. With `keep` it holds a read until
 * somebody waits for it (abort).
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <forebay/filter.h>

#define WORDS_BYTES 160u
#define SLOW_NS 1000000u

/* The test's, if it has one. */
__attribute__((weak)) void probe_note(const char *filter, const char *event);

struct eventful {
	struct forebay_instance *instance;
	const struct forebay_host *host;
	struct forebay_event_end *held;
	struct forebay_request *kept;
	struct forebay_timer timer;
};

static const char *const kinds[] = {
	"attach",     "detach", "open",	   "close", "grow",
	"snapshot",   "clone",	"migrate", "stun",  "unstun",
	"properties", "delete", "abort",   "vm",
};
static const char *const vms[] = {"", "starting", "running", "migrating",
				  "stopped"};
static const char *const phases[] = {"pre", "post", "undo"};

static void note(const struct eventful *eventful, const char *words)
{
	if (probe_note)
		probe_note(EVENT_NAME, words);
	else
		eventful->host->log(eventful->instance, FOREBAY_LOG_INFO,
				    "event %s", words);
}

static void on_slow(struct forebay_timer *timer)
{
	struct eventful *eventful = timer->owner;
	struct forebay_event_end *held = eventful->held;

	eventful->held = NULL;
	eventful->host->event_end(held, 0);
}

static void eventful_open(struct forebay_instance *instance,
			  const struct forebay_host *host,
			  const struct forebay_disk *disk, void **ret_state)
{
	struct eventful *eventful = calloc(1, sizeof(*eventful));

	(void)disk;
	assert(eventful);
	eventful->instance = instance;
	eventful->host = host;
	eventful->timer.expired = on_slow;
	eventful->timer.owner = eventful;
	*ret_state = eventful;
	host->open_done(instance, 0);
}

static void eventful_close(void *state)
{
	struct eventful *eventful = state;
	struct forebay_instance *instance = eventful->instance;
	const struct forebay_host *host = eventful->host;

	free(eventful);
	host->close_done(instance, 0);
}

static void eventful_submit(void *state, struct forebay_request *request)
{
	struct eventful *eventful = state;
	const struct forebay_host *host = eventful->host;
	bool keep = false;

	host->property_boolean(eventful->instance, "keep", &keep);
	if (keep && !eventful->kept &&
	    host->request_operation(request) == FOREBAY_READ)
		eventful->kept = request;
	else
		host->request_forward(request);
}

static void let_go(struct eventful *eventful)
{
	struct forebay_request *kept = eventful->kept;

	eventful->kept = NULL;
	if (kept)
		eventful->host->request_forward(kept);
}

/* Whether property @name names the event in @words. */
static bool is_named(const struct eventful *eventful, const char *name,
		     const char *words)
{
	const char *value = "";

	eventful->host->property_string(eventful->instance, name, &value);
	return strcmp(value, words) == 0;
}

static void eventful_event(void *state, const struct forebay_event *event,
			   struct forebay_event_end *end)
{
	struct eventful *eventful = state;
	char words[WORDS_BYTES];
	char whole[2 * WORDS_BYTES];
	const char *detail =
		event->vm != FOREBAY_VM_UNKNOWN ? vms[event->vm] : event->name;

	assert(event->struct_size == sizeof(*event));
	snprintf(words, sizeof(words), "%s-%s", kinds[event->kind],
		 phases[event->phase]);
	snprintf(whole, sizeof(whole), "%s%s%s", words, detail[0] ? "=" : "",
		 detail);
	note(eventful, whole);
	if (event->kind == FOREBAY_EVENT_ABORT)
		let_go(eventful);
	if (is_named(eventful, "refuse", words)) {
		eventful->host->explain(eventful->instance, "it was told to");
		eventful->host->event_end(end, -EBUSY);
	} else if (is_named(eventful, "hold", words)) {
		eventful->held = end;
	} else if (is_named(eventful, "slow", words)) {
		eventful->held = end;
		eventful->host->timer_arm(eventful->instance, &eventful->timer,
					  SLOW_NS);
	} else {
		eventful->host->event_end(end, 0);
	}
}

static void eventful_action(void *state, const char *name,
			    void (*done)(void *context, int status),
			    void *context)
{
	struct eventful *eventful = state;
	struct forebay_event_end *held = eventful->held;

	if (strcmp(name, "migration-begin") == 0)
		note(eventful, name);
	if (strcmp(name, "hold 600") == 0) {
		note(eventful, "hold");
		done(context, 0);
		return;
	}
	if (strcmp(name, "end") != 0 && strcmp(name, "end-twice") != 0) {
		done(context, -ENOTSUP);
		return;
	}
	eventful->held = NULL;
	if (held)
		eventful->host->event_end(held, 0);
	if (held && strcmp(name, "end-twice") == 0)
		eventful->host->event_end(held, 0);
	done(context, held ? 0 : -ENOENT);
}

static const struct forebay_property eventful_properties[] = {
	{
		.name = "refuse",
		.description = "The event to refuse.",
		.type = FOREBAY_PROPERTY_STRING,
		.default_string = "",
		.online = true,
	},
	{
		.name = "hold",
		.description = "The event to end when told to.",
		.type = FOREBAY_PROPERTY_STRING,
		.default_string = "",
		.online = true,
	},
	{
		.name = "slow",
		.description = "The event to end later.",
		.type = FOREBAY_PROPERTY_STRING,
		.default_string = "",
		.online = true,
	},
	{
		.name = "keep",
		.description = "Whether a read is held until an abort.",
		.type = FOREBAY_PROPERTY_BOOLEAN,
	},
	{0},
};

const struct forebay_filter forebay_filter = {
	.abi_version = FOREBAY_FILTER_ABI,
	.struct_size = sizeof(struct forebay_filter),
	.name = EVENT_NAME,
	.version = "1.0.0",
	.description = "Writes down lifecycle events.",
	.filter_class = EVENT_CLASS,
	.operations = FOREBAY_OPERATION_BIT(FOREBAY_READ) |
		      FOREBAY_OPERATION_BIT(FOREBAY_WRITE) |
		      FOREBAY_OPERATION_BIT(FOREBAY_FLUSH) |
		      FOREBAY_OPERATION_BIT(FOREBAY_DISCARD) |
		      FOREBAY_OPERATION_BIT(FOREBAY_WRITE_ZEROES),
	.properties = eventful_properties,
	.open = eventful_open,
	.close = eventful_close,
	.submit = eventful_submit,
	.action = eventful_action,
	.events = EVENT_MASK,
	.event = eventful_event,
};
