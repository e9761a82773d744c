/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sidecar_index.h - which blocks of the data are newer in the journal, and
 * where there.
 *
 * A hash table with open addressing, sized once: every entry has a block of the
 * journal of its own, so there are never more of them than the journal has.
 */
#ifndef FOREBAY_SIDECAR_SIDECAR_INDEX_H
#define FOREBAY_SIDECAR_SIDECAR_INDEX_H

#include <stdint.h>

struct sidecar_place {
	uint32_t block; /* of the data */
	uint32_t location; /* block of the file, never 0 */
};

struct sidecar_index {
	struct sidecar_place *slots; /* location 0: empty */
	uint32_t mask;
	uint32_t count;
};

/* Returns: 0 or -ENOMEM. */
int sidecar_index_init(struct sidecar_index *index, uint32_t capacity);
void sidecar_index_release(struct sidecar_index *index);
/* Returns: 0 if the block isn't in the journal. */
uint32_t sidecar_index_get(const struct sidecar_index *index, uint32_t block);
void sidecar_index_put(struct sidecar_index *index, uint32_t block,
		       uint32_t location);
/* If that is still where it is. */
void sidecar_index_remove(struct sidecar_index *index, uint32_t block,
			  uint32_t location);
/* All of them in the order of blocks; @ret_places has room for `count`. */
void sidecar_index_list(const struct sidecar_index *index,
			struct sidecar_place *ret_places);

#endif
