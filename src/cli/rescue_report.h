/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rescue_report.h - what a rescue found, as JSON. forebay-disk(1) explains the
 * members.
 */
#ifndef FOREBAY_CLI_RESCUE_REPORT_H
#define FOREBAY_CLI_RESCUE_REPORT_H

#include <jansson.h>

#include "findings.h"
#include "recovered.h"
#include "source.h"

/*
 * @recovered: NULL for a blank file. @reason: why a start refuses the file, or
 * "". Returns: a new reference, or NULL.
 */
json_t *rescue_report_log(const char *path, const struct source *source,
			  const struct recovered *recovered,
			  const char *reason);
/* Adds what a walk over the data found. Returns: 0 or -ENOMEM. */
int rescue_report_add(json_t *report, const struct findings *findings);

#endif
