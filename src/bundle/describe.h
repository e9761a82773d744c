/* SPDX-License-Identifier: Apache-2.0 */
/* describe.h - asks a filter what it is, in a process of its own. */
#ifndef FOREBAY_BUNDLE_DESCRIBE_H
#define FOREBAY_BUNDLE_DESCRIBE_H

#include <jansson.h>

#include "bundle_issue.h"

/* How long a filter may take to say what it is. */
#define DESCRIBE_TIMEOUT_MS 5000
#define DESCRIBE_BYTES_MAX 65536u

/*
 * Runs @program --describe-filter @library: the library is loaded in that
 * process's sandbox.
 * Returns: 0 and a new object; -EBADMSG and what is wrong with the library; or
 * why that can't be said, with words in @refusal's detail all the same. Blocks
 * for at most DESCRIBE_TIMEOUT_MS.
 */
int describe_filter(const char *program, const char *library,
		    json_t **ret_description, struct bundle_refusal *refusal);

#endif
