/* SPDX-License-Identifier: Apache-2.0 */
/* held.h - holds of the layers below, in the words of operators. */
#ifndef FOREBAY_CACHE_HELD_H
#define FOREBAY_CACHE_HELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"

/* An action with a number of seconds: "hold 600". */
#define HELD_ACTION "hold "
#define HELD_SECONDS_MAX (7u * 24 * 60 * 60)

/* Returns: 0, or -EINVAL if @action isn't that. */
int held_parse(const char *action, uint64_t *ret_timeout_ns);
/* Below is kept at its point, or is being brought to it. */
bool held_stands(const struct engine_hold *hold);
/* Why it has ended by itself, for a log line. */
const char *held_words(enum engine_hold_end end);
/* As JSON: an object, or null if there is no hold, with a NUL. */
#define HELD_JSON_BYTES 320u
void held_format(const struct engine_hold *hold, uint64_t now_ns,
		 char ret_json[HELD_JSON_BYTES]);

#endif
