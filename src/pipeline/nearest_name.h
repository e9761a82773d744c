/* SPDX-License-Identifier: Apache-2.0 */
/* nearest_name.h - what somebody who mistyped a name may have meant. */
#ifndef FOREBAY_PIPELINE_NEAREST_NAME_H
#define FOREBAY_PIPELINE_NEAREST_NAME_H

#include <stddef.h>

/*
 * Returns: the name that takes the fewest insertions, deletions and
 * replacements of a character, or NULL if none is near.
 */
const char *nearest_name(const char *const *names, size_t count,
			 const char *typed);
/* "a, b, c" into @buffer, cut off with "..." where it doesn't fit. */
void nearest_name_list(const char *const *names, size_t count, char *buffer,
		       size_t buffer_bytes);

#endif
