// SPDX-License-Identifier: Apache-2.0
/*
 * test_file_keep.c - an image that was kept can be opened when its path can't,
 * again and again, and is locked only as long as it is open.
 */
#include "image_scene.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image_keep.h"

static void close_image(struct scene *scene)
{
	backend_close(scene->backend);
	scene->backend = NULL;
}

/* As a process in a sandbox finds it: what it opens isn't there. */
static void hide(struct scene *scene, char hidden[96])
{
	snprintf(hidden, 96, "%s.hidden", scene->path);
	assert_int_equal(rename(scene->path, hidden), 0);
}

static void show(struct scene *scene, const char *hidden)
{
	assert_int_equal(rename(hidden, scene->path), 0);
}

/* By another description, as another process would: not the kept one. */
static int open_elsewhere(struct scene *scene)
{
	struct scene other = *scene;
	int status;

	other.backend = NULL;
	other.keep = false;
	snprintf(other.uri, sizeof(other.uri), "file:%s/./image",
		 scene->directory);
	status = open_image(&other, false, 0);
	backend_close(other.backend);
	return status;
}

static int end(void **state)
{
	image_keep_clear();
	return scene_end(state);
}

static void a_kept_image_is_opened_again_and_again(void **state)
{
	struct scene *scene = *state;
	char hidden[96];

	assert_int_equal(backend_keep(scene->uri, false, &scene->error), 0);
	assert_int_equal(backend_keep(scene->uri, false, &scene->error), 0);
	hide(scene, hidden);
	for (unsigned int i = 1; i <= 3; i++) {
		assert_int_equal(open_image(scene, false, 0), 0);
		memset(scene->buffer, (int)i, BUFFER_BYTES);
		assert_int_equal(run_on(scene, BACKEND_WRITE, scene->buffer,
					BUFFER_BYTES, 0, BACKEND_FUA),
				 0);
		close_image(scene);
	}
	show(scene, hidden);
	read_back(scene, scene->buffer, BUFFER_BYTES, 0);
	assert_true(all_are(scene->buffer, BUFFER_BYTES, 3));
}

static void an_open_may_keep_what_it_opens(void **state)
{
	struct scene *scene = *state;
	char hidden[96];

	scene->keep = true;
	assert_int_equal(open_image(scene, false, 0), 0);
	close_image(scene);
	hide(scene, hidden);
	assert_int_equal(open_image(scene, false, 0), 0);
	assert_int_equal(run_on(scene, BACKEND_WRITE, scene->buffer,
				BUFFER_BYTES, 0, BACKEND_FUA),
			 0);
	close_image(scene);
	show(scene, hidden);
	assert_int_equal(open_elsewhere(scene), 0);
}

static void an_image_that_is_not_kept_is_not_found(void **state)
{
	struct scene *scene = *state;
	char hidden[96];

	/* Kept for reading is not kept for writing. */
	assert_int_equal(backend_keep(scene->uri, true, &scene->error), 0);
	hide(scene, hidden);
	assert_int_equal(open_image(scene, false, 0), -ENOENT);
	assert_int_equal(open_image(scene, true, 0), 0);
	close_image(scene);
	show(scene, hidden);
}

static void a_kept_image_is_locked_while_it_is_open(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(backend_keep(scene->uri, false, &scene->error), 0);
	assert_int_equal(open_elsewhere(scene), 0);
	assert_int_equal(open_image(scene, false, 0), 0);
	assert_int_equal(open_elsewhere(scene), -EBUSY);
	close_image(scene);
	assert_int_equal(open_elsewhere(scene), 0);
	assert_int_equal(open_image(scene, false, 0), 0);
	close_image(scene);
}

static void a_kept_image_that_grew_has_its_new_size(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(backend_keep(scene->uri, false, &scene->error), 0);
	assert_int_equal(open_image(scene, false, 0), 0);
	assert_int_equal(backend_info(scene->backend)->size_bytes, IMAGE_BYTES);
	close_image(scene);
	resize(scene, 2 * IMAGE_BYTES);
	assert_int_equal(open_image(scene, false, 0), 0);
	assert_int_equal(backend_info(scene->backend)->size_bytes,
			 2 * IMAGE_BYTES);
	close_image(scene);
	resize(scene, 1000);
	assert_int_equal(open_image(scene, false, 0), -EINVAL);
}

static void what_cannot_be_kept_is_refused_with_words(void **state)
{
	struct scene *scene = *state;
	char uri[96];

	snprintf(uri, sizeof(uri), "file:%s/missing", scene->directory);
	assert_int_equal(backend_keep(uri, false, &scene->error), -ENOENT);
	assert_non_null(strstr(scene->error.message, "does not exist"));
	assert_int_equal(backend_keep("tape:7", false, &scene->error), -EINVAL);
	for (unsigned int i = 0; i < IMAGE_KEPT_MAX; i++) {
		snprintf(uri, sizeof(uri), "file:%s/%.*s/image",
			 scene->directory, (int)(2 * i + 1), ".///////////");
		assert_int_equal(backend_keep(uri, true, &scene->error), 0);
	}
	assert_int_equal(backend_keep(scene->uri, true, &scene->error),
			 -ENOSPC);
}

#define KEEP_TEST(name) cmocka_unit_test_setup_teardown(name, scene_begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		KEEP_TEST(a_kept_image_is_opened_again_and_again),
		KEEP_TEST(an_open_may_keep_what_it_opens),
		KEEP_TEST(an_image_that_is_not_kept_is_not_found),
		KEEP_TEST(a_kept_image_is_locked_while_it_is_open),
		KEEP_TEST(a_kept_image_that_grew_has_its_new_size),
		KEEP_TEST(what_cannot_be_kept_is_refused_with_words),
	};

	return cmocka_run_group_tests_name("file_keep", tests, NULL, NULL);
}
