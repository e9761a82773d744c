// SPDX-License-Identifier: Apache-2.0
/* test_status_pipe.c - what forebayd is told, also when there is no memory. */
#include "status_pipe.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static void *no_memory(size_t bytes)
{
	(void)bytes;
	return NULL;
}

static int exhaust(void **state)
{
	(void)state;
	json_set_alloc_funcs(no_memory, free);
	return 0;
}

static int recover(void **state)
{
	(void)state;
	json_set_alloc_funcs(malloc, free);
	return 0;
}

static void expect(void (*tell)(int fd), const char *line)
{
	char text[128] = "";
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	tell(fds[1]);
	close(fds[1]);
	assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
	close(fds[0]);
	assert_string_equal(text, line);
}

static void parked(int fd)
{
	status_pipe_parked(fd, "handed-over");
}

static void what_is_waited_for_is_told_without_memory(void **state)
{
	(void)state;
	expect(status_pipe_ready, "{\"state\":\"ready\"}\n");
	expect(parked, "{\"state\":\"handed-over\"}\n");
	expect(status_pipe_closed, "{\"state\":\"closed\"}\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_is_waited_for_is_told_without_memory, exhaust,
			recover),
	};

	return cmocka_run_group_tests_name("disk: status", tests, NULL, NULL);
}
