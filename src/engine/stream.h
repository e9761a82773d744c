/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.h - which reads go on where others have ended.
 *
 * A stream is a row of missed reads in the order of their addresses, such as a
 * backup's or a file copy's. What is read so is seldom read again soon, and
 * would take the room of what is. Several streams may go on at once; a queue
 * brings each one's reads in a slightly different order, and what is cached
 * leaves gaps in it, so a read belongs to a stream if it begins near to where
 * that has come.
 *
 * A stream counts as one when it has come STREAM_BLOCKS far and at least half
 * of what lies between was read in it. Reads here and there in a small part of
 * the disk don't come far; reads that skip most of it aren't dense.
 *
 * Pure: no I/O, no clock. One table a disk; all zeros is an empty one.
 */
#ifndef FOREBAY_ENGINE_STREAM_H
#define FOREBAY_ENGINE_STREAM_H

#include <stdbool.h>
#include <stdint.h>

/* Streams that are followed at once, and beginnings that may become one. */
#define STREAMS_MAX 32u
/* 4 MiB: more than most files that a guest reads whole as it starts. */
#define STREAM_BLOCKS 1024u
/* So far may a queue's reads be out of order, or cached ones be left out. Much
 * less than a stream's length, or a part of the disk that is read here and
 * there would be one. */
#define STREAM_NEAR_BLOCKS 256u

struct stream {
	uint64_t begin;
	uint64_t end; /* behind the farthest read */
	uint64_t read_blocks;
	uint64_t used; /* the table's count when it went on; 0: empty */
};

struct streams {
	struct stream streams[STREAMS_MAX];
	uint64_t count; /* of reads */
};

/*
 * [block, block + count) was missed. Returns: whether that belongs to a stream
 * that is long enough to be one.
 */
bool stream_goes_on(struct streams *streams, uint64_t block, uint64_t count);

#endif
