/* SPDX-License-Identifier: Apache-2.0 */
/* rescue_view.h - reports of a rescue for people; output_present_fn. */
#ifndef FOREBAY_CLI_RESCUE_VIEW_H
#define FOREBAY_CLI_RESCUE_VIEW_H

#include <jansson.h>
#include <stdio.h>

#include "findings.h"

int rescue_view_list(const json_t *report);
int rescue_view_check(const json_t *report);
int rescue_view_extract(const json_t *report);

/* A line each, where standard output is taken. */
void rescue_view_lines(FILE *stream, const char *what,
		       const struct ranges *ranges);

#endif
