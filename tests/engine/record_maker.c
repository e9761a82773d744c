// SPDX-License-Identifier: Apache-2.0
/* record_maker.c - see record_maker.h. */
#include "record_maker.h"

#include <string.h>

const uint8_t RECORD_UUID[16] = "sixteen bytes id";

void record_begin(union record_block *block, uint64_t sequence)
{
	memset(block, 0, sizeof(*block));
	memcpy(block->header.uuid, RECORD_UUID, 16);
	block->header.used_bytes = sizeof(block->header);
	block->header.epoch = 1;
	block->header.incarnation = 1;
	block->header.sequence = sequence;
	block->header.tail_sequence = 1;
}

struct log_entry *record_add(union record_block *block,
			     enum log_entry_type type, uint64_t first_block,
			     uint32_t block_count)
{
	struct log_record_header *header = &block->header;
	struct log_entry *entry = (void *)(block->bytes + header->used_bytes);
	uint32_t *checks = (void *)(entry + 1);
	uint32_t data_blocks;

	*entry = (struct log_entry){
		.type = (uint8_t)type,
		.first_block = first_block,
		.block_count = block_count,
	};
	data_blocks = log_entry_data_blocks(entry);
	for (uint32_t i = 0; i < data_blocks; i++)
		checks[i] = i;
	header->used_bytes =
		(uint16_t)(header->used_bytes + log_entry_bytes(data_blocks));
	header->data_blocks += data_blocks;
	header->entry_count++;
	return entry;
}

void record_end(union record_block *block)
{
	log_record_seal(&block->header);
}
