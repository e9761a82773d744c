/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance_sidecar.h - the sidecars that an instance's filter declares.
 *
 *   keep    in a process that opens the pipeline behind closed doors: files
 *   open    the claim has begun: files, locks, states, stores
 *   note    the backend is about to get a generation: the labels say so
 *   accept  all filters are open: what they were told is dealt with
 *   close   the instance has ended, and so has what its stores did by
 *           themselves
 *
 * A state that isn't SAME stands in the label until it is accepted, because the
 * lowest filters raise the backend's generation before the upper ones have
 * opened, or failed to.
 *
 * Opens, notes and accepts block as the file system does; all else is on the
 * loop.
 */
#ifndef FOREBAY_PIPELINE_INSTANCE_SIDECAR_H
#define FOREBAY_PIPELINE_INSTANCE_SIDECAR_H

#include <jansson.h>

#include "claim.h"
#include "error.h"
#include "forebay/filter.h"
#include "pipeline.h"
#include "sidecar_store.h"

struct forebay_instance;
struct instance_sidecar;

struct instance_sidecars {
	struct instance_sidecar *list;
	uint32_t count;
	bool waited_for; /* the instance's end comes when they are quiet */
};

/*
 * Loads the filters of @filters and opens the files of their sidecars, for
 * good. Returns: 0 or @error's code.
 */
int instance_sidecars_keep(const struct pipeline_filter_spec *filters,
			   uint32_t count, const struct claim_spec *claim,
			   struct error *error);
/*
 * Goes on where the last call ended. Returns: 0, -EBUSY (a predecessor's I/O:
 * try again) or another code of @error.
 */
int instance_sidecars_open(struct forebay_instance *instance,
			   struct error *error);
/* Returns: 0 or @error's code. */
int instance_sidecars_note(struct forebay_instance *instance, uint64_t found,
			   uint64_t next, struct error *error);
int instance_sidecars_accept(struct forebay_instance *instance,
			     struct error *error);
/* Nothing is under way in any of them. */
bool instance_sidecars_quiet(const struct forebay_instance *instance);
void instance_sidecars_close(struct forebay_instance *instance);

/* For the host table. */
int instance_sidecar_file(struct forebay_instance *instance, const char *name,
			  struct forebay_sidecar_file *ret_file);
/* Returns: whether @file of an io is one of them. */
static inline bool instance_sidecar_is(int file)
{
	return file < FOREBAY_BELOW;
}
/*
 * done() may be called inside it.
 * Returns: 0, or -EBADF or -EROFS, and then done() isn't called.
 */
int instance_sidecar_submit(struct forebay_instance *instance, int file,
			    struct sidecar_request *request);

/* [{name, state, bytes, journal_bytes, error}]. Owns: the caller. */
json_t *instance_sidecars_document(const struct forebay_instance *instance);

#endif
