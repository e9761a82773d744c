// SPDX-License-Identifier: Apache-2.0
/*
 * test_virtio_blk.c - the pure part of the device: models, limits, ranges.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "virtio_blk.h"

#define DISK_BYTES (UINT64_C(1) << 40)
#define DISK_SECTORS (DISK_BYTES / 512)
#define BIT(number) (UINT64_C(1) << (number))

typedef struct virtio_blk_discard_write_zeroes raw_range;

static int parse(uint32_t type, const raw_range *raw, uint64_t bytes,
		 struct virtio_blk_range ret_ranges[VIRTIO_BLK_RANGES_MAX])
{
	const struct virtio_blk_command command = {
		.type = type,
		.length = bytes,
		.iov_count = 2,
	};
	/* Cut where no field ends. */
	const struct iovec iov[] = {
		{(void *)(uintptr_t)raw, bytes < 5 ? bytes : 5},
		{(uint8_t *)(uintptr_t)raw + 5, bytes < 5 ? 0 : bytes - 5},
	};

	return virtio_blk_parse_ranges(&command, iov, virtio_blk_model(2),
				       DISK_BYTES, ret_ranges);
}

static int parse_one(uint32_t type, uint64_t sector, uint32_t count,
		     uint32_t flags)
{
	struct virtio_blk_range ranges[VIRTIO_BLK_RANGES_MAX];
	const raw_range raw = {sector, count, flags};

	return parse(type, &raw, sizeof(raw), ranges);
}

static void ranges_are_checked_without_overflow(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		const uint32_t type = i == 0 ? VIRTIO_BLK_T_DISCARD
					     : VIRTIO_BLK_T_WRITE_ZEROES;

		assert_int_equal(parse_one(type, 0, 8, 0), 1);
		assert_int_equal(parse_one(type, DISK_SECTORS - 8, 8, 0), 1);
		assert_int_equal(parse_one(type, DISK_SECTORS - 7, 8, 0),
				 -EINVAL);
		assert_int_equal(parse_one(type, DISK_SECTORS, 0, 0), 0);
		assert_int_equal(parse_one(type, DISK_SECTORS + 1, 0, 0),
				 -EINVAL);
		assert_int_equal(parse_one(type, UINT64_MAX, 1, 0), -EINVAL);
		assert_int_equal(parse_one(type, UINT64_MAX / 512 + 1, 1, 0),
				 -EINVAL);
		assert_int_equal(parse_one(type, 0, UINT32_MAX, 0), -EINVAL);
	}
}

static void a_range_is_at_most_as_long_as_published(void **state)
{
	const struct virtio_blk_model *model = virtio_blk_model(2);

	(void)state;
	assert_int_equal(parse_one(VIRTIO_BLK_T_DISCARD, 0,
				   model->discard_sectors_max, 0),
			 1);
	assert_int_equal(parse_one(VIRTIO_BLK_T_DISCARD, 0,
				   model->discard_sectors_max + 1, 0),
			 -EINVAL);
	assert_int_equal(parse_one(VIRTIO_BLK_T_WRITE_ZEROES, 0,
				   model->zeroes_sectors_max, 0),
			 1);
	assert_int_equal(parse_one(VIRTIO_BLK_T_WRITE_ZEROES, 0,
				   model->zeroes_sectors_max + 1, 0),
			 -EINVAL);
}

static void a_request_has_at_most_as_many_ranges_as_published(void **state)
{
	const struct virtio_blk_model *model = virtio_blk_model(2);
	struct virtio_blk_range ranges[VIRTIO_BLK_RANGES_MAX];
	raw_range raw[VIRTIO_BLK_RANGES_MAX + 1];

	(void)state;
	for (unsigned int i = 0; i <= VIRTIO_BLK_RANGES_MAX; i++)
		raw[i] = (raw_range){i, 1, 0};
	for (uint32_t i = 1; i <= VIRTIO_BLK_RANGES_MAX + 1; i++) {
		bool discard_fits = i <= model->discard_ranges_max;
		bool zeroes_fit = i <= model->zeroes_ranges_max;

		assert_int_equal(parse(VIRTIO_BLK_T_DISCARD, raw,
				       sizeof(raw[0]) * i, ranges),
				 discard_fits ? (int)i : -EINVAL);
		assert_int_equal(parse(VIRTIO_BLK_T_WRITE_ZEROES, raw,
				       sizeof(raw[0]) * i, ranges),
				 zeroes_fit ? (int)i : -EINVAL);
	}
	assert_int_equal(ranges[7].offset, 7 * 512);
	/* None, and a part of one. */
	assert_int_equal(parse(VIRTIO_BLK_T_DISCARD, raw, 0, ranges), -EINVAL);
	assert_int_equal(parse(VIRTIO_BLK_T_DISCARD, raw, 17, ranges), -EINVAL);
}

