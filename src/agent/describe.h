/* SPDX-License-Identifier: Apache-2.0 */
/* describe.h - asks a filter what it is, in a process of its own. */
#ifndef FOREBAY_AGENT_DESCRIBE_H
#define FOREBAY_AGENT_DESCRIBE_H

#include <jansson.h>

#include "error.h"

/* How long a filter may take to say what it is. */
#define DESCRIBE_TIMEOUT_MS 5000
#define DESCRIBE_BYTES_MAX 65536u

/*
 * Runs @program --describe-filter @library.
 * Returns: 0 and a new object; or why not, in words. Blocks for at most
 * DESCRIBE_TIMEOUT_MS.
 */
int describe_filter(const char *program, const char *library,
		    json_t **ret_description, struct error *error);

#endif
