// SPDX-License-Identifier: Apache-2.0
/*
 * filter_library.c - dlopen() and the checks that follow it.
 *
 * Only one symbol is ever looked up, and RTLD_LOCAL keeps a filter's others
 * from meeting those of another filter.
 */
#include "filter_library.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "event_kind.h"
#include "filter_call.h"
#include "filter_files.h"
#include "filter_metrics.h"
#include "operation_name.h"
#include "properties.h"
#include "sidecar_format.h"

#define SYMBOL "forebay_filter"

/* Size of the table in the first version of the ABI: it ended with action. */
#define STRUCT_SIZE_MIN                            \
	(offsetof(struct forebay_filter, action) + \
	 sizeof(((struct forebay_filter *)0)->action))

const char *filter_class_name(enum forebay_class filter_class)
{
	switch (filter_class) {
	case FOREBAY_CLASS_INSPECTION:
		return "inspection";
	case FOREBAY_CLASS_QOS:
		return "qos";
	case FOREBAY_CLASS_COMPRESSION:
		return "compression";
	case FOREBAY_CLASS_ENCRYPTION:
		return "encryption";
	case FOREBAY_CLASS_REPLICATION:
		return "replication";
	case FOREBAY_CLASS_CACHE:
		return "cache";
	case FOREBAY_CLASS_INTEGRITY:
		return "integrity";
	}
	return NULL;
}

/* Of filters and of their sidecars. */
static bool name_valid(const char *name)
{
	size_t length = name ? strnlen(name, FILTER_NAME_MAX + 1) : 0;

	return length > 0 && length <= FILTER_NAME_MAX &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

static int check_sidecars(const struct forebay_filter *filter, const char *path,
			  struct error *error)
{
	const struct forebay_sidecar *sidecar = filter->sidecars;
	uint32_t count = 0;

	for (; sidecar && sidecar->name; sidecar++, count++) {
		if (count == FOREBAY_SIDECARS_MAX)
			return error_set(error, -EINVAL,
					 "%s: filter %s has more than %u "
					 "sidecars",
					 path, filter->name,
					 FOREBAY_SIDECARS_MAX);
		if (!name_valid(sidecar->name) || !sidecar->description ||
		    sidecar->length_bytes_max == 0 ||
		    sidecar->length_bytes_max > SIDECAR_LENGTH_BYTES_MAX ||
		    sidecar->length_bytes_max % SIDECAR_BLOCK_BYTES != 0)
			return error_set(error, -EINVAL,
					 "%s: sidecar %u of filter %s isn't "
					 "right: its name, description or "
					 "length",
					 path, count, filter->name);
	}
	return 0;
}

/* The fields that don't depend on each other; ABI and size fit already. */
static int check(const struct forebay_filter *filter, const char *path,
		 struct error *error)
{
	const uint32_t known = FOREBAY_OPERATION_BIT(OPERATION_COUNT) - 1;

	if (!name_valid(filter->name))
		return error_set(error, -EINVAL,
				 "%s: its filter's name isn't 1 to %u of a-z, "
				 "0-9 and '-'",
				 path, FILTER_NAME_MAX);
	if (!filter->version || !filter->description)
		return error_set(error, -EINVAL,
				 "%s: filter %s lacks a version or description",
				 path, filter->name);
	if (!filter_class_name(filter->filter_class))
		return error_set(error, -EDOM,
				 "%s: filter %s is of an unknown class (%u)",
				 path, filter->name,
				 (unsigned int)filter->filter_class);
	if (!(filter->operations & known))
		return error_set(error, -EINVAL,
				 "%s: filter %s understands no operation", path,
				 filter->name);
	if (filter->request_context_bytes > FILTER_CONTEXT_MAX)
		return error_set(error, -EINVAL,
				 "%s: filter %s wants %u context bytes in each "
				 "request, more than %u",
				 path, filter->name,
				 filter->request_context_bytes,
				 FILTER_CONTEXT_MAX);
	if (!filter->open || !filter->close || !filter->submit)
		return error_set(error, -EINVAL,
				 "%s: filter %s lacks open, close or submit",
				 path, filter->name);
	if (filter->events && !filter->event)
		return error_set(error, -EINVAL,
				 "%s: filter %s names events and lacks event",
				 path, filter->name);
	if (check_sidecars(filter, path, error) < 0 ||
	    filter_metrics_check(filter->metrics, filter->name, error) < 0 ||
	    filter_call_check(filter, error) < 0 ||
	    properties_check_table(filter->properties, filter->name, error) < 0)
		return error->code;
	return filter_files_check(filter, error);
}

static int adopt(struct filter_library *library, const char *path,
		 struct error *error)
{
	const struct forebay_filter *exported = dlsym(library->handle, SYMBOL);
	size_t bytes;

	if (!exported)
		return error_set(error, -ENOSYS,
				 "%s isn't a Forebay filter: it doesn't export "
				 "'" SYMBOL "'",
				 path);
	if (exported->abi_version != FOREBAY_FILTER_ABI)
		return error_set(error, -EPROTONOSUPPORT,
				 "%s was built for filter ABI %u, this Forebay "
				 "speaks %u: build the filter again",
				 path, exported->abi_version,
				 FOREBAY_FILTER_ABI);
	if (exported->struct_size < STRUCT_SIZE_MIN)
		return error_set(error, -EPROTONOSUPPORT,
				 "%s exports a filter table of %u bytes, less "
				 "than the %zu of the first version",
				 path, exported->struct_size, STRUCT_SIZE_MIN);
	/* An older filter's table may be shorter, and the rest stays NULL; what
	 * a newer one has beyond ours we don't call. */
	bytes = sizeof(library->filter);
	if (exported->struct_size < bytes)
		bytes = exported->struct_size;
	memcpy(&library->filter, exported, bytes);
	return check(&library->filter, path, error);
}

/* @path: what the loader called it by, when that isn't its name. */
static void explain_load(const char *reason, const char *path,
			 struct error *error)
{
	size_t length = strlen(path);

	if (length > 0 && strncmp(reason, path, length) == 0)
		reason += length + strspn(reason + length, ": ");
	error_set(error,
		  strstr(reason, "undefined symbol") ? -ENOSYS : -ENOEXEC,
		  "the filter library can't be loaded: %s", reason);
}

/*
 * One that is kept is found by its name, and its file isn't looked at.
 * Returns: NULL with @error.
 */
static void *load(const char *path, int flags, struct error *error)
{
	void *handle;

	/* Without a slash dlopen() would search the system's libraries. */
	if (path[0] != '/') {
		error_set(error, -EINVAL,
			  "the filter library '%s' isn't an absolute path",
			  path);
		return NULL;
	}
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD | flags);
	if (!handle && access(path, R_OK) < 0) {
		error_set(error, -errno, "the filter library %s: %s", path,
			  strerror(errno));
		return NULL;
	}
	if (!handle)
		handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | flags);
	if (!handle)
		explain_load(dlerror(), "", error);
	return handle;
}

