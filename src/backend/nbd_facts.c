// SPDX-License-Identifier: Apache-2.0
/* nbd_facts.c - asks libnbd, which keeps what the handshake said. */
#include "nbd_facts.h"

#include <errno.h>
#include <inttypes.h>

static bool yes(int answer)
{
	return answer == 1;
}

int nbd_facts_read(struct nbd_handle *handle, struct nbd_facts *ret_facts,
		   struct error *error)
{
	int64_t size = nbd_get_size(handle);
	int64_t minimum = nbd_get_block_size(handle, LIBNBD_SIZE_MINIMUM);
	int64_t maximum = nbd_get_block_size(handle, LIBNBD_SIZE_MAXIMUM);
	struct nbd_facts facts = {
		.data_max_bytes = NBD_DATA_MAX_BYTES,
		.read_only = nbd_is_read_only(handle) != 0,
		.multi_conn = yes(nbd_can_multi_conn(handle)),
		.flush = yes(nbd_can_flush(handle)),
		.fua = yes(nbd_can_fua(handle)),
		.trim = yes(nbd_can_trim(handle)),
		.zero = yes(nbd_can_zero(handle)),
		.fast_zero = yes(nbd_can_fast_zero(handle)),
		.cache = yes(nbd_can_cache(handle)),
		.block_status = yes(nbd_can_meta_context(
			handle, LIBNBD_CONTEXT_BASE_ALLOCATION)),
	};

	if (size <= 0 || size % NBD_SECTOR_BYTES != 0)
		return error_set(error, -ENOTSUP,
				 "the export has %" PRId64 " bytes: not a "
				 "multiple of %u, or nothing",
				 size, NBD_SECTOR_BYTES);
	if (minimum > NBD_SECTOR_BYTES)
		return error_set(error, -ENOTSUP,
				 "the server takes blocks of at least %" PRId64
				 " bytes, and a disk's are of %u: put nbdkit's "
				 "blocksize filter in front of it",
				 minimum, NBD_SECTOR_BYTES);
	if (maximum > 0 && maximum < NBD_SECTOR_BYTES)
		return error_set(error, -ENOTSUP,
				 "the server takes at most %" PRId64
				 " bytes at once",
				 maximum);
	if (maximum > 0 && maximum < NBD_DATA_MAX_BYTES)
		facts.data_max_bytes =
			(uint32_t)maximum / NBD_SECTOR_BYTES * NBD_SECTOR_BYTES;
	facts.size_bytes = (uint64_t)size;
	*ret_facts = facts;
	return 0;
}

int nbd_facts_compare(const struct nbd_facts *known,
		      const struct nbd_facts *found, bool disk_read_only,
		      struct error *error)
{
	if (found->size_bytes < known->size_bytes)
		return error_set(error, -ESTALE,
				 "the export has shrunk from %" PRIu64
				 " to %" PRIu64 " bytes",
				 known->size_bytes, found->size_bytes);
	if (found->read_only && !disk_read_only)
		return error_set(error, -ESTALE,
				 "the export has become read-only");
	if (known->multi_conn && !found->multi_conn)
		return error_set(error, -ESTALE,
				 "the server doesn't take several connections "
				 "any more");
	if ((known->flush && !found->flush) || (known->fua && !found->fua) ||
	    (known->trim && !found->trim) || (known->zero && !found->zero) ||
	    (known->fast_zero && !found->fast_zero) ||
	    (known->cache && !found->cache) ||
	    (known->block_status && !found->block_status) ||
	    found->data_max_bytes < known->data_max_bytes)
		return error_set(error, -ESTALE,
				 "the server can do less than before");
	return 0;
}
