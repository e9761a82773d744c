/* SPDX-License-Identifier: Apache-2.0 */
/* event_kind.h - the words, deadlines and rules of lifecycle events. */
#ifndef FOREBAY_PIPELINE_EVENT_KIND_H
#define FOREBAY_PIPELINE_EVENT_KIND_H

#include <stdbool.h>
#include <stdint.h>

#include "forebay/filter.h"

#define EVENT_KIND_COUNT (FOREBAY_EVENT_VM + 1u)

struct event_kind {
	const char *name;
	uint64_t deadline_ns; /* of one filter in one phase */
	bool refusable; /* a filter's failure in PRE ends it */
	bool only_pre; /* no other phase comes */
};

/* What the head of filter.h promises: the one table. */
const struct event_kind *event_kind(enum forebay_event_kind kind);
const char *event_phase_name(enum forebay_event_phase phase);
/* Returns: 0 or -ENOENT. */
int event_kind_find(const char *name, enum forebay_event_kind *ret_kind);

const char *event_vm_name(enum forebay_vm vm);
/* Returns: 0 or -ENOENT. */
int event_vm_find(const char *name, enum forebay_vm *ret_vm);

#endif
