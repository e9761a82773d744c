// SPDX-License-Identifier: Apache-2.0
/*
 * test_routes.c - api/openapi.yaml is what forebayd does: the same paths, the
 * same methods, the same problem codes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>
#include <yaml.h>

#include "routes.h"

static yaml_document_t api;

static yaml_node_t *member(yaml_node_t *mapping, const char *name)
{
	yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;

	for (; pair < mapping->data.mapping.pairs.top; pair++) {
		yaml_node_t *key = yaml_document_get_node(&api, pair->key);

		if (strcmp((char *)key->data.scalar.value, name) == 0)
			return yaml_document_get_node(&api, pair->value);
	}
	return NULL;
}

static yaml_node_t *look_up(const char *const *names)
{
	yaml_node_t *node = yaml_document_get_root_node(&api);

	for (; *names; names++) {
		node = member(node, *names);
		assert_non_null(node);
	}
	return node;
}

static int load(void **state)
{
	FILE *file = fopen(API_DOCUMENT, "r");
	yaml_parser_t parser;
	int loaded;

	(void)state;
	if (!file)
		return -1;
	yaml_parser_initialize(&parser);
	yaml_parser_set_input_file(&parser, file);
	loaded = yaml_parser_load(&parser, &api);
	yaml_parser_delete(&parser);
	fclose(file);
	return loaded ? 0 : -1;
}

static int unload(void **state)
{
	(void)state;
	yaml_document_delete(&api);
	return 0;
}

static int has_route(const char *method, const char *path)
{
	for (const struct route *route = routes; route->method; route++) {
		if (strcasecmp(route->method, method) == 0 &&
		    strcmp(route->path, path) == 0)
			return 1;
	}
	return 0;
}

static void every_route_is_in_the_api_document(void **state)
{
	static const char *const where[] = {"paths", NULL};
	yaml_node_t *paths = look_up(where);

	(void)state;
	for (const struct route *route = routes; route->method; route++) {
		yaml_node_t *path = member(paths, route->path);
		char method[8] = "";

		for (size_t i = 0; i < strlen(route->method); i++)
			method[i] = (char)(route->method[i] | 0x20);
		if (!path || !member(path, method))
			fail_msg("%s %s", route->method, route->path);
	}
}

static void check_methods(const char *path, yaml_node_t *item)
{
	yaml_node_pair_t *pair = item->data.mapping.pairs.start;

	for (; pair < item->data.mapping.pairs.top; pair++) {
		yaml_node_t *key = yaml_document_get_node(&api, pair->key);
		const char *method = (char *)key->data.scalar.value;

		if (strcmp(method, "parameters") != 0 &&
		    !has_route(method, path))
			fail_msg("%s %s", method, path);
	}
}

static void everything_in_the_api_document_is_a_route(void **state)
{
	static const char *const where[] = {"paths", NULL};
	yaml_node_t *paths = look_up(where);
	yaml_node_pair_t *path = paths->data.mapping.pairs.start;

	(void)state;
	for (; path < paths->data.mapping.pairs.top; path++) {
		yaml_node_t *key = yaml_document_get_node(&api, path->key);

		check_methods((char *)key->data.scalar.value,
			      yaml_document_get_node(&api, path->value));
	}
}

static void the_codes_are_those_of_the_api_document(void **state)
{
	static const char *const where[] = {"components", "schemas", "Problem",
					    "properties", "code",    "enum",
					    NULL};
	yaml_node_t *codes = look_up(where);
	yaml_node_item_t *item = codes->data.sequence.items.start;

	(void)state;
	for (int i = 0; i < PROBLEM_COUNT; i++, item++) {
		assert_true(item < codes->data.sequence.items.top);
		assert_string_equal((char *)yaml_document_get_node(&api, *item)
					    ->data.scalar.value,
				    problem_code_text((enum problem_code)i));
	}
	assert_ptr_equal(item, codes->data.sequence.items.top);
}

static void every_code_has_a_status_and_a_title(void **state)
{
	(void)state;
	for (int i = 0; i < PROBLEM_COUNT; i++) {
		struct problem problem = {.code = (enum problem_code)i};
		json_auto_t *document = problem_document(&problem);

		assert_true(problem_http_status(problem.code) >= 400);
		assert_non_null(document);
		assert_true(json_string_length(
				    json_object_get(document, "title")) > 0);
	}
}

static int find(const char *method, const char *path, char *object,
		struct problem *problem)
{
	char allowed[ROUTE_METHODS_BYTES];
	const struct route *route;

	return route_find(method, path, &route, object, allowed, problem);
}

static void an_object_is_one_part_of_the_path(void **state)
{
	struct problem problem = {0};
	char object[256], path[512] = "/v1/disks/";

	(void)state;
	assert_int_equal(find("POST", "/v1/disks/d1/open", object, &problem),
			 0);
	assert_string_equal(object, "d1");
	assert_true(find("GET", "/v1/disks/", object, &problem) < 0);
	assert_int_equal(problem.code, PROBLEM_NO_SUCH_ROUTE);
	assert_true(find("GET", "/v1/disks/a/b/c", object, &problem) < 0);
	assert_true(find("GET", "/v1/disks//open", object, &problem) < 0);
	memset(path + strlen(path), 'x', 256);
	assert_true(find("GET", path, object, &problem) < 0);
	path[strlen("/v1/disks/") + 255] = '\0';
	assert_int_equal(find("GET", path, object, &problem), 0);
}

static void a_wrong_method_is_told_the_right_ones(void **state)
{
	struct problem problem = {0};
	char object[256];

	(void)state;
	assert_true(find("PUT", "/v1/disks/d1", object, &problem) < 0);
	assert_int_equal(problem.code, PROBLEM_METHOD_NOT_ALLOWED);
	assert_non_null(strstr(problem.hint, "GET, DELETE"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_route_is_in_the_api_document),
		cmocka_unit_test(everything_in_the_api_document_is_a_route),
		cmocka_unit_test(the_codes_are_those_of_the_api_document),
		cmocka_unit_test(every_code_has_a_status_and_a_title),
		cmocka_unit_test(an_object_is_one_part_of_the_path),
		cmocka_unit_test(a_wrong_method_is_told_the_right_ones),
	};

	return cmocka_run_group_tests_name("routes", tests, load, unload);
}
