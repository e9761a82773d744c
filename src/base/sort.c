// SPDX-License-Identifier: Apache-2.0
/*
 * sort.c - heap sort: the array is its own heap, largest element on top.
 */
#include "sort.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

struct heap {
	uint8_t *elements;
	size_t bytes;
	int (*compare)(const void *left, const void *right);
};

static void *at(const struct heap *heap, size_t i)
{
	return heap->elements + i * heap->bytes;
}

static void swap(const struct heap *heap, size_t i, size_t j)
{
	uint8_t kept[SORT_ELEMENT_BYTES_MAX];

	memcpy(kept, at(heap, i), heap->bytes);
	memcpy(at(heap, i), at(heap, j), heap->bytes);
	memcpy(at(heap, j), kept, heap->bytes);
}

/* Lets the element at @root sink to its place among the first @count. */
static void sink(const struct heap *heap, size_t root, size_t count)
{
	for (;;) {
		size_t child = 2 * root + 1;

		if (child >= count)
			return;
		if (child + 1 < count &&
		    heap->compare(at(heap, child), at(heap, child + 1)) < 0)
			child++;
		if (heap->compare(at(heap, root), at(heap, child)) >= 0)
			return;
		swap(heap, root, child);
		root = child;
	}
}

void sort_in_place(void *elements, size_t count, size_t element_bytes,
		   int (*compare)(const void *left, const void *right))
{
	struct heap heap = {elements, element_bytes, compare};

	assert(element_bytes <= SORT_ELEMENT_BYTES_MAX);
	for (size_t i = count / 2; i > 0; i--)
		sink(&heap, i - 1, count);
	for (size_t i = count; i > 1; i--) {
		swap(&heap, 0, i - 1);
		sink(&heap, 0, i - 1);
	}
}
