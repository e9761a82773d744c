/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter_files.h - files that filters write for people.
 *
 * They are opened before the process's doors close and stay open until it ends,
 * so that a filter that is closed and opened again finds its file. A file is of
 * a disk, a filter, a property and a folder.
 *
 * Thread: the disk's.
 */
#ifndef FOREBAY_PIPELINE_FILTER_FILES_H
#define FOREBAY_PIPELINE_FILTER_FILES_H

#include "error.h"
#include "forebay/filter.h"
#include "properties.h"

/* Most of one filter, and of a process. */
#define FILTER_FILES_MAX 4u
#define FILTER_FILES_KEPT_MAX 64u

/* Checks what a filter declares, whose properties have passed theirs. */
int filter_files_check(const struct forebay_filter *filter,
		       struct error *error);
/* Makes those that aren't there. Returns: 0 or @error's code. */
int filter_files_keep(const struct forebay_filter *filter,
		      const struct properties *properties, const char *disk,
		      struct error *error);
/* Returns: 0 or -ENOENT. Owns: the process. */
int filter_files_find(const struct forebay_filter *filter,
		      const struct properties *properties, const char *disk,
		      const char *property, int *ret_fd);

#endif
