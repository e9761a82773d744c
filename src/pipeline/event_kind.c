// SPDX-License-Identifier: Apache-2.0
/* event_kind.c - see event_kind.h. */
#include "event_kind.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "clock.h"

static const struct event_kind kinds[EVENT_KIND_COUNT] = {
	[FOREBAY_EVENT_ATTACH] = {"attach", 10 * NS_PER_SECOND, true, false},
	[FOREBAY_EVENT_DETACH] = {"detach", 10 * NS_PER_SECOND, false, true},
	[FOREBAY_EVENT_OPEN] = {"open", 2 * NS_PER_SECOND, false, false},
	[FOREBAY_EVENT_CLOSE] = {"close", 2 * NS_PER_SECOND, false, true},
	[FOREBAY_EVENT_GROW] = {"grow", 10 * NS_PER_SECOND, true, false},
	[FOREBAY_EVENT_SNAPSHOT] = {"snapshot", 3 * NS_PER_SECOND, true, false},
	[FOREBAY_EVENT_CLONE] = {"clone", 10 * NS_PER_SECOND, true, false},
	[FOREBAY_EVENT_MIGRATE] = {"migrate", 5 * NS_PER_SECOND, false, false},
	[FOREBAY_EVENT_STUN] = {"stun", 2 * NS_PER_SECOND, false, false},
	[FOREBAY_EVENT_UNSTUN] = {"unstun", 2 * NS_PER_SECOND, false, false},
	[FOREBAY_EVENT_PROPERTIES] = {"properties", 2 * NS_PER_SECOND, true,
				      false},
	[FOREBAY_EVENT_DELETE] = {"delete", 10 * NS_PER_SECOND, true, false},
	[FOREBAY_EVENT_ABORT] = {"abort", 1 * NS_PER_SECOND, false, false},
	[FOREBAY_EVENT_VM] = {"vm", 1 * NS_PER_SECOND, false, false},
};

static const char *const vm_names[] = {
	[FOREBAY_VM_UNKNOWN] = "unknown", [FOREBAY_VM_STARTING] = "starting",
	[FOREBAY_VM_RUNNING] = "running", [FOREBAY_VM_MIGRATING] = "migrating",
	[FOREBAY_VM_STOPPED] = "stopped",
};

const struct event_kind *event_kind(enum forebay_event_kind kind)
{
	assert(kind < EVENT_KIND_COUNT);
	return &kinds[kind];
}

const char *event_phase_name(enum forebay_event_phase phase)
{
	switch (phase) {
	case FOREBAY_EVENT_PRE:
		return "pre";
	case FOREBAY_EVENT_POST:
		return "post";
	case FOREBAY_EVENT_UNDO:
		return "undo";
	}
	return NULL;
}

int event_kind_find(const char *name, enum forebay_event_kind *ret_kind)
{
	for (unsigned int i = 0; i < EVENT_KIND_COUNT; i++) {
		if (strcmp(kinds[i].name, name) == 0) {
			*ret_kind = (enum forebay_event_kind)i;
			return 0;
		}
	}
	return -ENOENT;
}

const char *event_vm_name(enum forebay_vm vm)
{
	assert(vm <= FOREBAY_VM_STOPPED);
	return vm_names[vm];
}

int event_vm_find(const char *name, enum forebay_vm *ret_vm)
{
	for (unsigned int i = FOREBAY_VM_STARTING; i <= FOREBAY_VM_STOPPED;
	     i++) {
		if (strcmp(vm_names[i], name) == 0) {
			*ret_vm = (enum forebay_vm)i;
			return 0;
		}
	}
	return -ENOENT;
}
