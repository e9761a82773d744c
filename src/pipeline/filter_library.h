/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter_library.h - a filter's shared object, loaded and found to be sane.
 *
 * The one gate for what a .so exports: behind it every pointer that must be
 * there is there, names and classes are valid, and the fields that an older
 * filter doesn't know read as NULL.
 */
#ifndef FOREBAY_PIPELINE_FILTER_LIBRARY_H
#define FOREBAY_PIPELINE_FILTER_LIBRARY_H

#include <jansson.h>

#include "error.h"
#include "forebay/filter.h"

/* Most context bytes that a filter may ask for in every request. */
#define FILTER_CONTEXT_MAX 4096u
/* Longest name of a filter. */
#define FILTER_NAME_MAX 31u

struct filter_library {
	void *handle;
	struct forebay_filter filter; /* our copy of what it exports */
};

/*
 * For a process that opens it later, when no file can be opened any more: loads
 * @path for good. Returns: 0 or @error's code.
 */
int filter_library_keep(const char *path, struct error *error);
/*
 * Loads @path, which must be absolute. Returns: 0 or @error's code: -ENOEXEC it
 * can't be loaded, -ENOSYS it lacks a symbol, -EPROTONOSUPPORT another ABI,
 * -EDOM an unknown class, -EINVAL its table breaks another rule.
 */
int filter_library_open(const char *path, struct filter_library **ret_library,
			struct error *error);
/* The same of an open file, which messages call @path. */
int filter_library_open_fd(int fd, const char *path,
			   struct filter_library **ret_library,
			   struct error *error);
/* No instance may be left. NULL is fine. */
void filter_library_close(struct filter_library *library);

/* "qos", "cache", ... */
const char *filter_class_name(enum forebay_class filter_class);

/* What `forebay-disk --describe-filter` prints. Owns: the caller. */
json_t *filter_library_describe(const struct filter_library *library);

#endif
