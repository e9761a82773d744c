// SPDX-License-Identifier: Apache-2.0
/*
 * virtio_blk.c - finds header, data and status in a chain.
 *
 * A driver may cut the bytes of a request into descriptors as it likes: the
 * header is the first 16 readable bytes, the status the last writable byte,
 * the data is what remains on the side that the request type names.
 */
#include "virtio_blk.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "uuid_text.h"

#define BIT(number) (UINT64_C(1) << (number))

/* A range of the bytes that some segments hold together. */
struct span {
	const struct virtqueue_segment *segments;
	unsigned int count;
	uint64_t start;
	uint64_t bytes;
};

static uint64_t segments_bytes(const struct virtqueue_segment *segments,
			       unsigned int count)
{
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < count; i++)
		bytes += segments[i].bytes;
	return bytes;
}

/* Returns: number of pieces, -EFAULT or -E2BIG. */
static int span_translate(const struct span *span, struct guest_memory *memory,
			  struct iovec *ret_pieces, unsigned int capacity)
{
	uint64_t start = span->start;
	uint64_t bytes = span->bytes;
	unsigned int count = 0;

	for (unsigned int i = 0; i < span->count && bytes > 0; i++) {
		const struct virtqueue_segment *segment = &span->segments[i];
		uint64_t piece;
		int result;

		if (start >= segment->bytes) {
			start -= segment->bytes;
			continue;
		}
		piece = segment->bytes - start;
		if (piece > bytes)
			piece = bytes;
		result = guest_memory_translate(
			memory, segment->address + start, piece,
			ret_pieces + count, capacity - count);
		if (result < 0)
			return result;
		count += (unsigned int)result;
		bytes -= piece;
		start = 0;
	}
	return (int)count;
}

/* Copies the header once, out of the guest's reach. */
static int header_copy(const struct virtqueue_chain *chain,
		       struct guest_memory *memory,
		       struct virtio_blk_outhdr *ret_header)
{
	struct span span = {
		.segments = chain->segments,
		.count = chain->readable_count,
		.bytes = sizeof(*ret_header),
	};
	struct iovec pieces[sizeof(*ret_header)];
	uint8_t *target = (uint8_t *)ret_header;
	int count;

	if (segments_bytes(span.segments, span.count) < span.bytes)
		return -EPROTO;
	count = span_translate(&span, memory, pieces, sizeof(*ret_header));
	if (count < 0)
		return -EPROTO;
	for (int i = 0; i < count; i++) {
		memcpy(target, pieces[i].iov_base, pieces[i].iov_len);
		target += pieces[i].iov_len;
	}
	return 0;
}

static uint8_t *status_find(const struct virtqueue_chain *chain,
			    struct guest_memory *memory)
{
	const struct virtqueue_segment *last;
	struct iovec piece;

	if (chain->readable_count == chain->count)
		return NULL;
	last = &chain->segments[chain->count - 1];
	if (guest_memory_translate(memory, last->address + last->bytes - 1, 1,
				   &piece, 1) != 1)
		return NULL;
	return piece.iov_base;
}

int virtio_blk_parse(const struct virtqueue_chain *chain,
		     struct guest_memory *memory,
		     struct virtio_blk_command *ret_command,
		     struct iovec ret_iov[VIRTIO_BLK_IOV_MAX])
{
	struct virtio_blk_outhdr header;
	struct span data = {0};
	int count;

	if (header_copy(chain, memory, &header) < 0)
		return -EPROTO;
	ret_command->status = status_find(chain, memory);
	if (!ret_command->status)
		return -EPROTO;
	ret_command->type = header.type;
	ret_command->sector = header.sector;
	ret_command->data_writable = header.type != VIRTIO_BLK_T_OUT;
	if (ret_command->data_writable) {
		data.segments = chain->segments + chain->readable_count;
		data.count = chain->count - chain->readable_count;
		data.bytes = segments_bytes(data.segments, data.count) - 1;
	} else {
		data.segments = chain->segments;
		data.count = chain->readable_count;
		data.start = sizeof(header);
		data.bytes = segments_bytes(data.segments, data.count) -
			     sizeof(header);
	}
	ret_command->length = data.bytes;
	count = span_translate(&data, memory, ret_iov, VIRTIO_BLK_IOV_MAX);
	if (count == -E2BIG)
		return -EINVAL;
	if (count < 0)
		return -EPROTO;
	ret_command->iov_count = (unsigned int)count;
	return 0;
}

int virtio_blk_check_range(const struct virtio_blk_command *command,
			   uint64_t size_bytes)
{
	uint64_t sectors = size_bytes / VIRTIO_BLK_SECTOR_BYTES;

	if (command->length == 0 || command->length > VIRTIO_BLK_LENGTH_MAX ||
	    command->length % VIRTIO_BLK_SECTOR_BYTES != 0)
		return -EINVAL;
	if (command->sector > sectors ||
	    command->length / VIRTIO_BLK_SECTOR_BYTES >
		    sectors - command->sector)
		return -EINVAL;
	return 0;
}

uint64_t virtio_blk_features(bool read_only)
{
	uint64_t features =
		BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_EVENT_IDX) |
		BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_BLK_F_FLUSH) |
		BIT(VIRTIO_BLK_F_BLK_SIZE) | BIT(VIRTIO_BLK_F_TOPOLOGY) |
		BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_SIZE_MAX) |
		BIT(VIRTIO_BLK_F_MQ);

	return read_only ? features | BIT(VIRTIO_BLK_F_RO) : features;
}

void virtio_blk_config_fill(uint64_t size_bytes, uint16_t queue_count,
			    struct virtio_blk_config *ret_config)
{
	unsigned int blocks =
		VIRTIO_BLK_PHYSICAL_BYTES / VIRTIO_BLK_SECTOR_BYTES;

	*ret_config = (struct virtio_blk_config){
		.capacity = size_bytes / VIRTIO_BLK_SECTOR_BYTES,
		.size_max = VIRTIO_BLK_SEGMENT_BYTES_MAX,
		.seg_max = VIRTIO_BLK_SEGMENTS_MAX,
		.blk_size = VIRTIO_BLK_SECTOR_BYTES,
		.physical_block_exp = (uint8_t)__builtin_ctz(blocks),
		.min_io_size = (uint16_t)blocks,
		.num_queues = queue_count,
	};
}

void virtio_blk_serial(const uint8_t uuid[16],
		       char ret_serial[VIRTIO_BLK_ID_BYTES])
{
	char text[UUID_TEXT_BYTES];

	uuid_format(uuid, text);
	memcpy(ret_serial, text, VIRTIO_BLK_ID_BYTES);
}
