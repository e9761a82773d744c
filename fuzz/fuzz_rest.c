/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_rest.c - what forebayd takes from clients and from its processes. The
 * first byte says which gate the rest meets:
 *
 *   0  a path, with each method
 *   1  the body of a request, at each gate of its members
 *   2  two documents, each in a line: what a filter says that it takes, and
 *      properties for it
 */
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "gate.h"
#include "properties.h"
#include "routes.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

/* A refusal has words in one line, and becomes a document. */
static void check_problem(const struct problem *problem)
{
	json_t *document = problem_document(problem);

	assert(problem->detail[0] != '\0');
	assert(problem_http_status(problem->code) >= 400);
	assert(document);
	json_decref(document);
}

static void path(const char *text)
{
	static const char *const methods[] = {"GET", "POST", "DELETE", "PUT"};
	char allowed[ROUTE_METHODS_BYTES], object[256];
	const struct route *route;

	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
		struct problem problem = {0};

		if (route_find(methods[i], text, &route, object, allowed,
			       &problem) < 0)
			check_problem(&problem);
		else
			assert(strstr(text, object));
	}
}

static void body(const char *text)
{
	static const char *const members[] = {"name", "size", "list", "text",
					      NULL};
	json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	struct problem problem = {0};
	const json_t *list;
	const char *word;
	uint64_t bytes;

	if (gate_object(object, members, &problem) < 0)
		check_problem(&problem);
	if (gate_name(object, "disk", &word, &problem) < 0)
		check_problem(&problem);
	else
		assert(!strchr(word, '/') && strlen(word) > 0);
	if (gate_size(object, "size", &bytes, &problem) < 0)
		check_problem(&problem);
	else
		assert(bytes % 512 == 0 && bytes <= GATE_SIZE_MAX);
	if (gate_list(object, "list", true, &list, &problem) < 0)
		check_problem(&problem);
	if (gate_string(object, "text", true, &word, &problem) == 0 &&
	    gate_backend(word, &word, &problem) == 0)
		assert(!word || word[0] == '/'); /* none: an NBD server */
	json_decref(object);
}

static void properties(char *text)
{
	char *second = strchr(text, '\n');
	json_t *description, *given, *normal = NULL;
	struct problem problem = {0};

	if (!second)
		return;
	*second++ = '\0';
	description = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	given = json_loads(second, JSON_REJECT_DUPLICATES, NULL);
	if (properties_check(description, given, &normal, &problem) < 0) {
		check_problem(&problem);
		assert(!normal);
	} else {
		assert(json_object_size(normal) == json_object_size(given));
	}
	json_decref(normal);
	json_decref(given);
	json_decref(description);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	char *text;

	if (count == 0)
		return 0;
	text = calloc(1, count);
	if (!text)
		return 0;
	memcpy(text, bytes + 1, count - 1);
	switch (bytes[0] % 3) {
	case 0:
		path(text);
		break;
	case 1:
		body(text);
		break;
	case 2:
		properties(text);
		break;
	}
	free(text);
	return 0;
}
