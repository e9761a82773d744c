/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status_text.h - a status document, written piece by piece into the buffer
 * that a filter is given, which may turn out to be too small.
 */
#ifndef FOREBAY_FILTERS_STATUS_TEXT_H
#define FOREBAY_FILTERS_STATUS_TEXT_H

#include <stddef.h>

struct status_text {
	char *start;
	char *at;
	size_t left; /* with room for the NUL; 0: it didn't fit */
};

struct status_text status_text_begin(char *buffer, size_t buffer_bytes);
void status_text_add(struct status_text *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* A JSON string of printable ASCII; @value NULL: null. */
void status_text_add_string(struct status_text *text, const char *value);
/* Returns: what a filter's status() does. */
int status_text_end(const struct status_text *text);

#endif
