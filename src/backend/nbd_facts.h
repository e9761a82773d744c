/* SPDX-License-Identifier: Apache-2.0 */
/* nbd_facts.h - what a server said about its export when we connected. */
#ifndef FOREBAY_BACKEND_NBD_FACTS_H
#define FOREBAY_BACKEND_NBD_FACTS_H

#include <libnbd.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"

#define NBD_SECTOR_BYTES 512u
/* Most data of a command, whatever the server takes. */
#define NBD_DATA_MAX_BYTES (32u << 20)

struct nbd_facts {
	uint64_t size_bytes;
	uint32_t data_max_bytes; /* a multiple of 512 */
	bool read_only;
	bool multi_conn;
	bool flush; /* without it, what is acknowledged is durable */
	bool fua;
	bool trim;
	bool zero;
	bool fast_zero;
	bool cache;
	bool block_status;
};

/* Returns: 0, or -ENOTSUP with words: we can't work with such an export. */
int nbd_facts_read(struct nbd_handle *handle, struct nbd_facts *ret_facts,
		   struct error *error);
/*
 * Whether a server that we come back to still is what the disk was opened with:
 * it may have grown and learned, not shrunk and forgotten. Returns: 0, or
 * -ESTALE with words.
 */
int nbd_facts_compare(const struct nbd_facts *known,
		      const struct nbd_facts *found, bool disk_read_only,
		      struct error *error);

#endif
