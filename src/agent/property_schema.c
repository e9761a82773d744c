/* SPDX-License-Identifier: Apache-2.0 */
/* property_schema.c - see property_schema.h. Pure. */
#include "property_schema.h"

#include <stdio.h>
#include <string.h>

#define DRAFT "https://json-schema.org/draft/2020-12/schema"
/* What quantity.h takes; JSON Schema's patterns are ECMA-262's. */
#define SIZE_PATTERN "^[0-9]+(\\.[0-9]+)?(B|[KMGT]|[KMGT]iB)?$"
#define DURATION_PATTERN "^[0-9]+(\\.[0-9]+)?(ns|us|ms|s|min|h)$"
#define TITLE_BYTES 96u

static const char *text(const json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member));
}

static void copy(json_t *schema, const json_t *property, const char *member)
{
	json_t *value = json_object_get(property, member);

	if (value)
		json_object_set(schema, member, value);
}

static json_t *whole_number(const json_t *property)
{
	json_t *schema = json_pack("{s:s}", "type", "integer");

	copy(schema, property, "minimum");
	copy(schema, property, "maximum");
	return schema;
}

/* A number in the base unit, or a text with a unit. */
static json_t *quantity(const json_t *property, const char *pattern)
{
	return json_pack("{s:[o, {s:s, s:s}]}", "anyOf", whole_number(property),
			 "type", "string", "pattern", pattern);
}

static json_t *one_property(const json_t *property)
{
	const char *type = text(property, "type");
	json_t *schema;

	type = type ? type : "";
	if (strcmp(type, "size") == 0)
		schema = quantity(property, SIZE_PATTERN);
	else if (strcmp(type, "duration") == 0)
		schema = quantity(property, DURATION_PATTERN);
	else if (strcmp(type, "integer") == 0)
		schema = whole_number(property);
	else if (json_object_get(property, "choices"))
		schema = json_pack("{s:O}", "enum",
				   json_object_get(property, "choices"));
	else
		schema = json_pack("{s:s}", "type", type);
	copy(schema, property, "description");
	copy(schema, property, "default");
	return schema;
}

json_t *property_schema(const json_t *filter)
{
	json_t *properties = json_object();
	const json_t *property;
	const char *name = text(filter, "name");
	char title[TITLE_BYTES];
	size_t index;

	(void)snprintf(title, sizeof(title), "Properties of filter %s",
		       name ? name : "");
	json_array_foreach(json_object_get(filter, "properties"), index,
			   property)
	{
		json_object_set_new(properties, text(property, "name"),
				    one_property(property));
	}
	return json_pack("{s:s, s:s, s:s, s:b, s:o}", "$schema", DRAFT, "title",
			 title, "type", "object", "additionalProperties", 0,
			 "properties", properties);
}
