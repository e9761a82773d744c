/* SPDX-License-Identifier: Apache-2.0 */
/*
 * properties.h - a filter's typed settings: from JSON, checked, with defaults.
 *
 * Sizes and durations are written as a number in the base unit (bytes,
 * nanoseconds) or as text ("4KiB", "60s"); in here they are integers. Either
 * all of a document is valid and applied, or nothing changes.
 */
#ifndef FOREBAY_PIPELINE_PROPERTIES_H
#define FOREBAY_PIPELINE_PROPERTIES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "forebay/filter.h"

/* Most properties of one filter. */
#define PROPERTIES_MAX 64u

struct properties;

/* Checks what a filter declares: bounds, defaults, choices. */
int properties_check_table(const struct forebay_property *table,
			   const char *filter, struct error *error);
/* The table as a JSON array. Owns: the caller. */
json_t *properties_describe(const struct forebay_property *table);

/*
 * Makes a set for @table, which passed its check and outlives the set, with
 * @document's values (an object, or NULL for all defaults). @filter names the
 * owner in errors and outlives the set.
 */
int properties_create(const struct forebay_property *table, const char *filter,
		      const json_t *document, struct properties **ret_set,
		      struct error *error);
/* NULL is fine. */
void properties_destroy(struct properties *set);
/*
 * A set with the values of @set, but for what @document names; what differs
 * must be an online property.
 */
int properties_propose(const struct properties *set, const json_t *document,
		       struct properties **ret_set, struct error *error);
/* Values as a JSON object, integers in base units. Owns: the caller. */
json_t *properties_document(const struct properties *set);

/* Returns: 0, or -ENOENT if there is none of that name and kind of type. */
int properties_integer(const struct properties *set, const char *name,
		       int64_t *ret_value);
int properties_string(const struct properties *set, const char *name,
		      const char **ret_value);
int properties_boolean(const struct properties *set, const char *name,
		       bool *ret_value);

#endif
