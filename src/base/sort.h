/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sort.h - sorting in place, without allocation (glibc's qsort allocates).
 */
#ifndef FOREBAY_BASE_SORT_H
#define FOREBAY_BASE_SORT_H

#include <stddef.h>

/* Largest element that sort_in_place() takes. */
#define SORT_ELEMENT_BYTES_MAX 64u

/*
 * Heap sort: n log n in the worst case, not stable. @compare as for qsort().
 */
void sort_in_place(void *elements, size_t count, size_t element_bytes,
		   int (*compare)(const void *left, const void *right));

#endif
