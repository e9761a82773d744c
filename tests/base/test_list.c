// SPDX-License-Identifier: Apache-2.0
/* test_list.c - order, and nodes that know that they are in no list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "list.h"

struct letter {
	struct list node;
	char value;
};

static struct letter letters[26];

static void put(struct list *list, const char *text)
{
	for (; *text; text++) {
		letters[*text - 'a'].value = *text;
		list_append(list, &letters[*text - 'a'].node);
	}
}

static void assert_spells(struct list *list, const char *expected)
{
	char text[32];
	size_t length = 0;

	list_for_each (node, list)
		text[length++] = list_entry(node, struct letter, node)->value;
	text[length] = '\0';
	assert_string_equal(text, expected);
}

static void nodes_keep_the_order_they_were_put_in(void **state)
{
	struct list list;

	(void)state;
	list_init(&list);
	assert_true(list_is_empty(&list));
	assert_null(list_first(&list));
	assert_null(list_last(&list));
	put(&list, "bcd");
	letters[0].value = 'a';
	list_prepend(&list, &letters[0].node);
	assert_spells(&list, "abcd");
	assert_ptr_equal(list_first(&list), &letters[0].node);
	assert_ptr_equal(list_last(&list), &letters[3].node);
}

static void a_removed_node_knows_that_it_is_alone(void **state)
{
	struct list list;

	(void)state;
	list_init(&list);
	put(&list, "abc");
	list_remove(&letters[1].node);
	assert_spells(&list, "ac");
	assert_true(list_is_empty(&letters[1].node));
	list_remove(&letters[1].node);
	assert_spells(&list, "ac");
}

static void the_safe_loop_allows_to_remove_each_node(void **state)
{
	struct list list;

	(void)state;
	list_init(&list);
	put(&list, "abcd");
	list_for_each_safe (node, &list)
		if (list_entry(node, struct letter, node)->value % 2)
			list_remove(node);
	assert_spells(&list, "bd");
}

static void nodes_are_taken_from_the_front(void **state)
{
	struct list list;

	(void)state;
	list_init(&list);
	put(&list, "ab");
	assert_ptr_equal(list_take_first(&list), &letters[0].node);
	assert_ptr_equal(list_take_first(&list), &letters[1].node);
	assert_null(list_take_first(&list));
}

static void a_whole_list_moves_in_order(void **state)
{
	struct list to, from;

	(void)state;
	list_init(&to);
	list_init(&from);
	put(&to, "ab");
	put(&from, "cd");
	list_append_all(&to, &from);
	assert_spells(&to, "abcd");
	assert_true(list_is_empty(&from));
	list_append_all(&to, &from);
	assert_spells(&to, "abcd");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nodes_keep_the_order_they_were_put_in),
		cmocka_unit_test(a_removed_node_knows_that_it_is_alone),
		cmocka_unit_test(the_safe_loop_allows_to_remove_each_node),
		cmocka_unit_test(nodes_are_taken_from_the_front),
		cmocka_unit_test(a_whole_list_moves_in_order),
	};

	return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
