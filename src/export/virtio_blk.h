/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio_blk.h - what the descriptors of a block request mean (virtio 1.2,
 * 5.2), and what the device tells about itself.
 */
#ifndef FOREBAY_EXPORT_VIRTIO_BLK_H
#define FOREBAY_EXPORT_VIRTIO_BLK_H

#include <linux/virtio_blk.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "guest_memory.h"
#include "virtio_blk_model.h"
#include "virtqueue.h"

#define VIRTIO_BLK_SECTOR_BYTES 512u
#define VIRTIO_BLK_PHYSICAL_BYTES 4096u

/* The largest that any model has: data segments, their bytes, ranges. */
#define VIRTIO_BLK_SEGMENTS_MAX 126u
#define VIRTIO_BLK_SEGMENT_BYTES_MAX (256u << 10)
#define VIRTIO_BLK_RANGES_MAX 32u
#define VIRTIO_BLK_LENGTH_MAX \
	(VIRTIO_BLK_SEGMENTS_MAX * VIRTIO_BLK_SEGMENT_BYTES_MAX)
/* A segment may go on from one memory region to the next: some to spare. */
#define VIRTIO_BLK_IOV_MAX 128u

/* One request, checked and translated. */
struct virtio_blk_command {
	uint32_t type; /* VIRTIO_BLK_T_...; not checked */
	uint64_t sector; /* not checked */
	uint8_t *status; /* in the guest's memory */
	uint64_t length; /* bytes of data */
	bool data_writable; /* by the device */
	unsigned int iov_count;
	unsigned int segment_count; /* of data, as the driver cut them */
	uint64_t segment_bytes; /* of the largest */
};

/* A range of a discard or of zeroes, checked. */
struct virtio_blk_range {
	uint64_t offset; /* bytes */
	uint64_t length; /* bytes; not 0 */
	bool unmap;
};

/*
 * Finds header, data and status in @chain.
 * Returns: 0; -EINVAL if only this request is wrong (`status` is set then);
 * -EPROTO if the driver broke the rules.
 */
int virtio_blk_parse(const struct virtqueue_chain *chain,
		     struct guest_memory *memory,
		     struct virtio_blk_command *ret_command,
		     struct iovec ret_iov[VIRTIO_BLK_IOV_MAX]);

/*
 * Checks a read or write on a disk of @size_bytes, against those limits of
 * @model that the driver knows by @features. Returns: 0 or -EINVAL.
 */
int virtio_blk_check_transfer(const struct virtio_blk_command *command,
			      const struct virtio_blk_model *model,
			      uint64_t features, uint64_t size_bytes);
/*
 * Copies the ranges of a discard or of zeroes out of the data in @iov, and
 * checks all of them. Empty ones are left out.
 * Returns: their number, -EINVAL, or -EOPNOTSUPP for flags that it can't have.
 */
int virtio_blk_parse_ranges(
	const struct virtio_blk_command *command, const struct iovec *iov,
	const struct virtio_blk_model *model, uint64_t size_bytes,
	struct virtio_blk_range ret_ranges[VIRTIO_BLK_RANGES_MAX]);

/* What the guest reads of the device beyond its features. */
struct virtio_blk_facts {
	const struct virtio_blk_model *model;
	uint64_t size_bytes;
	uint16_t queue_count;
	bool writeback;
};
void virtio_blk_config_fill(const struct virtio_blk_facts *facts,
			    struct virtio_blk_config *ret_config);
/* The serial number: the first characters of the UUID's text. */
void virtio_blk_serial(const uint8_t uuid[16],
		       char ret_serial[VIRTIO_BLK_ID_BYTES]);

#endif
