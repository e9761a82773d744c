// SPDX-License-Identifier: Apache-2.0
/* held.c - see held.h. */
#include "held.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_SECOND 1000000000ull

int held_parse(const char *action, uint64_t *ret_timeout_ns)
{
	const char *digits = action + strlen(HELD_ACTION);
	unsigned long seconds;
	char *end;

	if (strncmp(action, HELD_ACTION, strlen(HELD_ACTION)) != 0 ||
	    digits[0] < '0' || digits[0] > '9')
		return -EINVAL;
	seconds = strtoul(digits, &end, 10);
	if (*end || seconds == 0 || seconds > HELD_SECONDS_MAX)
		return -EINVAL;
	*ret_timeout_ns = seconds * NS_PER_SECOND;
	return 0;
}

bool held_stands(const struct engine_hold *hold)
{
	switch (hold->state) {
	case ENGINE_HOLD_GATHERING:
	case ENGINE_HOLD_MAKING:
	case ENGINE_HOLD_HELD:
		return true;
	case ENGINE_HOLD_NONE:
	case ENGINE_HOLD_ENDED:
		return false;
	}
	__builtin_unreachable();
}

const char *held_words(enum engine_hold_end end)
{
	switch (end) {
	case ENGINE_HOLD_END_NOT:
		break;
	case ENGINE_HOLD_END_DEADLINE:
		return "its time was over";
	case ENGINE_HOLD_END_SPACE:
		return "the cache had no more room for what the VM writes";
	case ENGINE_HOLD_END_MODE:
		return "the disk went to another mode";
	case ENGINE_HOLD_END_ZEROS:
		return "too many zeroes were overwritten while it was made";
	case ENGINE_HOLD_END_BELOW:
		return "a flush of the backend failed";
	case ENGINE_HOLD_END_DATA_LOST:
		return "some of what was to go below can't be read from the "
		       "SSD";
	case ENGINE_HOLD_END_FAILED:
		return "the cache or its SSD has failed";
	case ENGINE_HOLD_END_CLOSED:
		return "the disk was closed";
	}
	return "it was released";
}

static const char *state_name(enum engine_hold_state state)
{
	switch (state) {
	case ENGINE_HOLD_GATHERING:
	case ENGINE_HOLD_MAKING:
		return "making";
	case ENGINE_HOLD_HELD:
		return "held";
	case ENGINE_HOLD_NONE:
	case ENGINE_HOLD_ENDED:
		break;
	}
	return "ended";
}

static uint64_t since(uint64_t then_ns, uint64_t now_ns)
{
	return then_ns > 0 && now_ns > then_ns ? now_ns - then_ns : 0;
}

void held_format(const struct engine_hold *hold, uint64_t now_ns,
		 char ret_json[HELD_JSON_BYTES])
{
	bool ended = hold->state == ENGINE_HOLD_ENDED;

	if (hold->state == ENGINE_HOLD_NONE) {
		snprintf(ret_json, HELD_JSON_BYTES, "null");
		return;
	}
	snprintf(ret_json, HELD_JSON_BYTES,
		 "{\"state\":\"%s\",\"left_bytes\":%" PRIu64
		 ",\"held_for_ns\":%" PRIu64 ",\"ends_in_ns\":%" PRIu64
		 ",\"ended_ago_ns\":%" PRIu64 ",\"reason\":%s%s%s}",
		 state_name(hold->state), hold->left_bytes,
		 since(hold->held_ns, ended ? hold->ended_ns : now_ns),
		 ended ? 0 : since(now_ns, hold->until_ns),
		 since(hold->ended_ns, now_ns), ended ? "\"" : "",
		 ended ? held_words(hold->end) : "null", ended ? "\"" : "");
}
