// SPDX-License-Identifier: Apache-2.0
/* property_value.c - the only place that knows what each type looks like. */
#include "property_value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nearest_name.h"
#include "quantity.h"

/* Room for a number or quantity as text. */
#define NUMBER_TEXT_BYTES 32u
/* Most choices that an error lists. */
#define CHOICES_MAX 32u

static const char *type_name(enum forebay_property_type type)
{
	switch (type) {
	case FOREBAY_PROPERTY_INTEGER:
		return "integer";
	case FOREBAY_PROPERTY_SIZE:
		return "size";
	case FOREBAY_PROPERTY_DURATION:
		return "duration";
	case FOREBAY_PROPERTY_STRING:
		return "string";
	case FOREBAY_PROPERTY_BOOLEAN:
		return "boolean";
	}
	return NULL;
}

/* What a person should have written. */
static const char *type_hint(enum forebay_property_type type)
{
	switch (type) {
	case FOREBAY_PROPERTY_INTEGER:
		return "a whole number";
	case FOREBAY_PROPERTY_SIZE:
		return "a size such as 4096 or \"4KiB\"";
	case FOREBAY_PROPERTY_DURATION:
		return "a duration such as \"60s\" or nanoseconds";
	case FOREBAY_PROPERTY_STRING:
		return "text";
	case FOREBAY_PROPERTY_BOOLEAN:
		return "true or false";
	}
	return NULL;
}

bool property_is_number(enum forebay_property_type type)
{
	return type == FOREBAY_PROPERTY_INTEGER ||
	       type == FOREBAY_PROPERTY_SIZE ||
	       type == FOREBAY_PROPERTY_DURATION;
}

static unsigned int choice_count(const struct forebay_property *property)
{
	unsigned int count = 0;

	while (property->choices && property->choices[count])
		count++;
	return count;
}

static bool choice_valid(const struct forebay_property *property,
			 const char *text)
{
	unsigned int count = choice_count(property);

	for (unsigned int i = 0; i < count; i++)
		if (strcmp(property->choices[i], text) == 0)
			return true;
	return count == 0;
}

bool property_valid(const struct forebay_property *property)
{
	if (!type_name(property->type) || !property->description)
		return false;
	if (property->type == FOREBAY_PROPERTY_STRING)
		return property->default_string &&
		       choice_count(property) <= CHOICES_MAX &&
		       choice_valid(property, property->default_string);
	if (property->type == FOREBAY_PROPERTY_BOOLEAN)
		return property->default_integer == 0 ||
		       property->default_integer == 1;
	return property->minimum <= property->default_integer &&
	       property->default_integer <= property->maximum;
}

json_t *property_describe(const struct forebay_property *property)
{
	json_t *object =
		json_pack("{s:s, s:s, s:s, s:b}", "name", property->name,
			  "type", type_name(property->type), "description",
			  property->description, "online", property->online);
	struct property_value value = {
		.integer = property->default_integer,
		.text = (char *)property->default_string,
	};

	json_object_set_new(object, "default",
			    property_value_json(property, &value));
	if (property_is_number(property->type)) {
		json_object_set_new(object, "minimum",
				    json_integer(property->minimum));
		json_object_set_new(object, "maximum",
				    json_integer(property->maximum));
	}
	if (choice_count(property) > 0) {
		json_t *choices = json_array();

		for (unsigned int i = 0; i < choice_count(property); i++)
			json_array_append_new(
				choices, json_string(property->choices[i]));
		json_object_set_new(object, "choices", choices);
	}
	return object;
}

int property_default(const struct forebay_property *property,
		     struct property_value *ret_value)
{
	struct property_value value = {.integer = property->default_integer};

	if (property->type == FOREBAY_PROPERTY_STRING) {
		value.text = strdup(property->default_string);
		if (!value.text)
			return -ENOMEM;
	}
	*ret_value = value;
	return 0;
}

static int refuse_type(const struct forebay_property *property,
		       const char *filter, struct error *error)
{
	return error_set(error, -EINVAL, "property '%s' of filter %s takes %s",
			 property->name, filter, type_hint(property->type));
}

static const char *number_text(enum forebay_property_type type, int64_t number,
			       char *buffer)
{
	if (type == FOREBAY_PROPERTY_SIZE && number >= 0)
		return quantity_format_size((uint64_t)number, buffer,
					    NUMBER_TEXT_BYTES);
	if (type == FOREBAY_PROPERTY_DURATION && number >= 0)
		return quantity_format_duration((uint64_t)number, buffer,
						NUMBER_TEXT_BYTES);
	snprintf(buffer, NUMBER_TEXT_BYTES, "%" PRId64, number);
	return buffer;
}

