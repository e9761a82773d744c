/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio_blk_model.h - the device models: what a guest may find, by revision.
 *
 * A model never changes once it has been released. What is new gets a new
 * revision, and disks get it when they are created.
 */
#ifndef FOREBAY_EXPORT_VIRTIO_BLK_MODEL_H
#define FOREBAY_EXPORT_VIRTIO_BLK_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "device_revision.h"

struct virtio_blk_model {
	uint64_t features; /* bits of the device and of its rings */
	uint32_t segments_max; /* data segments of a read or write */
	uint32_t segment_bytes_max;
	uint32_t discard_ranges_max; /* in one request */
	uint32_t discard_sectors_max; /* in one range */
	uint32_t discard_alignment_sectors;
	uint32_t zeroes_ranges_max;
	uint32_t zeroes_sectors_max;
};

/* Returns: NULL if this version doesn't know the revision. */
const struct virtio_blk_model *virtio_blk_model(unsigned int revision);
/* What the device offers: a read-only disk takes no changes. */
uint64_t virtio_blk_model_features(const struct virtio_blk_model *model,
				   bool read_only);

#endif
