/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record_maker.h - builds records of the log by hand, for tests.
 *
 * A record is made in one block: record_begin(), entries, record_end(). What
 * the code under test must refuse is then patched in and sealed again.
 */
#ifndef FOREBAY_TESTS_ENGINE_RECORD_MAKER_H
#define FOREBAY_TESTS_ENGINE_RECORD_MAKER_H

#include <stdint.h>

#include "log_codec.h"

union record_block {
	struct log_record_header header;
	uint8_t bytes[LOG_BLOCK_BYTES];
};

extern const uint8_t RECORD_UUID[16];

void record_begin(union record_block *block, uint64_t sequence);
/* Adds an entry; its check values are 0, 1, 2... Returns: it. */
struct log_entry *record_add(union record_block *block,
			     enum log_entry_type type, uint64_t first_block,
			     uint32_t block_count);
void record_end(union record_block *block);

#endif
