/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_status.h - the answer to a BLOCK_STATUS, made in a slot's own buffer.
 *
 * The list of extents is filled by the pipeline at the buffer's end; the reply
 * is written at its beginning, one chunk for each context:
 *
 *   [ chunk | chunk | ...                    | list of extents ]
 *   0                      NBD_STATUS_REPLY_MAX    NBD_SMALL_BYTES
 */
#ifndef FOREBAY_EXPORT_NBD_STATUS_H
#define FOREBAY_EXPORT_NBD_STATUS_H

#include <stdint.h>

#include "forebay/filter.h"
#include "nbd_buffers.h"
#include "nbd_context.h"
#include "nbd_request.h"

/* Most extents of one reply. */
#define NBD_EXTENTS_MAX 500u
#define NBD_STATUS_CHUNK_MAX \
	(NBD_STRUCTURED_REPLY_BYTES + 4u + 8u * NBD_EXTENTS_MAX)
#define NBD_STATUS_REPLY_MAX (NBD_CONTEXT_COUNT * NBD_STATUS_CHUNK_MAX)

/* An empty list in @buffer, of NBD_SMALL_BYTES. */
struct forebay_extents nbd_status_list(uint8_t *buffer);
/*
 * Writes the whole reply into @buffer. @extents is not empty.
 * Returns: its length.
 */
uint32_t nbd_status_format(const struct nbd_request *request, uint8_t contexts,
			   const struct forebay_extents *extents,
			   uint8_t *buffer);

#endif
