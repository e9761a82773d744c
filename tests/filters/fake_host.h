/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_host.h - Forebay as a filter sees it, with a clock that the test turns.
 *
 * Serves one instance of the filter that is linked in. What the filter forwards
 * is written down in order, with its time, and completed by the test.
 */
#ifndef FOREBAY_TESTS_FAKE_HOST_H
#define FOREBAY_TESTS_FAKE_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include <forebay/filter.h>

#define FAKE_PROPERTIES_MAX 8u

struct forebay_request {
	enum forebay_operation operation;
	uint32_t flags;
	uint64_t offset;
	uint64_t length;
	bool forwarded;
	bool completed;
	uint64_t forwarded_ns;
	unsigned int place; /* among the forwarded ones, from 0 */
	int status;
	/* Called when it is forwarded; the layer below may answer at once. */
	void (*on_forward)(struct forebay_request *request);
	void *owner;
	_Alignas(16) unsigned char context[256];
};

struct fake_property {
	const char *name;
	int64_t value;
	const char *text;
};

/* The one instance. */
struct forebay_instance {
	void *state;
	uint64_t now_ns;
	struct forebay_timer *timer; /* the armed one */
	uint64_t deadline_ns;
	unsigned int forwarded_count;
	struct fake_property properties[FAKE_PROPERTIES_MAX];
	bool open;
	bool closed;
	int open_status;
	char explanation[512]; /* of a failed open */
	char logged[512]; /* the last line */
};

extern const struct forebay_host fake_host;

/* Opens the linked filter; properties start with its defaults. */
void fake_open(struct forebay_instance *instance);
/* The same, and it may fail. Returns: with what. */
int fake_try_open(struct forebay_instance *instance);
void fake_close(struct forebay_instance *instance);
/* Before fake_open(), or followed by the filter's properties_changed(). */
void fake_set(struct forebay_instance *instance, const char *name,
	      int64_t value);
/* The same for a text, which outlives the instance. */
void fake_set_text(struct forebay_instance *instance, const char *name,
		   const char *text);
void fake_submit(struct forebay_instance *instance,
		 struct forebay_request *request);
/* Turns the clock to @now_ns; timers on the way expire at their time. */
void fake_run_until(struct forebay_instance *instance, uint64_t now_ns);

#endif
