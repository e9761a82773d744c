/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_file.c - name: TEXT, filters: [{filter: TEXT, properties: {...},
 * on_failure: TEXT}].
 *
 * The form is checked here and not only behind the API because only here the
 * lines of the file are known.
 */
#include "policy_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "nearest_name.h"
#include "yaml_read.h"

#define WHERE_BYTES 512u

static int refuse(const struct yaml_source *source, const char *where,
		  const char *what, struct error *error)
{
	return error_set(error, -EINVAL, "%s:%d: %s", source->name,
			 yaml_source_line(source, where), what);
}

/* The members that the object at @where may have; @known ends with NULL. */
static int check_keys(const struct yaml_source *source, const char *where,
		      const json_t *object, const char *const *known,
		      struct error *error)
{
	size_t known_count = 0;
	char names[WHERE_BYTES];
	const char *key;
	json_t *value;

	while (known[known_count])
		known_count++;
	nearest_name_list(known, known_count, names, sizeof(names));
	json_object_foreach((json_t *)object, key, value)
	{
		const char *meant = nearest_name(known, known_count, key);
		char pointer[WHERE_BYTES];
		char what[WHERE_BYTES];

		(void)value;
		if (meant && strcmp(meant, key) == 0)
			continue;
		(void)snprintf(pointer, sizeof(pointer), "%s/%s", where, key);
		if (meant)
			(void)snprintf(what, sizeof(what),
				       "unknown key '%.100s'; did you mean %s",
				       key, meant);
		else
			(void)snprintf(what, sizeof(what),
				       "unknown key '%.100s'; only these are "
				       "known: %.200s",
				       key, names);
		return refuse(source, pointer, what, error);
	}
	return 0;
}

static int check_filter(const struct yaml_source *source, size_t index,
			struct error *error)
{
	static const char *const known[] = {"filter", "properties",
					    "on_failure", NULL};
	const json_t *filters = json_object_get(source->value, "filters");
	const json_t *item = json_array_get(filters, index);
	const json_t *properties = json_object_get(item, "properties");
	char where[WHERE_BYTES];
	char inside[WHERE_BYTES];
	int ret;

	(void)snprintf(where, sizeof(where), "/filters/%zu", index);
	if (!json_is_object(item))
		return refuse(source, where,
			      "a filter must be written '- filter: NAME'",
			      error);
	ret = check_keys(source, where, item, known, error);
	if (ret < 0)
		return ret;
	(void)snprintf(inside, sizeof(inside), "/filters/%zu/filter", index);
	if (!json_is_string(json_object_get(item, "filter")))
		return refuse(source, inside,
			      "the filter lacks its name; write "
			      "'- filter: NAME'",
			      error);
	(void)snprintf(inside, sizeof(inside), "/filters/%zu/properties",
		       index);
	if (properties && !json_is_object(properties))
		return refuse(source, inside,
			      "properties must be 'NAME: VALUE' pairs; indent "
			      "them below the key",
			      error);
	return 0;
}

static int check_policy(const struct yaml_source *source, struct error *error)
{
	static const char *const known[] = {"name", "filters", NULL};
	const json_t *filters = json_object_get(source->value, "filters");
	int ret;

	if (!json_is_object(source->value))
		return refuse(source, "",
			      "a policy begins with 'name: NAME'; see "
			      "'forebay policy create --help'",
			      error);
	ret = check_keys(source, "", source->value, known, error);
	if (ret < 0)
		return ret;
	if (!json_is_string(json_object_get(source->value, "name")))
		return refuse(source, "/name",
			      "the policy lacks its name; write 'name: NAME'",
			      error);
	if (filters && !json_is_array(filters))
		return refuse(source, "/filters",
			      "filters must be a list; begin each with "
			      "'- filter: NAME'",
			      error);
	for (size_t i = 0; ret == 0 && i < json_array_size(filters); i++)
		ret = check_filter(source, i, error);
	return ret;
}

int policy_file_read(const char *path, struct yaml_source *ret_policy,
		     struct error *error)
{
	int from_stdin = strcmp(path, "-") == 0;
	FILE *stream = from_stdin ? stdin : fopen(path, "re");
	struct yaml_source source;
	int ret;

	if (!stream)
		return error_set(error, -errno,
				 "%s: cannot be read: %s; name "
				 "a YAML file",
				 path, strerror(errno));
	ret = yaml_read(stream, from_stdin ? "standard input" : path, &source,
			error);
	if (!from_stdin)
		(void)fclose(stream);
	if (ret < 0)
		return ret;
	ret = check_policy(&source, error);
	if (ret == 0)
		*ret_policy = source;
	else
		yaml_source_close(&source);
	return ret;
}
