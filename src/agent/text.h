/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text.h - words for JSON: UTF-8, in one line.
 *
 * Paths, and messages that were cut off at the end of a buffer, may be neither.
 */
#ifndef FOREBAY_AGENT_TEXT_H
#define FOREBAY_AGENT_TEXT_H

#include <stdbool.h>

/* Puts '?' in the place of each byte that isn't part of a printable character.
 * Returns: @text. */
char *text_clean(char *text);
/* Whether text_clean() would change nothing. */
bool text_is_clean(const char *text);

#endif
