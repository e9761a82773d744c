/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal.h - knows what each block of the disk must hold.
 *
 * For each block two versions: the last one that was acknowledged, and the
 * last one that was submitted. They lie in a shared mapping of a file (or in
 * memory alone): a version is noted before its request goes out and when it
 * has been answered, so that whoever kills this process finds a journal that
 * is right. It does not survive a loss of power of the host that runs it.
 *
 *   0        8         12          16     24       32       40      48     64
 *   +--------+---------+-----------+------+--------+--------+-------+------+
 *   | magic  | version | block     | seed | disk   | first  | block | zero |
 *   |        |         | bytes     |      | bytes  | byte   | count |      |
 *   +--------+---------+-----------+------+--------+--------+-------+------+
 *   64: for each block: u32 acked, u32 submitted; a version is
 *       sequence * 4 + enum version_kind; 0: never touched
 *
 * A block has at most one request at a time (journal_take()).
 */
#ifndef FOREBAY_LOAD_JOURNAL_H
#define FOREBAY_LOAD_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "load_io.h"

struct error;
struct journal;

struct journal_shape {
	uint64_t disk_bytes;
	uint64_t first_byte; /* of the disk, where block 0 lies */
	uint64_t block_count;
	uint32_t block_bytes;
};

/* The first wrong sector, in words for a person. */
#define JOURNAL_TEXT_BYTES 200u
struct journal_failures {
	uint64_t sectors;
	uint64_t blocks;
	uint64_t first_sector;
	char expected[JOURNAL_TEXT_BYTES];
	char found[JOURNAL_TEXT_BYTES];
};

/*
 * @path: NULL for one in memory. A file that exists is gone on with; it must
 * have been made for the same shape.
 * Returns: 0, -EINVAL (of another shape, or no journal), -EBUSY (somebody has
 * it open) or another errno, with @error filled.
 */
int journal_open(const char *path, const struct journal_shape *shape,
		 struct journal **ret_journal, struct error *error);
/* NULL is fine. */
void journal_close(struct journal *journal);

/* Returns: whether anything is known of the block. */
bool journal_knows(const struct journal *journal, uint64_t block);
/* Returns: false if a request for the block is under way. */
bool journal_take(struct journal *journal, uint64_t block);
/* The block was taken: notes the request, and fills the data of a write. */
void journal_begin(struct journal *journal, struct load_io *io);
/* The request has ended: notes it, checks what a read brought. */
void journal_end(struct journal *journal, const struct load_io *io);

const struct journal_failures *journal_failures(const struct journal *journal);

#endif
