/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copies.h - goes through the data of a cache file, in the disk's order.
 *
 * Each copy is read and its check value compared. What comes out is in pieces:
 * neighbouring sectors that are alike.
 */
#ifndef FOREBAY_RESCUE_COPIES_H
#define FOREBAY_RESCUE_COPIES_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "ranges.h"
#include "recovered.h"

struct copy_piece {
	struct range range;
	const uint8_t *bytes; /* until the next piece; NULL if it has a fault */
	bool zero; /* all of them are, and there are no bytes */
	bool doubtful; /* a newer version may be missing */
};

struct copies {
	const struct recovered *recovered;
	bool dirty_only;
	/* Returns: 0, or a negative errno that ends the walk. */
	int (*piece)(void *context, const struct copy_piece *piece,
		     struct error *error);
	/* Comes now and then; may be NULL. */
	void (*progress)(void *context, uint64_t blocks_done);
	void *context;
};

/* Returns: 0, what a piece() returned, or -ENOMEM. */
int copies_walk(const struct copies *copies, struct error *error);

#endif
