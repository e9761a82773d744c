// SPDX-License-Identifier: Apache-2.0
/*
 * properties.c - a set is an array of values parallel to the filter's table.
 *
 * A change makes another set, whose owner replaces the old one with it when it
 * has asked whom it must.
 */
#include "properties.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "nearest_name.h"
#include "property_value.h"

struct properties {
	const struct forebay_property *table;
	const char *filter;
	unsigned int count;
	struct property_value values[PROPERTIES_MAX];
};

static unsigned int table_count(const struct forebay_property *table)
{
	unsigned int count = 0;

	while (table && table[count].name)
		count++;
	return count;
}

/* Returns: its number, or -1. */
static int table_find(const struct forebay_property *table, const char *name)
{
	for (int i = 0; table && table[i].name; i++)
		if (strcmp(table[i].name, name) == 0)
			return i;
	return -1;
}

int properties_check_table(const struct forebay_property *table,
			   const char *filter, struct error *error)
{
	unsigned int count = table_count(table);

	if (count > PROPERTIES_MAX)
		return error_set(error, -EINVAL,
				 "filter %s declares %u properties, more than "
				 "%u",
				 filter, count, PROPERTIES_MAX);
	for (unsigned int i = 0; i < count; i++) {
		if (table_find(table, table[i].name) != (int)i)
			return error_set(error, -EINVAL,
					 "filter %s declares property '%s' "
					 "twice",
					 filter, table[i].name);
		if (!property_valid(&table[i]))
			return error_set(
				error, -EINVAL,
				"filter %s declares property '%s' with "
				"an unknown type, without description "
				"or with a default outside its bounds",
				filter, table[i].name);
	}
	return 0;
}

json_t *properties_describe(const struct forebay_property *table)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < table_count(table); i++)
		json_array_append_new(array, property_describe(&table[i]));
	return array;
}

static int refuse_unknown(const struct properties *set, const char *name,
			  struct error *error)
{
	const char *names[PROPERTIES_MAX];
	char known[256] = "";
	const char *near;

	if (set->count == 0)
		return error_set(error, -EINVAL,
				 "filter %s has no property '%s'; it has none",
				 set->filter, name);
	for (unsigned int i = 0; i < set->count; i++)
		names[i] = set->table[i].name;
	nearest_name_list(names, set->count, known, sizeof(known));
	near = nearest_name(names, set->count, name);
	if (near)
		return error_set(error, -EINVAL,
				 "filter %s has no property '%s': did you mean "
				 "'%s'? It knows %s",
				 set->filter, name, near, known);
	return error_set(error, -EINVAL,
			 "filter %s has no property '%s'; it knows %s",
			 set->filter, name, known);
}

static void values_release(struct property_value *values, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		property_value_release(&values[i]);
}

/* Parses @document into @values, where entries that it names are replaced. */
static int overlay(const struct properties *set, const json_t *document,
		   struct property_value *values, struct error *error)
{
	const char *name;
	json_t *json;

	if (document && !json_is_object(document))
		return error_set(error, -EINVAL,
				 "the properties of filter %s aren't an object",
				 set->filter);
	json_object_foreach((json_t *)document, name, json)
	{
		int index = table_find(set->table, name);
		int status;

		if (index < 0)
			return refuse_unknown(set, name, error);
		status = property_parse(&set->table[index], set->filter, json,
					&values[index], error);
		if (status < 0)
			return status;
	}
	return 0;
}

int properties_create(const struct forebay_property *table, const char *filter,
		      const json_t *document, struct properties **ret_set,
		      struct error *error)
{
	struct properties *set = calloc(1, sizeof(*set));
	int status = 0;

	if (!set)
		return error_set(error, -ENOMEM, "out of memory");
	set->table = table;
	set->filter = filter;
	set->count = table_count(table);
	for (unsigned int i = 0; i < set->count && status == 0; i++)
		status = property_default(&table[i], &set->values[i]);
	if (status < 0)
		error_set(error, status, "out of memory");
	else
		status = overlay(set, document, set->values, error);
	if (status < 0) {
		properties_destroy(set);
		return status;
	}
	*ret_set = set;
	return 0;
}

void properties_destroy(struct properties *set)
{
	if (!set)
		return;
	values_release(set->values, set->count);
	free(set);
}

static int check_online(const struct properties *set,
			const struct property_value *values,
			struct error *error)
{
	for (unsigned int i = 0; i < set->count; i++) {
		if (set->table[i].online ||
		    property_value_equal(&set->values[i], &values[i]))
			continue;
		return error_set(error, -EBUSY,
				 "property '%s' of filter %s can't change "
				 "while the disk is open: close it first",
				 set->table[i].name, set->filter);
	}
	return 0;
}

int properties_propose(const struct properties *set, const json_t *document,
		       struct properties **ret_set, struct error *error)
{
	struct properties *next = calloc(1, sizeof(*next));
	int status = 0;

	if (!next)
		return error_set(error, -ENOMEM, "out of memory");
	next->table = set->table;
	next->filter = set->filter;
	next->count = set->count;
	for (unsigned int i = 0; i < set->count && status == 0; i++)
		status = property_value_copy(&set->values[i], &next->values[i]);
	if (status < 0)
		error_set(error, status, "out of memory");
	else
		status = overlay(next, document, next->values, error);
	if (status == 0)
		status = check_online(set, next->values, error);
	if (status < 0) {
		properties_destroy(next);
		return status;
	}
	*ret_set = next;
	return 0;
}

json_t *properties_document(const struct properties *set)
{
	json_t *document = json_object();

	for (unsigned int i = 0; i < set->count; i++)
		json_object_set_new(
			document, set->table[i].name,
			property_value_json(&set->table[i], &set->values[i]));
	return document;
}

int properties_integer(const struct properties *set, const char *name,
		       int64_t *ret_value)
{
	int index = table_find(set->table, name);

	if (index < 0 || !property_is_number(set->table[index].type))
		return -ENOENT;
	*ret_value = set->values[index].integer;
	return 0;
}

int properties_string(const struct properties *set, const char *name,
		      const char **ret_value)
{
	int index = table_find(set->table, name);

	if (index < 0 || set->table[index].type != FOREBAY_PROPERTY_STRING)
		return -ENOENT;
	*ret_value = set->values[index].text;
	return 0;
}

int properties_boolean(const struct properties *set, const char *name,
		       bool *ret_value)
{
	int index = table_find(set->table, name);

	if (index < 0 || set->table[index].type != FOREBAY_PROPERTY_BOOLEAN)
		return -ENOENT;
	*ret_value = set->values[index].integer != 0;
	return 0;
}
