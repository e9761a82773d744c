/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history_record.h - the gate for what a disk's process writes about events.
 */
#ifndef FOREBAY_AGENT_HISTORY_RECORD_H
#define FOREBAY_AGENT_HISTORY_RECORD_H

#include <jansson.h>
#include <stddef.h>

/*
 * One line. Returns: an entry of the history, with the members that are known
 * and well formed; NULL for a line that is none. @now_ms: nothing is later.
 */
json_t *history_record_parse(const char *line, size_t length,
			     json_int_t now_ms);

#endif