static void unknown_flags_are_unsupported(void **state)
{
	(void)state;
	assert_int_equal(parse_one(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 1), 1);
	assert_int_equal(parse_one(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 2),
			 -EOPNOTSUPP);
	assert_int_equal(parse_one(VIRTIO_BLK_T_DISCARD, 0, 8, 1), -EOPNOTSUPP);
	assert_int_equal(parse_one(VIRTIO_BLK_T_DISCARD, 0, 8, 1u << 31),
			 -EOPNOTSUPP);
}

static void an_unknown_flag_is_told_before_a_wrong_range(void **state)
{
	const raw_range raw[] = {{UINT64_MAX, 8, 0}, {0, 8, 2}};
	struct virtio_blk_range ranges[VIRTIO_BLK_RANGES_MAX];

	(void)state;
	assert_int_equal(
		parse(VIRTIO_BLK_T_WRITE_ZEROES, raw, sizeof(raw), ranges),
		-EOPNOTSUPP);
}

static void empty_ranges_are_left_out(void **state)
{
	const raw_range raw[] = {{0, 0, 0}, {8, 8, 1}, {4, 0, 1}};
	struct virtio_blk_range ranges[VIRTIO_BLK_RANGES_MAX];

	(void)state;
	assert_int_equal(
		parse(VIRTIO_BLK_T_WRITE_ZEROES, raw, sizeof(raw), ranges), 1);
	assert_int_equal(ranges[0].offset, 4096);
	assert_int_equal(ranges[0].length, 4096);
	assert_true(ranges[0].unmap);
}

static void limits_hold_for_drivers_that_have_read_them(void **state)
{
	const struct virtio_blk_model *model = virtio_blk_model(2);
	const struct virtio_blk_command many = {
		.length = 512 * 127,
		.segment_count = 127,
		.segment_bytes = 512,
	};
	const struct virtio_blk_command large = {
		.length = 512 << 10,
		.segment_count = 1,
		.segment_bytes = 512 << 10,
	};

	(void)state;
	assert_int_equal(virtio_blk_check_transfer(&many, model,
						   BIT(VIRTIO_BLK_F_SEG_MAX),
						   DISK_BYTES),
			 -EINVAL);
	assert_int_equal(virtio_blk_check_transfer(&large, model,
						   BIT(VIRTIO_BLK_F_SIZE_MAX),
						   DISK_BYTES),
			 -EINVAL);
	assert_int_equal(
		virtio_blk_check_transfer(&large, model, 0, DISK_BYTES), 0);
}

/* What a guest has seen once: a released model never changes. */
static void models_are_what_they_were_when_released(void **state)
{
	const uint64_t first =
		BIT(VIRTIO_BLK_F_SIZE_MAX) | BIT(VIRTIO_BLK_F_SEG_MAX) |
		BIT(VIRTIO_BLK_F_BLK_SIZE) | BIT(VIRTIO_BLK_F_FLUSH) |
		BIT(VIRTIO_BLK_F_TOPOLOGY) | BIT(VIRTIO_BLK_F_MQ) |
		BIT(VIRTIO_RING_F_INDIRECT_DESC) |
		BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_F_VERSION_1);
	const struct virtio_blk_facts facts = {
		.model = virtio_blk_model(1),
		.size_bytes = DISK_BYTES,
		.queue_count = 4,
		.writeback = true,
	};
	struct virtio_blk_config config;
	const struct virtio_blk_config expected = {
		.capacity = DISK_SECTORS,
		.size_max = 256 << 10,
		.seg_max = 126,
		.blk_size = 512,
		.physical_block_exp = 3,
		.min_io_size = 8,
		.num_queues = 4,
	};

	(void)state;
	assert_int_equal(virtio_blk_model(1)->features, first);
	virtio_blk_config_fill(&facts, &config);
	assert_memory_equal(&config, &expected, sizeof(config));
	assert_null(virtio_blk_model(0));
	assert_null(virtio_blk_model(DEVICE_REVISION_NEWEST + 1));
}

static void a_read_only_device_offers_no_changes(void **state)
{
	uint64_t features =
		virtio_blk_model_features(virtio_blk_model(2), true);

	(void)state;
	assert_true(features & BIT(VIRTIO_BLK_F_RO));
	assert_false(features & BIT(VIRTIO_BLK_F_DISCARD));
	assert_false(features & BIT(VIRTIO_BLK_F_WRITE_ZEROES));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_are_checked_without_overflow),
		cmocka_unit_test(a_range_is_at_most_as_long_as_published),
		cmocka_unit_test(
			a_request_has_at_most_as_many_ranges_as_published),
		cmocka_unit_test(unknown_flags_are_unsupported),
		cmocka_unit_test(an_unknown_flag_is_told_before_a_wrong_range),
		cmocka_unit_test(empty_ranges_are_left_out),
		cmocka_unit_test(limits_hold_for_drivers_that_have_read_them),
		cmocka_unit_test(models_are_what_they_were_when_released),
		cmocka_unit_test(a_read_only_device_offers_no_changes),
	};

	return cmocka_run_group_tests_name("virtio_blk", tests, NULL, NULL);
}
