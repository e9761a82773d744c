// SPDX-License-Identifier: Apache-2.0
/* What a URI says about an NBD server, and what it doesn't. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "nbd_uri.h"

struct sample {
	const char *uri;
	const char *export_name;
	const char *socket_path;
	const char *host;
	const char *port;
};

static void same(const char *is, const char *should)
{
	if (should) {
		assert_non_null(is);
		assert_string_equal(is, should);
	} else {
		assert_null(is);
	}
}

static void the_parts_of_a_uri_are_found(void **state)
{
	static const struct sample samples[] = {
		{"nbd://h", "", NULL, "h", "10809"},
		{"nbd://h/", "", NULL, "h", "10809"},
		{"nbd://h:/a", "a", NULL, "h", "10809"},
		{"nbd://127.0.0.1:99/a", "a", NULL, "127.0.0.1", "99"},
		{"nbd://[::1]:99/a/b", "a/b", NULL, "::1", "99"},
		{"nbd://h/a%20b%2fc", "a b/c", NULL, "h", "10809"},
		{"nbd://h//a/", "/a/", NULL, "h", "10809"},
		{"nbd+unix:///?socket=/s", "", "/s", NULL, NULL},
		{"nbd+unix:///a?socket=/s", "a", "/s", NULL, NULL},
		{"nbd+unix:///a?x=1&socket=/s%26t", "a", "/s&t", NULL, NULL},
		{"nbd+unix:///?socket=/a+b", "", "/a+b", NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(*samples); i++) {
		const struct sample *sample = &samples[i];
		struct error error = {0};
		struct nbd_uri uri;

		assert_int_equal(nbd_uri_parse(sample->uri, &uri, &error), 0);
		same(uri.export_name, sample->export_name);
		same(uri.socket_path, sample->socket_path);
		same(uri.host, sample->host);
		same(uri.port, sample->port);
		nbd_uri_release(&uri);
	}
}

static void what_leads_nowhere_is_refused_by_its_name(void **state)
{
	static const char *const wrong[] = {
		"",
		"nbd:",
		"nbd:///a",
		"nbd://",
		"nbd+unix:///a",
		"nbd+unix:///?socket=",
		"/a",
		"nbd+unix:///?socket",
		"nbd+unix:///?socket=a",
		"nbd://a b",
		"nbd://h/%zz",
		"http://h/a",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct error error = {0};
		struct nbd_uri uri;

		assert_int_equal(nbd_uri_parse(wrong[i], &uri, &error),
				 -EINVAL);
		assert_non_null(strstr(error.message, wrong[i]));
		nbd_uri_release(&uri);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_parts_of_a_uri_are_found),
		cmocka_unit_test(what_leads_nowhere_is_refused_by_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
