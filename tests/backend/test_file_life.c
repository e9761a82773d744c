// SPDX-License-Identifier: Apache-2.0
/*
 * test_file_life.c - images are found, made and deleted, or it is said
 * why not.
 */
#include "image_scene.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void check_refusal(struct scene *scene, const char *uri, int code,
			  const char *words)
{
	uint64_t size;

	assert_int_equal(backend_probe(uri, &size, &scene->error), code);
	assert_int_equal(scene->error.code, code);
	if (!strstr(scene->error.message, words))
		fail_msg("'%s' doesn't say '%s'", scene->error.message, words);
}

static void what_cannot_be_an_image_is_refused_with_words(void **state)
{
	struct scene *scene = *state;
	uint64_t size;
	char uri[96];

	check_refusal(scene, "file:image", -EINVAL, "must be absolute");
	check_refusal(scene, "file://host/image", -EINVAL, "host");
	check_refusal(scene, "rbd:pool/image", -EINVAL, "known schemes: file:");
	check_refusal(scene, "/image", -EINVAL, "known schemes: file:");
	check_refusal(scene, "file:/dev/null", -EINVAL, "neither a file nor");
	snprintf(uri, sizeof(uri), "file:%s", scene->directory);
	check_refusal(scene, uri, -EISDIR, "is a directory");
	assert_int_equal(open_image(scene, false, 0), 0);
	backend_close(scene->backend);
	scene->backend = NULL;
	snprintf(uri, sizeof(uri), "file:%s/missing", scene->directory);
	check_refusal(scene, uri, -ENOENT, "does not exist");
	resize(scene, 1000);
	check_refusal(scene, scene->uri, -EINVAL, "not a multiple of 512");
	resize(scene, 0);
	check_refusal(scene, scene->uri, -EINVAL, "is empty");
	resize(scene, 512);
	assert_int_equal(backend_probe(scene->uri, &size, &scene->error), 0);
	assert_int_equal(size, 512);
}

static void an_unknown_scheme_fails_an_open_later(void **state)
{
	struct scene *scene = *state;

	strcpy(scene->uri, "tape:7");
	assert_int_equal(open_image(scene, false, 0), -EINVAL);
	assert_non_null(strstr(scene->error.message, "tape:7"));
}

static void an_image_is_made_once_and_deleted(void **state)
{
	struct scene *scene = *state;
	struct stat facts;
	uint64_t size;

	assert_int_equal(backend_make(scene->uri, 1 << 20, &scene->error),
			 -EEXIST);
	assert_int_equal(backend_delete(scene->uri, &scene->error), 0);
	assert_int_equal(backend_delete(scene->uri, &scene->error), -ENOENT);
	assert_int_equal(backend_make(scene->uri, 1000, &scene->error),
			 -EINVAL);
	assert_int_equal(backend_make(scene->uri, 1 << 20, &scene->error), 0);
	assert_int_equal(backend_probe(scene->uri, &size, &scene->error), 0);
	assert_int_equal(size, 1 << 20);
	assert_int_equal(stat(scene->path, &facts), 0);
	assert_int_equal(facts.st_mode & 0777, 0600);
}

static void an_image_that_does_not_fit_leaves_nothing(void **state)
{
	struct scene *scene = *state;
	struct rlimit before, small;

	unlink(scene->path);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = (struct rlimit){4096, before.rlim_max};
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(backend_make(scene->uri, 1 << 20, &scene->error),
			 -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(access(scene->path, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(what_cannot_be_an_image_is_refused_with_words),
		SCENE_TEST(an_unknown_scheme_fails_an_open_later),
		SCENE_TEST(an_image_is_made_once_and_deleted),
		SCENE_TEST(an_image_that_does_not_fit_leaves_nothing),
	};

	return cmocka_run_group_tests_name("file life", tests, NULL, NULL);
}
