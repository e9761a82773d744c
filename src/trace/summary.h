/* SPDX-License-Identifier: Apache-2.0 */
/* summary.h - what a trace comes to, in a table or as JSON. */
#ifndef FOREBAY_TRACE_SUMMARY_H
#define FOREBAY_TRACE_SUMMARY_H

#include <stdbool.h>

#include "trace_file.h"

/* Reads @file to its end. */
void summary_print(struct trace_file *file, bool json);
/* A line for each record. */
void summary_print_records(struct trace_file *file);

const char *summary_operation_name(enum forebay_operation operation);

#endif
