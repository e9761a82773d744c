// SPDX-License-Identifier: Apache-2.0
/*
 * test_block_device.c - the driver on a loop device with sectors of 4 KiB,
 * where half of what guests may ask isn't aligned. Skipped without the right to
 * make one.
 */
#include "image_scene.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char device[64];

static int device_begin(void **state)
{
	struct scene *scene;
	char command[160];
	FILE *output;

	scene_begin(state);
	scene = *state;
	device[0] = '\0';
	snprintf(command, sizeof(command),
		 "losetup -f --show -b 4096 --direct-io=on %s 2>/dev/null",
		 scene->path);
	output = popen(command, "r");
	assert_non_null(output);
	if (fgets(device, sizeof(device), output))
		device[strcspn(device, "\n")] = '\0';
	pclose(output);
	snprintf(scene->uri, sizeof(scene->uri), "file:%s", device);
	return 0;
}

static int device_end(void **state)
{
	struct scene *scene = *state;
	char command[96];

	backend_close(scene->backend);
	scene->backend = NULL;
	snprintf(command, sizeof(command), "losetup -d %s", device);
	if (device[0])
		assert_int_equal(system(command), 0);
	return scene_end(state);
}

static void need_device(void)
{
	if (!device[0])
		skip();
}

static void sectors_smaller_than_the_device_has_work_too(void **state)
{
	struct scene *scene = *state;

	need_device();
	open_for_writing(scene);
	assert_int_equal(backend_info(scene->backend)->size_bytes, IMAGE_BYTES);
	assert_int_equal(backend_info(scene->backend)->alignment_bytes, 4096);
	memset(scene->buffer, 'w', 8192);
	assert_int_equal(
		run_on(scene, BACKEND_WRITE, scene->buffer, 8192, 4096, 0), 0);
	memset(scene->buffer, 's', 512);
	assert_int_equal(run_on(scene, BACKEND_WRITE, scene->buffer, 512,
				4096 + 512, BACKEND_FUA),
			 0);
	memset(scene->buffer, 0, 8192);
	/* The aligned read sees what the unaligned write wrote. */
	assert_int_equal(
		run_on(scene, BACKEND_READ, scene->buffer, 8192, 4096, 0), 0);
	assert_true(all_are(scene->buffer, 512, 'w'));
	assert_true(all_are(scene->buffer + 512, 512, 's'));
	assert_true(all_are(scene->buffer + 1024, 8192 - 1024, 'w'));
	/* And the other way round. */
	memset(scene->buffer, 'n', 4096);
	assert_int_equal(
		run_on(scene, BACKEND_WRITE, scene->buffer, 4096, 4096, 0), 0);
	assert_int_equal(
		run_on(scene, BACKEND_READ, scene->buffer, 512, 4608, 0), 0);
	assert_true(all_are(scene->buffer, 512, 'n'));
	assert_int_equal(run_range(scene, BACKEND_FLUSH, 0, 0, 0), 0);
}

static void a_device_discards_and_zeroes(void **state)
{
	struct scene *scene = *state;

	need_device();
	open_for_writing(scene);
	memset(scene->buffer, 'd', BUFFER_BYTES);
	assert_int_equal(
		run_on(scene, BACKEND_WRITE, scene->buffer, BUFFER_BYTES, 0, 0),
		0);
	/* Only whole sectors of the device go. */
	assert_int_equal(run_range(scene, BACKEND_DISCARD, 512, 8192, 0), 0);
	assert_int_equal(run_on(scene, BACKEND_READ, scene->buffer, 4096, 0, 0),
			 0);
	assert_true(all_are(scene->buffer, 4096, 'd'));
	assert_int_equal(run_range(scene, BACKEND_WRITE_ZEROES, 8192, 8192, 0),
			 0);
	assert_int_equal(run_range(scene, BACKEND_WRITE_ZEROES, 16384 + 512,
				   512, BACKEND_FUA),
			 0);
	assert_int_equal(
		run_on(scene, BACKEND_READ, scene->buffer, 16384, 8192, 0), 0);
	assert_true(all_are(scene->buffer, 8192, 0));
	assert_true(all_are(scene->buffer + 8192, 512, 'd'));
	assert_true(all_are(scene->buffer + 8704, 512, 0));
	assert_true(all_are(scene->buffer + 9216, 16384 - 9216, 'd'));
}

static void a_device_in_use_by_the_kernel_is_refused(void **state)
{
	struct scene *scene = *state;
	char command[160];

	need_device();
	snprintf(command, sizeof(command),
		 "mkfs.ext4 -q -F -O ^has_journal %s >/dev/null 2>&1", device);
	if (system(command) != 0)
		skip();
	assert_int_equal(unlink(scene->path), 0);
	assert_int_equal(mkdir(scene->path, 0700), 0);
	if (mount(device, scene->path, "ext4", 0, NULL) != 0)
		skip();
	assert_int_equal(open_image(scene, false, 0), -EBUSY);
	assert_int_equal(umount(scene->path), 0);
	assert_int_equal(rmdir(scene->path), 0);
	assert_int_equal(open_image(scene, false, 0), 0);
}

static void a_device_is_never_deleted(void **state)
{
	struct scene *scene = *state;

	need_device();
	assert_int_equal(backend_delete(scene->uri, &scene->error), -EINVAL);
	assert_non_null(strstr(scene->error.message, "is a block device"));
}

#define DEVICE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, device_begin, device_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DEVICE_TEST(sectors_smaller_than_the_device_has_work_too),
		DEVICE_TEST(a_device_discards_and_zeroes),
		DEVICE_TEST(a_device_in_use_by_the_kernel_is_refused),
		DEVICE_TEST(a_device_is_never_deleted),
	};

	return cmocka_run_group_tests_name("block device", tests, NULL, NULL);
}
