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
#include "virtqueue.h"

#define VIRTIO_BLK_SECTOR_BYTES 512u
#define VIRTIO_BLK_PHYSICAL_BYTES 4096u

/* Largest request: header and status leave this many data segments. */
#define VIRTIO_BLK_SEGMENTS_MAX (VIRTQUEUE_CHAIN_MAX - 2u)
#define VIRTIO_BLK_SEGMENT_BYTES_MAX (256u << 10)
#define VIRTIO_BLK_LENGTH_MAX \
	(VIRTIO_BLK_SEGMENTS_MAX * VIRTIO_BLK_SEGMENT_BYTES_MAX)
/* A segment may go on from one memory region to the next: some to spare. */
#define VIRTIO_BLK_IOV_MAX VIRTQUEUE_CHAIN_MAX

/* One request, checked and translated. */
struct virtio_blk_command {
	uint32_t type; /* VIRTIO_BLK_T_...; not checked */
	uint64_t sector; /* not checked */
	uint8_t *status; /* in the guest's memory */
	uint64_t length; /* bytes of data */
	bool data_writable; /* by the device */
	unsigned int iov_count;
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

/* Checks the range of a read or write on a disk of @size_bytes.
 * Returns: 0 or -EINVAL. */
int virtio_blk_check_range(const struct virtio_blk_command *command,
			   uint64_t size_bytes);

/* Bits of the device's features, those of the rings included. */
uint64_t virtio_blk_features(bool read_only);
void virtio_blk_config_fill(uint64_t size_bytes, uint16_t queue_count,
			    struct virtio_blk_config *ret_config);
/* The serial number: the first characters of the UUID's text. */
void virtio_blk_serial(const uint8_t uuid[16],
		       char ret_serial[VIRTIO_BLK_ID_BYTES]);

#endif
