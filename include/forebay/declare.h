/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forebay/declare.h - what a filter declares beside its callbacks: properties,
 * files, metrics and actions.
 *
 * Each is a list of constant entries that the filter's table points to, and
 * that ends with an empty one; the entries of a list can't grow. They are
 * checked when the filter is loaded. filter.h includes this.
 */
#ifndef FOREBAY_DECLARE_H
#define FOREBAY_DECLARE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Type of a property. In JSON and YAML, SIZE takes "4KiB", DURATION "60s". */
enum forebay_property_type {
	FOREBAY_PROPERTY_INTEGER = 1, /* plain number */
	FOREBAY_PROPERTY_SIZE = 2, /* bytes */
	FOREBAY_PROPERTY_DURATION = 3, /* nanoseconds */
	FOREBAY_PROPERTY_STRING = 4, /* one of `choices` when there are any */
	FOREBAY_PROPERTY_BOOLEAN = 5,
};

/* One property. A list of them ends with an entry whose name is NULL. */
struct forebay_property {
	const char *name;
	const char *description; /* one sentence */
	const char *const *choices; /* STRING: NULL-terminated list, or NULL */
	const char *default_string; /* STRING */
	int64_t default_integer; /* numbers and BOOLEAN (0, 1) */
	int64_t minimum; /* numbers */
	int64_t maximum;
	enum forebay_property_type type;
	bool online; /* may change while the disk is open */
};

/*
 * A file that a filter writes for people, such as a trace. The disk's process
 * can open none once its doors are closed, so Forebay makes it before, if the
 * property isn't "": FOLDER/DISK-TIME.SUFFIX, a new one in each process, whose
 * owner is the one of forebayd. A folder that isn't there refuses the open of
 * the disk. A list of them ends with an entry whose property is NULL.
 */
struct forebay_file {
	/* One of the filter's: a STRING, not online, whose default is "". */
	const char *property;
	const char *suffix; /* a-z, 0-9; at most 15 */
};

enum forebay_metric_kind {
	FOREBAY_METRIC_COUNTER = 1, /* only grows */
	FOREBAY_METRIC_GAUGE = 2,
	FOREBAY_METRIC_HISTOGRAM = 3, /* by powers of two */
};

enum forebay_metric_unit {
	FOREBAY_UNIT_NONE = 1, /* a plain number */
	FOREBAY_UNIT_BYTES = 2,
	FOREBAY_UNIT_SECONDS = 3, /* nanoseconds in here, seconds outside */
};

/*
 * A figure of an instance. It stands in the instance's status, and in /metrics
 * as forebay_filter_FILTER_NAME, with the unit and, of a counter, _total behind
 * it. A list of them ends with an entry whose name is NULL.
 */
struct forebay_metric {
	const char *name; /* a-z, 0-9, '_'; without unit; at most 47 */
	const char *help; /* one sentence */
	enum forebay_metric_kind kind;
	enum forebay_metric_unit unit;
};

/*
 * Something that an operator may have the filter do. A list of them ends with
 * an entry whose name is NULL.
 */
struct forebay_action {
	const char *name; /* a-z, 0-9, '-'; at most 31 */
	const char *description; /* one sentence */
	/* Typed like properties, or NULL: none. `online` says nothing here. */
	const struct forebay_property *arguments;
};

#ifdef __cplusplus
}
#endif

#endif
