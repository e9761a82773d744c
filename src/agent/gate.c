/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate.c - refuses what isn't understood, with the member's name in the words.
 */
#include "gate.h"
#include "text.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "uuid_text.h"

static bool contains(const char *const *known, const char *word)
{
	for (; *known; known++) {
		if (strcmp(*known, word) == 0)
			return true;
	}
	return false;
}

int gate_object(const json_t *object, const char *const *known,
		struct problem *problem)
{
	const char *member;
	json_t *value;

	if (!json_is_object(object))
		return problem_set(problem, PROBLEM_BAD_REQUEST,
				   "the body must be a JSON object");
	json_object_foreach((json_t *)object, member, value)
	{
		if (!contains(known, member))
			return problem_set(problem, PROBLEM_BAD_REQUEST,
					   "member \"%s\" is not known here",
					   member);
	}
	return 0;
}

int gate_string(const json_t *object, const char *member, bool required,
		const char **ret_text, struct problem *problem)
{
	const json_t *value = json_object_get(object, member);

	if (!value || json_is_null(value)) {
		if (required)
			return problem_set(problem, PROBLEM_BAD_REQUEST,
					   "member \"%s\" is missing", member);
		*ret_text = NULL;
		return 0;
	}
	if (!json_is_string(value))
		return problem_set(problem, PROBLEM_BAD_REQUEST,
				   "member \"%s\" must be a string", member);
	*ret_text = json_string_value(value);
	return 0;
}

int gate_list(const json_t *object, const char *member, bool required,
	      const json_t **ret_list, struct problem *problem)
{
	const json_t *value = json_object_get(object, member);

	if (!value && !required) {
		*ret_list = NULL;
		return 0;
	}
	if (!json_is_array(value) || json_array_size(value) == 0 ||
	    json_array_size(value) > GATE_LIST_MAX)
		return problem_set(problem, PROBLEM_BAD_REQUEST,
				   "member \"%s\" must be a list of 1 to %u "
				   "values",
				   member, GATE_LIST_MAX);
	*ret_list = value;
	return 0;
}

bool gate_is_name(const char *text)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	static const char all[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
	uint8_t uuid[UUID_BYTES];
	size_t length = strlen(text);

	if (length == 0 || length > GATE_NAME_LENGTH_MAX)
		return false;
	return strchr(first, text[0]) && strspn(text, all) == length &&
	       uuid_parse(text, uuid) < 0;
}

bool gate_is_path(const char *text)
{
	if (text[0] != '/' || strlen(text) > GATE_PATH_LENGTH_MAX)
		return false;
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	}
	return true;
}

int gate_name(const json_t *object, const char *kind, const char **ret_name,
	      struct problem *problem)
{
	const char *name = NULL;
	int result = gate_string(object, "name", true, &name, problem);

	if (result < 0)
		return result;
	assert(name);
	if (!gate_is_name(name)) {
		problem_set(problem, PROBLEM_BAD_NAME,
			    "\"%.80s\" can't be the name of a %s", name, kind);
		return problem_hint(problem,
				    "use 1 to %u of a-z 0-9 . - _, starting "
				    "with a letter or digit, and not an id",
				    GATE_NAME_LENGTH_MAX);
	}
	*ret_name = name;
	return 0;
}

int gate_size(const json_t *object, const char *member, uint64_t *ret_bytes,
	      struct problem *problem)
{
	const json_t *value = json_object_get(object, member);
	json_int_t bytes = json_integer_value(value);

	if (!value || json_is_null(value)) {
		*ret_bytes = 0;
		return 0;
	}
	if (json_is_integer(value) && bytes > (json_int_t)GATE_SIZE_MAX)
		return problem_set(problem, PROBLEM_BAD_SIZE,
				   "%lld bytes are more than a disk can have",
				   bytes);
	if (!json_is_integer(value) || bytes <= 0 || bytes % 512 != 0) {
		problem_set(problem, PROBLEM_BAD_SIZE,
			    "a size of %lld bytes: it must be a multiple of "
			    "512, and more than 0",
			    bytes);
		if (json_is_integer(value) && bytes > 0)
			problem_hint(problem, "the next one is %lld bytes",
				     bytes / 512 * 512 + 512);
		return -EPROTO;
	}
	*ret_bytes = (uint64_t)bytes;
	return 0;
}

static bool is_nbd(const char *uri)
{
	static const char *const starts[] = {"nbd://", "nbd+unix://", NULL};
	unsigned int i = 0;

	while (starts[i] && strncmp(uri, starts[i], strlen(starts[i])) != 0)
		i++;
	return starts[i] && strlen(uri) <= GATE_PATH_LENGTH_MAX &&
	       text_is_clean(uri) && !strpbrk(uri, " \"");
}

static const char *backend_hint(const char *uri)
{
	if (strncmp(uri, "nbds", 4) == 0)
		return "for TLS run \"nbdkit -U PATH nbd hostname=HOST "
		       "tls=require ...\", and use nbd+unix:///?socket=PATH";
	return "use file: and the absolute path of a raw image or block "
	       "device, or nbd://HOST/EXPORT, or "
	       "nbd+unix:///EXPORT?socket=PATH";
}

int gate_backend(const char *uri, const char **ret_path,
		 struct problem *problem)
{
	static const char scheme[] = "file:";

	if (is_nbd(uri)) {
		*ret_path = NULL;
		return 0;
	}
	if (strncmp(uri, scheme, strlen(scheme)) != 0) {
		problem_set(problem, PROBLEM_BAD_BACKEND,
			    "\"%.200s\" is not a backend that Forebay knows",
			    uri);
		return problem_hint(problem, "%s", backend_hint(uri));
	}
	uri += strlen(scheme);
	if (!gate_is_path(uri)) {
		problem_set(problem, PROBLEM_BAD_BACKEND,
			    "\"%.200s\" is not an absolute path of at most %u "
			    "bytes",
			    uri, GATE_PATH_LENGTH_MAX);
		return problem_hint(problem, "write file:/DIRECTORY/FILE");
	}
	*ret_path = uri;
	return 0;
}

int gate_flag(const char *parameter, const char *text, bool *ret_value,
	      struct problem *problem)
{
	if (!text || strcmp(text, "false") == 0)
		*ret_value = false;
	else if (strcmp(text, "true") == 0)
		*ret_value = true;
	else
		return problem_set(problem, PROBLEM_BAD_REQUEST,
				   "parameter %s must be true or false",
				   parameter);
	return 0;
}

int gate_number(const json_t *object, const char *member, unsigned int maximum,
		unsigned int *ret_number, struct problem *problem)
{
	const json_t *value = json_object_get(object, member);
	json_int_t number = json_integer_value(value);

	if (!value || json_is_null(value))
		return 0;
	if (!json_is_integer(value) || number < 1 || number > maximum)
		return problem_set(problem, PROBLEM_BAD_REQUEST,
				   "member \"%s\" must be a number from 1 to "
				   "%u",
				   member, maximum);
	*ret_number = (unsigned int)number;
	return 0;
}

int gate_boolean(const json_t *object, const char *member, bool *ret_value,
		 struct problem *problem)
{
	const json_t *value = json_object_get(object, member);

	if (value && !json_is_null(value) && !json_is_boolean(value))
		return problem_set(problem, PROBLEM_BAD_REQUEST,
				   "member \"%s\" must be true or false",
				   member);
	*ret_value = json_is_true(value);
	return 0;
}
