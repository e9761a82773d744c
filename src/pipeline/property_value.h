/* SPDX-License-Identifier: Apache-2.0 */
/* property_value.h - one property: its declaration and one value of it. */
#ifndef FOREBAY_PIPELINE_PROPERTY_VALUE_H
#define FOREBAY_PIPELINE_PROPERTY_VALUE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "forebay/filter.h"

struct property_value {
	int64_t integer; /* numbers, and BOOLEAN as 0 or 1 */
	char *text; /* STRING, owned; else NULL */
};

/* Whether the declaration makes sense. */
bool property_valid(const struct forebay_property *property);
bool property_is_number(enum forebay_property_type type);
/* The declaration as a JSON object. Owns: the caller. */
json_t *property_describe(const struct forebay_property *property);

/* Returns: 0 or -ENOMEM. */
int property_default(const struct forebay_property *property,
		     struct property_value *ret_value);
/* Replaces @value by what @json says; unchanged on failure. */
int property_parse(const struct forebay_property *property, const char *filter,
		   const json_t *json, struct property_value *value,
		   struct error *error);
json_t *property_value_json(const struct forebay_property *property,
			    const struct property_value *value);

/* Returns: 0 or -ENOMEM. */
int property_value_copy(const struct property_value *value,
			struct property_value *ret_copy);
bool property_value_equal(const struct property_value *a,
			  const struct property_value *b);
void property_value_release(struct property_value *value);

#endif