int filter_library_keep(const char *path, struct error *error)
{
	void *handle = load(path, RTLD_NODELETE, error);

	if (!handle)
		return error->code;
	dlclose(handle);
	return 0;
}

/* Takes @handle. */
static int open_handle(void *handle, const char *path,
		       struct filter_library **ret_library, struct error *error)
{
	struct filter_library *library = calloc(1, sizeof(*library));
	int status;

	if (!library) {
		dlclose(handle);
		return error_set(error, -ENOMEM, "out of memory");
	}
	library->handle = handle;
	status = adopt(library, path, error);
	if (status < 0) {
		filter_library_close(library);
		return status;
	}
	*ret_library = library;
	return 0;
}

int filter_library_open(const char *path, struct filter_library **ret_library,
			struct error *error)
{
	void *handle = load(path, 0, error);

	return handle ? open_handle(handle, path, ret_library, error)
		      : error->code;
}

int filter_library_open_fd(int fd, const char *path,
			   struct filter_library **ret_library,
			   struct error *error)
{
	char by_fd[32];
	void *handle;

	snprintf(by_fd, sizeof(by_fd), "/proc/self/fd/%d", fd);
	handle = dlopen(by_fd, RTLD_NOW | RTLD_LOCAL);
	if (!handle) {
		explain_load(dlerror(), by_fd, error);
		return error->code;
	}
	return open_handle(handle, path, ret_library, error);
}

void filter_library_close(struct filter_library *library)
{
	if (!library)
		return;
	dlclose(library->handle);
	free(library);
}

static json_t *describe_events(uint32_t events)
{
	json_t *names = json_array();

	for (unsigned int i = 0; i < EVENT_KIND_COUNT; i++) {
		enum forebay_event_kind kind = (enum forebay_event_kind)i;

		if (events & FOREBAY_EVENT_BIT(kind))
			json_array_append_new(
				names, json_string(event_kind(kind)->name));
	}
	return names;
}

static json_t *describe_sidecars(const struct forebay_sidecar *sidecar)
{
	json_t *sidecars = json_array();

	for (; sidecar && sidecar->name; sidecar++)
		json_array_append_new(
			sidecars,
			json_pack("{s:s, s:s, s:I}", "name", sidecar->name,
				  "description", sidecar->description,
				  "length_bytes_max",
				  (json_int_t)sidecar->length_bytes_max));
	return sidecars;
}

json_t *filter_library_describe(const struct filter_library *library)
{
	const struct forebay_filter *filter = &library->filter;
	json_t *operations = json_array();

	for (unsigned int i = 0; i < OPERATION_COUNT; i++) {
		enum forebay_operation operation = (enum forebay_operation)i;

		if (filter->operations & FOREBAY_OPERATION_BIT(operation))
			json_array_append_new(
				operations,
				json_string(operation_name(operation)));
	}
	return json_pack(
		"{s:s, s:s, s:s, s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:o}",
		"name", filter->name, "version", filter->version, "description",
		filter->description, "class",
		filter_class_name(filter->filter_class), "abi_version",
		(int)filter->abi_version, "operations", operations, "events",
		describe_events(filter->events), "sidecars",
		describe_sidecars(filter->sidecars), "properties",
		properties_describe(filter->properties), "metrics",
		filter_metrics_describe(filter->metrics), "actions",
		filter_call_describe(filter->actions));
}
