// SPDX-License-Identifier: Apache-2.0
/* mode_reason.c - see mode_reason.h. */
#include "mode_reason.h"

#include <assert.h>
#include <stddef.h>

static const struct {
	const char *code;
	const char *words;
} reasons[MODE_REASONS] = {
	[MODE_REASON_DRAINING] = {"draining",
				  "what was written before is still being "
				  "written back"},
	[MODE_REASON_HOLD] = {"hold",
			      "the backend is held, so what was written "
			      "before is written back when that ends"},
	[MODE_REASON_BACKEND_REFUSING] = {"backend-refusing",
					  "the backend refuses what is written "
					  "back; it is tried again"},
	[MODE_REASON_BACKEND_SILENT] = {"backend-silent",
					"the backend doesn't answer what is "
					"written back"},
	[MODE_REASON_DATA_LOST] = {"data-lost",
				   "some of what is to be written back can't "
				   "be read from the SSD"},
	[MODE_REASON_SSD_FAILING] = {"ssd-failing",
				     "the SSD fails: what it holds goes to the "
				     "backend first"},
	[MODE_REASON_SSD_OUT_OF_USE] = {"ssd-out-of-use",
					"the SSD is out of use, and nothing is "
					"cached until the disk is opened "
					"again"},
	[MODE_REASON_CACHE_FAILED] = {"cache-failed",
				      "the cache can't go on, and every "
				      "request fails"},
	[MODE_REASON_POOL_FULL] = {"pool-full",
				   "the pool has no room for its cache, so the "
				   "disk goes on without"},
	[MODE_REASON_CACHE_AWAY] = {"cache-away",
				    "its cache can't be had and holds nothing "
				    "that the backend lacks, so the disk goes "
				    "on without"},
	[MODE_REASON_MIGRATING] = {"migrating",
				   "the VM may soon run elsewhere, so nothing "
				   "gets dirty any more"},
	[MODE_REASON_NO_SIDECAR] = {"no-sidecar",
				    "it can't be said beside the backend that "
				    "the cache holds data"},
	[MODE_REASON_NO_POLICY] = {"no-policy",
				   "the disk has no policy, so no filters"},
	[MODE_REASON_NO_CACHE] = {"no-cache", "the policy has no cache"},
	[MODE_REASON_POOL_MISSING] = {"pool-missing",
				      "this host has no pool for the cache"},
	[MODE_REASON_NOT_OPEN] = {"not-open", "the disk is not open"},
	[MODE_REASON_NO_ANSWER] = {"no-answer", "its process does not answer"},
};

const char *mode_reason_code(enum mode_reason reason)
{
	assert(reason < MODE_REASONS && reasons[reason].code != NULL);
	return reasons[reason].code;
}

const char *mode_reason_words(enum mode_reason reason)
{
	assert(reason < MODE_REASONS && reasons[reason].words != NULL);
	return reasons[reason].words;
}
