/* SPDX-License-Identifier: Apache-2.0 */
/* test_text.c - rounded numbers, places made absolute. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <unistd.h>

#include "backend_uri.h"
#include "exit_code.h"
#include "human.h"

static void sizes_keep_at_most_three_digits(void **state)
{
	char text[HUMAN_BYTES];

	(void)state;
	assert_string_equal(human_size(0, text), "0 B");
	assert_string_equal(human_size(1023, text), "1023 B");
	assert_string_equal(human_size(1024, text), "1 KiB");
	assert_string_equal(human_size(1536, text), "1.5 KiB");
	assert_string_equal(human_size(10ull << 30, text), "10 GiB");
	assert_string_equal(human_size((1ull << 30) - 1, text), "1 GiB");
	assert_string_equal(human_size(UINT64_MAX, text), "16 EiB");
}

static void latencies_choose_their_unit(void **state)
{
	char text[HUMAN_BYTES];

	(void)state;
	assert_string_equal(human_latency(8.25, text), "8.2 us");
	assert_string_equal(human_latency(999.4, text), "999 us");
	assert_string_equal(human_latency(999.6, text), "1 ms");
	assert_string_equal(human_latency(2500000, text), "2.5 s");
	assert_string_equal(human_percent(0.875, text), "87.5 %");
	assert_string_equal(human_count(7, text), "7");
	assert_string_equal(human_count(1234567, text), "1 234 567");
}

static void assert_uri(const char *text, const char *expected)
{
	char *uri = backend_uri_from_text(text);

	assert_string_equal(uri, expected);
	free(uri);
}

static void paths_become_absolute_file_uris(void **state)
{
	(void)state;
	assert_int_equal(chdir("/usr"), 0);
	assert_uri("/srv/d.raw", "file:/srv/d.raw");
	assert_uri("file:/srv/d.raw", "file:/srv/d.raw");
	assert_uri("file:///srv/d.raw", "file:/srv/d.raw");
	assert_uri("d.raw", "file:/usr/d.raw");
	assert_uri("./d.raw", "file:/usr/d.raw");
	assert_uri("file:d.raw", "file:/usr/d.raw");
	assert_uri("./a:b", "file:/usr/a:b");
	assert_uri("1:b", "file:/usr/1:b");
	assert_int_equal(chdir("/"), 0);
	assert_uri("d.raw", "file:/d.raw");
}

static void other_uris_stay_as_they_are(void **state)
{
	(void)state;
	assert_uri("rbd:pool/image", "rbd:pool/image");
	assert_uri("nbd+unix:///x?socket=/y", "nbd+unix:///x?socket=/y");
}

static void failures_have_stable_exit_codes(void **state)
{
	(void)state;
	assert_int_equal(exit_code_from_errno(0), 0);
	assert_int_equal(exit_code_from_errno(-EIO), 1);
	assert_int_equal(exit_code_from_errno(-EINVAL), 2);
	assert_int_equal(exit_code_from_errno(-ENOENT), 3);
	assert_int_equal(exit_code_from_errno(-EBUSY), 4);
	assert_int_equal(exit_code_from_errno(-ECONNREFUSED), 5);
	assert_int_equal(exit_code_from_errno(-ETIMEDOUT), 6);
	assert_int_equal(exit_code_errno_from_http(422), -EINVAL);
	assert_int_equal(exit_code_errno_from_http(404), -ENOENT);
	assert_int_equal(exit_code_errno_from_http(409), -EBUSY);
	assert_int_equal(exit_code_errno_from_http(504), -ETIMEDOUT);
	assert_int_equal(exit_code_errno_from_http(503), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_keep_at_most_three_digits),
		cmocka_unit_test(latencies_choose_their_unit),
		cmocka_unit_test(paths_become_absolute_file_uris),
		cmocka_unit_test(other_uris_stay_as_they_are),
		cmocka_unit_test(failures_have_stable_exit_codes),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
