// SPDX-License-Identifier: Apache-2.0
/*
 * virtio_blk_model.c - the table of device models.
 *
 * Ranges of zeroes are short, because a chain without zeroes writes them: a
 * whole request is 1 GiB at most, which even slow storage writes in the time
 * that a queue gets to stop. Discards cost the same whatever their length.
 */
#include "virtio_blk_model.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stddef.h>

#include "virtio_blk.h"

#define BIT(number) (UINT64_C(1) << (number))

#define FEATURES_1                                                    \
	(BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_EVENT_IDX) |     \
	 BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_BLK_F_FLUSH) | \
	 BIT(VIRTIO_BLK_F_BLK_SIZE) | BIT(VIRTIO_BLK_F_TOPOLOGY) |    \
	 BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_SIZE_MAX) |     \
	 BIT(VIRTIO_BLK_F_MQ))
#define FEATURES_2                                                  \
	(FEATURES_1 | BIT(VIRTIO_F_RING_PACKED) |                   \
	 BIT(VIRTIO_BLK_F_CONFIG_WCE) | BIT(VIRTIO_BLK_F_DISCARD) | \
	 BIT(VIRTIO_BLK_F_WRITE_ZEROES))

static const struct virtio_blk_model models[] = {
	[1] =
		{
			.features = FEATURES_1,
			.segments_max = 126,
			.segment_bytes_max = 256u << 10,
		},
	[2] =
		{
			.features = FEATURES_2,
			.segments_max = 126,
			.segment_bytes_max = 256u << 10,
			.discard_ranges_max = 32,
			.discard_sectors_max = 1u << 21, /* 1 GiB */
			.discard_alignment_sectors = 8,
			.zeroes_ranges_max = 16,
			.zeroes_sectors_max = 1u << 17, /* 64 MiB */
		},
};

static_assert(sizeof(models) / sizeof(models[0]) == DEVICE_REVISION_NEWEST + 1,
	      "every revision has a model");

const struct virtio_blk_model *virtio_blk_model(unsigned int revision)
{
	if (revision < DEVICE_REVISION_FIRST ||
	    revision > DEVICE_REVISION_NEWEST)
		return NULL;
	return &models[revision];
}

uint64_t virtio_blk_model_features(const struct virtio_blk_model *model,
				   bool read_only)
{
	if (!read_only)
		return model->features;
	return (model->features &
		~(BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES))) |
	       BIT(VIRTIO_BLK_F_RO);
}