/* Returns: 0, or -EINVAL if @json is no number of this type. */
static int number_from_json(enum forebay_property_type type, const json_t *json,
			    int64_t *ret_number)
{
	uint64_t quantity;
	int status = -EINVAL;

	if (json_is_integer(json)) {
		*ret_number = json_integer_value(json);
		return 0;
	}
	if (!json_is_string(json))
		return -EINVAL;
	if (type == FOREBAY_PROPERTY_SIZE)
		status =
			quantity_parse_size(json_string_value(json), &quantity);
	if (type == FOREBAY_PROPERTY_DURATION)
		status = quantity_parse_duration(json_string_value(json),
						 &quantity);
	if (status < 0 || quantity > INT64_MAX)
		return -EINVAL;
	*ret_number = (int64_t)quantity;
	return 0;
}

static int parse_number(const struct forebay_property *property,
			const char *filter, const json_t *json,
			struct property_value *value, struct error *error)
{
	char got[NUMBER_TEXT_BYTES];
	char limit[NUMBER_TEXT_BYTES];
	int64_t number;

	if (number_from_json(property->type, json, &number) < 0)
		return refuse_type(property, filter, error);
	if (number < property->minimum)
		return error_set(
			error, -ERANGE,
			"property '%s' of filter %s is %s, must be at "
			"least %s",
			property->name, filter,
			number_text(property->type, number, got),
			number_text(property->type, property->minimum, limit));
	if (number > property->maximum)
		return error_set(
			error, -ERANGE,
			"property '%s' of filter %s is %s, must be at "
			"most %s",
			property->name, filter,
			number_text(property->type, number, got),
			number_text(property->type, property->maximum, limit));
	value->integer = number;
	return 0;
}

static int parse_string(const struct forebay_property *property,
			const char *filter, const json_t *json,
			struct property_value *value, struct error *error)
{
	const char *text = json_string_value(json);
	char known[256];
	char *copy;

	/* A NUL inside would cut the text short unseen. */
	if (!text || strlen(text) != json_string_length(json))
		return refuse_type(property, filter, error);
	if (!choice_valid(property, text)) {
		nearest_name_list(property->choices, choice_count(property),
				  known, sizeof(known));
		return error_set(error, -EINVAL,
				 "property '%s' of filter %s is '%s', must be "
				 "one of %s",
				 property->name, filter, text, known);
	}
	copy = strdup(text);
	if (!copy)
		return error_set(error, -ENOMEM, "out of memory");
	free(value->text);
	value->text = copy;
	return 0;
}

int property_parse(const struct forebay_property *property, const char *filter,
		   const json_t *json, struct property_value *value,
		   struct error *error)
{
	switch (property->type) {
	case FOREBAY_PROPERTY_INTEGER:
	case FOREBAY_PROPERTY_SIZE:
	case FOREBAY_PROPERTY_DURATION:
		return parse_number(property, filter, json, value, error);
	case FOREBAY_PROPERTY_STRING:
		return parse_string(property, filter, json, value, error);
	case FOREBAY_PROPERTY_BOOLEAN:
		if (!json_is_boolean(json))
			return refuse_type(property, filter, error);
		value->integer = json_is_true(json);
		return 0;
	}
	return refuse_type(property, filter, error);
}

json_t *property_value_json(const struct forebay_property *property,
			    const struct property_value *value)
{
	if (property->type == FOREBAY_PROPERTY_STRING)
		return json_string(value->text);
	if (property->type == FOREBAY_PROPERTY_BOOLEAN)
		return json_boolean(value->integer);
	return json_integer(value->integer);
}

int property_value_copy(const struct property_value *value,
			struct property_value *ret_copy)
{
	struct property_value copy = {.integer = value->integer};

	if (value->text) {
		copy.text = strdup(value->text);
		if (!copy.text)
			return -ENOMEM;
	}
	*ret_copy = copy;
	return 0;
}

bool property_value_equal(const struct property_value *a,
			  const struct property_value *b)
{
	if (a->text && b->text)
		return strcmp(a->text, b->text) == 0;
	return a->integer == b->integer;
}

void property_value_release(struct property_value *value)
{
	free(value->text);
	value->text = NULL;
}
