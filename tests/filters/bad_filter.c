// SPDX-License-Identifier: Apache-2.0
/*
 * bad_filter.c - a filter with one thing wrong: the build overrides one of the
 * values below for each of its variants.
 */
#include <stddef.h>

#include <forebay/filter.h>

#ifndef BAD_ABI
#define BAD_ABI FOREBAY_FILTER_ABI
#endif
#ifndef BAD_STRUCT_SIZE
#define BAD_STRUCT_SIZE sizeof(struct forebay_filter)
#endif
#ifndef BAD_NAME
#define BAD_NAME "bad"
#endif
#ifndef BAD_CLASS
#define BAD_CLASS FOREBAY_CLASS_INSPECTION
#endif
#ifndef BAD_OPERATIONS
#define BAD_OPERATIONS FOREBAY_OPERATION_BIT(FOREBAY_READ)
#endif
#ifndef BAD_CONTEXT
#define BAD_CONTEXT 0
#endif
#ifndef BAD_SUBMIT
#define BAD_SUBMIT bad_submit
#endif
#ifndef BAD_EVENTS
#define BAD_EVENTS 0
#endif
#ifndef BAD_FILES
#define BAD_FILES NULL
#endif
#ifndef BAD_DEFAULT
#define BAD_DEFAULT 0
#endif

static void bad_open(struct forebay_instance *instance,
		     const struct forebay_host *host,
		     const struct forebay_disk *disk, void **ret_state)
{
	(void)disk;
	(void)ret_state;
	host->open_done(instance, 0);
}

static void bad_close(void *state)
{
	(void)state;
}

__attribute__((unused)) static void bad_submit(void *state,
					       struct forebay_request *request)
{
	(void)state;
	(void)request;
}

static const struct forebay_property bad_properties[] = {
	{
		.name = "number",
		.description = "At most 10.",
		.type = FOREBAY_PROPERTY_INTEGER,
		.default_integer = BAD_DEFAULT,
		.maximum = 10,
	},
	{0},
};

static const struct forebay_file bad_files[] = {
	{.property = BAD_FILES, .suffix = "bad"},
	{0},
};

const struct forebay_filter forebay_filter = {
	.abi_version = BAD_ABI,
	.struct_size = BAD_STRUCT_SIZE,
	.name = BAD_NAME,
	.version = "1.0.0",
	.description = "Has one thing wrong.",
	.filter_class = (enum forebay_class)BAD_CLASS,
	.operations = BAD_OPERATIONS,
	.request_context_bytes = BAD_CONTEXT,
	.properties = bad_properties,
	.open = bad_open,
	.close = bad_close,
	.submit = BAD_SUBMIT,
	.files = bad_files,
	.events = BAD_EVENTS,
};
