/* SPDX-License-Identifier: Apache-2.0 */
/* describe_filter.h - forebay-disk --describe-filter. */
#ifndef FOREBAY_DISK_DESCRIBE_FILTER_H
#define FOREBAY_DISK_DESCRIBE_FILTER_H

/*
 * Loads the library @path in a sandbox and prints what it says of itself, a
 * JSON object. If it can't be used, standard output has {"issue", "detail"}
 * and standard error the detail. Ends the process.
 */
_Noreturn void describe_filter(const char *path);

#endif
