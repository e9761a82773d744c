/* SPDX-License-Identifier: Apache-2.0 */
/* nearest_name.h - what somebody who mistyped a name may have meant. */
#ifndef FOREBAY_BASE_NEAREST_NAME_H
#define FOREBAY_BASE_NEAREST_NAME_H

#include <stddef.h>

/*
 * Returns: the name that takes the fewest insertions, deletions, replacements
 * and swaps of characters, the first of equally near ones; NULL if none is
 * near: a third of its characters, and one in any case, may differ, or lack at
 * its end.
 */
const char *nearest_name(const char *const *names, size_t count,
			 const char *typed);
/* "a, b, c" into @buffer, cut off with "..." where it doesn't fit. */
void nearest_name_list(const char *const *names, size_t count, char *buffer,
		       size_t buffer_bytes);

#endif
