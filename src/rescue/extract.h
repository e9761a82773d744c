/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extract.h - brings what a cache file holds into an image or a stream.
 *
 * Over a base, and in place, only dirty data are written: the rest is there.
 * Without either, everything that the cache has.
 */
#ifndef FOREBAY_RESCUE_EXTRACT_H
#define FOREBAY_RESCUE_EXTRACT_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "findings.h"
#include "recovered.h"

struct extract_options {
	const char *to; /* NULL: standard output */
	const char *base; /* NULL: none */
	bool in_place; /* @to exists */
	bool dirty_only;
	void (*progress)(void *context, uint64_t blocks_done); /* or NULL */
	void *context; /* of progress() */
};

/*
 * What can't be given is left as it lies below, and stands in *ret_findings,
 * which the caller releases, also on failure. Returns: 0 when all else is
 * written and durable; or why it isn't, with words; then an image that was to
 * be made isn't there.
 */
int extract(struct recovered *recovered, const struct extract_options *options,
	    struct findings *ret_findings, struct error *error);

#endif
