/* SPDX-License-Identifier: Apache-2.0 */
/* bench_report.h - what forebay bench measured, as a document and a table. */
#ifndef FOREBAY_CLI_BENCH_REPORT_H
#define FOREBAY_CLI_BENCH_REPORT_H

#include <jansson.h>

#include "load.h"

/* The document that forebay-bench(1) describes. NULL: out of memory. */
json_t *bench_report_json(const struct load_options *options,
			  const struct load_result *result);
/* Shows that document for people. Returns: 0 or a negative errno. */
int bench_report_present(const json_t *report);
/* A line on standard error that the next one overwrites. */
void bench_report_progress(void *context, const struct load_progress *progress);

#endif
