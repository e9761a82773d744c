/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace_file.h - the records of a trace file, one after the other.
 *
 * A file may end in the middle of a block, because what wrote it was killed,
 * and may have been damaged: what isn't a whole block is passed over, and
 * counted.
 */
#ifndef FOREBAY_TRACE_TRACE_FILE_H
#define FOREBAY_TRACE_TRACE_FILE_H

#include <stdbool.h>

#include "error.h"
#include "trace_block.h"

struct trace_file {
	uint8_t *bytes; /* mapped */
	size_t byte_count;
	size_t at;
	struct trace_block block;
	uint64_t first_unix_ns; /* the first block's begin; 0: no block yet */
	uint64_t disk_bytes; /* the largest of the blocks so far */
	uint64_t record_count;
	uint64_t block_count;
	uint64_t damaged_bytes;
	/* As told by the blocks of each trace in the file. */
	uint64_t lost_count;
	uint64_t lost_here; /* of the trace that the block is of */
	uint64_t begin_here;
};

/* Returns: 0, or @error's code: it can't be read or holds no block. */
int trace_file_open(const char *path, struct trace_file *ret_file,
		    struct error *error);
/* NULL is fine. */
void trace_file_close(struct trace_file *file);
/* Begins again. */
void trace_file_rewind(struct trace_file *file);
/* Times are since the begin of the file's first trace. Returns: false at the
 * end. */
bool trace_file_next(struct trace_file *file, struct trace_record *ret_record);

#endif
