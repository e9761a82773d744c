/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packing.h - zstd, bounded in what it reads, writes and remembers.
 */
#ifndef FOREBAY_BUNDLE_PACKING_H
#define FOREBAY_BUNDLE_PACKING_H

#include "bundle_format.h"
#include "bundle_issue.h"

/*
 * From a descriptor to a descriptor: exactly one frame and nothing behind it,
 * from at most BUNDLE_PACKED_BYTES_MAX to at most BUNDLE_ARCHIVE_BYTES_MAX.
 * Returns: 0, -EBADMSG with @refusal, or what reading or writing failed with.
 */
int packing_unpack(int in_fd, int out_fd, struct bundle_refusal *refusal);

/* One frame in fresh memory, the same for the same bytes. Returns: 0 or
 * -ENOMEM. Owns: the caller frees it. */
int packing_pack(struct bundle_span archive, uint8_t **ret_packed,
		 size_t *ret_bytes);

#endif
