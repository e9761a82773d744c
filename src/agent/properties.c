/* SPDX-License-Identifier: Apache-2.0 */
/*
 * properties.c - types, units, ranges and choices of filter properties.
 */
#include "properties.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "nearest_name.h"
#include "quantity.h"

/* Of a filter's properties, for the words of a refusal. */
#define NAMES_MAX 32u

/* What is being checked, for the words of a refusal. */
struct subject {
	const char *filter;
	const char *property;
	const char *type; /* as described */
	const json_t *schema;
	struct problem *problem;
};

static int refuse(const struct subject *subject, const char *wanted)
{
	problem_set(subject->problem, PROBLEM_BAD_PROPERTY,
		    "property %s of filter %s must be %s", subject->property,
		    subject->filter, wanted);
	return problem_about(subject->problem, "filter", subject->filter);
}

/* A bound as people write it. */
static void format_bound(const struct subject *subject, int64_t value,
			 char *buffer, size_t buffer_bytes)
{
	if (value >= 0 && strcmp(subject->type, "size") == 0)
		quantity_format_size((uint64_t)value, buffer, buffer_bytes);
	else if (value >= 0 && strcmp(subject->type, "duration") == 0)
		quantity_format_duration((uint64_t)value, buffer, buffer_bytes);
	else
		snprintf(buffer, buffer_bytes, "%" PRId64, value);
}

static int check_range(const struct subject *subject, int64_t value)
{
	const json_t *minimum = json_object_get(subject->schema, "minimum");
	const json_t *maximum = json_object_get(subject->schema, "maximum");
	char low[32] = "", high[32] = "", wanted[96];

	if ((!minimum || value >= json_integer_value(minimum)) &&
	    (!maximum || value <= json_integer_value(maximum)))
		return 0;
	format_bound(subject, json_integer_value(minimum), low, sizeof(low));
	format_bound(subject, json_integer_value(maximum), high, sizeof(high));
	if (minimum && maximum)
		snprintf(wanted, sizeof(wanted), "from %s to %s", low, high);
	else if (minimum)
		snprintf(wanted, sizeof(wanted), "at least %s", low);
	else
		snprintf(wanted, sizeof(wanted), "at most %s", high);
	return refuse(subject, wanted);
}

/* Numbers: plain ones, or text with a unit where the type has units. */
static int check_number(const struct subject *subject, const json_t *value,
			json_t **ret_normal)
{
	const char *text = json_string_value(value);
	const char *wanted = "a whole number";
	uint64_t quantity = 0;
	int result = -EINVAL;

	if (strcmp(subject->type, "size") == 0) {
		wanted = "a size such as 4KiB or 1GiB";
		if (text)
			result = quantity_parse_size(text, &quantity);
	} else if (strcmp(subject->type, "duration") == 0) {
		wanted = "a duration such as 500ms or 60s";
		if (text)
			result = quantity_parse_duration(text, &quantity);
	}
	if (json_is_integer(value)) {
		quantity = (uint64_t)json_integer_value(value);
		result = 0;
	}
	if (result < 0)
		return refuse(subject, wanted);
	result = check_range(subject, (int64_t)quantity);
	if (result == 0)
		*ret_normal = json_integer((json_int_t)quantity);
	return result;
}

static int check_string(const struct subject *subject, const json_t *value,
			json_t **ret_normal)
{
	const json_t *choices = json_object_get(subject->schema, "choices");
	char wanted[200] = "one of:";
	const json_t *choice;
	size_t index, length;

	if (!json_is_string(value))
		return refuse(subject, "a string");
	if (json_array_size(choices) == 0) {
		*ret_normal = json_deep_copy(value);
		return 0;
	}
	json_array_foreach(choices, index, choice)
	{
		if (json_equal(choice, value)) {
			*ret_normal = json_deep_copy(value);
			return 0;
		}
		length = strlen(wanted);
		snprintf(wanted + length, sizeof(wanted) - length, "%s %s",
			 index > 0 ? "," : "", json_string_value(choice));
	}
	return refuse(subject, wanted);
}

static int check_value(const struct subject *subject, const json_t *value,
		       json_t **ret_normal)
{
	if (strcmp(subject->type, "string") == 0)
		return check_string(subject, value, ret_normal);
	if (strcmp(subject->type, "boolean") != 0)
		return check_number(subject, value, ret_normal);
	if (!json_is_boolean(value))
		return refuse(subject, "true or false");
	*ret_normal = json_deep_copy(value);
	return 0;
}

static const json_t *find_schema(const json_t *description, const char *name)
{
	const json_t *schema;
	size_t index;

	json_array_foreach(json_object_get(description, "properties"), index,
			   schema)
	{
		const char *known =
			json_string_value(json_object_get(schema, "name"));

		if (known && strcmp(known, name) == 0)
			return schema;
	}
	return NULL;
}

static int refuse_unknown(const json_t *description, const char *filter,
			  const char *property, struct problem *problem)
{
	const json_t *schemas = json_object_get(description, "properties");
	const char *names[NAMES_MAX];
	char known[200];
	const char *meant;
	size_t count = 0;

	while (count < NAMES_MAX && count < json_array_size(schemas)) {
		const char *name = json_string_value(json_object_get(
			json_array_get(schemas, count), "name"));

		names[count++] = name ? name : "";
	}
	nearest_name_list(names, count, known, sizeof(known));
	meant = nearest_name(names, count, property);
	problem_set(problem, PROBLEM_UNKNOWN_PROPERTY,
		    "filter %s has no property \"%.80s\"", filter, property);
	problem_about(problem, "filter", filter);
	if (meant)
		return problem_hint(problem, "did you mean %s?", meant);
	if (known[0])
		return problem_hint(problem, "it has: %s", known);
	return problem_hint(problem, "it has none");
}

int properties_check(const json_t *description, const json_t *given,
		     json_t **ret_normal, struct problem *problem)
{
	const char *filter =
		json_string_value(json_object_get(description, "name"));
	json_auto_t *normal = json_object();
	const char *name;
	json_t *value;

	if (given && !json_is_object(given))
		return problem_set(problem, PROBLEM_BAD_REQUEST,
				   "the properties of filter %s must be an "
				   "object",
				   filter);
	json_object_foreach((json_t *)given, name, value)
	{
		const json_t *schema = find_schema(description, name);
		struct subject subject = {
			.filter = filter,
			.property = name,
			.type = json_string_value(
				json_object_get(schema, "type")),
			.schema = schema,
			.problem = problem,
		};
		json_t *checked = NULL;
		int result;

		if (!schema || !subject.type)
			result = refuse_unknown(description, filter, name,
						problem);
		else
			result = check_value(&subject, value, &checked);
		if (result < 0)
			return problem_inside(problem, name);
		if (json_object_set_new(normal, name, checked) < 0)
			return problem_internal(problem, "properties", -ENOMEM);
	}
	*ret_normal = json_incref(normal);
	return 0;
}
