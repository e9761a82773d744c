// SPDX-License-Identifier: Apache-2.0
/*
 * virtio_blk.c - finds header, data and status in a chain.
 *
 * A driver may cut the bytes of a request into descriptors as it likes: the
 * header is the first 16 readable bytes, the status the last writable byte,
 * the data is what remains on the side that the request type names.
 */
#include "virtio_blk.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "shared_word.h"
#include "uuid_text.h"

#define BIT(number) (UINT64_C(1) << (number))

/* A range of the bytes that some segments hold together. */
struct span {
	const struct virtqueue_segment *segments;
	unsigned int count;
	uint64_t start;
	uint64_t bytes;
	unsigned int used_count; /* segments that have some of them */
	uint64_t longest_bytes;
};

static_assert(sizeof(struct virtio_blk_discard_write_zeroes) == 16,
	      "as the specification has it");

static uint64_t segments_bytes(const struct virtqueue_segment *segments,
			       unsigned int count)
{
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < count; i++)
		bytes += segments[i].bytes;
	return bytes;
}

/* Returns: number of pieces, -EFAULT or -E2BIG. */
static int span_translate(struct span *span, struct guest_memory *memory,
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
		span->used_count++;
		if (piece > span->longest_bytes)
			span->longest_bytes = piece;
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
		shared_copy(target, pieces[i].iov_base, pieces[i].iov_len);
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

/* Whether the device reads the data of a request, not writes them. */
static bool data_is_read(uint32_t type)
{
	return type == VIRTIO_BLK_T_OUT || type == VIRTIO_BLK_T_DISCARD ||
	       type == VIRTIO_BLK_T_WRITE_ZEROES;
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
	ret_command->data_writable = !data_is_read(header.type);
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
	ret_command->segment_count = data.used_count;
	ret_command->segment_bytes = data.longest_bytes;
	return 0;
}

int virtio_blk_check_transfer(const struct virtio_blk_command *command,
			      const struct virtio_blk_model *model,
			      uint64_t features, uint64_t size_bytes)
{
	uint64_t sectors = size_bytes / VIRTIO_BLK_SECTOR_BYTES;

	/* Who hasn't read a limit can't be held to it: old firmware. */
	if ((features & BIT(VIRTIO_BLK_F_SEG_MAX) &&
	     command->segment_count > model->segments_max) ||
	    (features & BIT(VIRTIO_BLK_F_SIZE_MAX) &&
	     command->segment_bytes > model->segment_bytes_max))
		return -EINVAL;
	if (command->length == 0 || command->length > VIRTIO_BLK_LENGTH_MAX ||
	    command->length % VIRTIO_BLK_SECTOR_BYTES != 0)
		return -EINVAL;
	if (command->sector > sectors ||
	    command->length / VIRTIO_BLK_SECTOR_BYTES >
		    sectors - command->sector)
		return -EINVAL;
	return 0;
}

/* Returns: 0, 1 if the range is empty, -EINVAL or -EOPNOTSUPP. */
static int range_check(const struct virtio_blk_discard_write_zeroes *raw,
		       bool zeroes, uint32_t sectors_max, uint64_t size_bytes)
{
	uint64_t sectors = size_bytes / VIRTIO_BLK_SECTOR_BYTES;
	uint32_t known = zeroes ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;

	if (raw->flags & ~known)
		return -EOPNOTSUPP;
	if (raw->num_sectors > sectors_max || raw->sector > sectors ||
	    raw->num_sectors > sectors - raw->sector)
		return -EINVAL;
	return raw->num_sectors == 0;
}

/* Returns: number of bytes copied. */
static size_t data_copy(const struct iovec *iov, unsigned int count,
			uint8_t *target)
{
	size_t bytes = 0;

	for (unsigned int i = 0; i < count; i++) {
		shared_copy(target + bytes, iov[i].iov_base, iov[i].iov_len);
		bytes += iov[i].iov_len;
	}
	return bytes;
}

int virtio_blk_parse_ranges(
	const struct virtio_blk_command *command, const struct iovec *iov,
	const struct virtio_blk_model *model, uint64_t size_bytes,
	struct virtio_blk_range ret_ranges[VIRTIO_BLK_RANGES_MAX])
{
	struct virtio_blk_discard_write_zeroes raw[VIRTIO_BLK_RANGES_MAX];
	bool zeroes = command->type == VIRTIO_BLK_T_WRITE_ZEROES;
	uint32_t sectors_max =
		zeroes ? model->zeroes_sectors_max : model->discard_sectors_max;
	uint32_t count_max =
		zeroes ? model->zeroes_ranges_max : model->discard_ranges_max;
	uint64_t count = command->length / sizeof(raw[0]);
	int kept = 0;
	int status = 0;

	if (count == 0 || count > count_max ||
	    command->length % sizeof(raw[0]) != 0)
		return -EINVAL;
	data_copy(iov, command->iov_count, (uint8_t *)raw);
	for (uint64_t i = 0; i < count; i++) {
		int result =
			range_check(&raw[i], zeroes, sectors_max, size_bytes);

		/* An unknown flag is told even if a range is wrong too. */
		if (result == -EOPNOTSUPP)
			return result;
		if (result < 0)
			status = result;
		if (result != 0)
			continue;
		ret_ranges[kept++] = (struct virtio_blk_range){
			.offset = raw[i].sector * VIRTIO_BLK_SECTOR_BYTES,
			.length = (uint64_t)raw[i].num_sectors *
				  VIRTIO_BLK_SECTOR_BYTES,
			.unmap = raw[i].flags &
				 VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP,
		};
	}
	return status < 0 ? status : kept;
}

void virtio_blk_config_fill(const struct virtio_blk_facts *facts,
			    struct virtio_blk_config *ret_config)
{
	const struct virtio_blk_model *model = facts->model;
	unsigned int blocks =
		VIRTIO_BLK_PHYSICAL_BYTES / VIRTIO_BLK_SECTOR_BYTES;

	*ret_config = (struct virtio_blk_config){
		.capacity = facts->size_bytes / VIRTIO_BLK_SECTOR_BYTES,
		.size_max = model->segment_bytes_max,
		.seg_max = model->segments_max,
		.blk_size = VIRTIO_BLK_SECTOR_BYTES,
		.physical_block_exp = (uint8_t)__builtin_ctz(blocks),
		.min_io_size = (uint16_t)blocks,
		.num_queues = facts->queue_count,
	};
	if (model->features & BIT(VIRTIO_BLK_F_CONFIG_WCE))
		ret_config->wce = facts->writeback;
	ret_config->max_discard_sectors = model->discard_sectors_max;
	ret_config->max_discard_seg = model->discard_ranges_max;
	ret_config->discard_sector_alignment = model->discard_alignment_sectors;
	ret_config->max_write_zeroes_sectors = model->zeroes_sectors_max;
	ret_config->max_write_zeroes_seg = model->zeroes_ranges_max;
	ret_config->write_zeroes_may_unmap = model->zeroes_ranges_max > 0;
}

void virtio_blk_serial(const uint8_t uuid[16],
		       char ret_serial[VIRTIO_BLK_ID_BYTES])
{
	char text[UUID_TEXT_BYTES];

	uuid_format(uuid, text);
	memcpy(ret_serial, text, VIRTIO_BLK_ID_BYTES);
}
