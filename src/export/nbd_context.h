/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_context.h - metadata contexts: what a client may ask about ranges.
 *
 *   base:allocation   bit 0: a hole, bit 1: reads as zeros
 *   forebay:dirty     bit 0: newer here than in the backend
 *
 * A client selects them by queries while it negotiates. Pure: bytes in, a set
 * of contexts out.
 */
#ifndef FOREBAY_EXPORT_NBD_CONTEXT_H
#define FOREBAY_EXPORT_NBD_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

enum nbd_context {
	NBD_CONTEXT_ALLOCATION,
	NBD_CONTEXT_DIRTY,
};
#define NBD_CONTEXT_COUNT 2u
#define NBD_CONTEXT_BIT(context) (1u << (unsigned int)(context))

/* Most queries of one option, and most bytes of a string in it. */
#define NBD_QUERIES_MAX 64u
#define NBD_STRING_BYTES_MAX 4096u

/* Data of LIST_META_CONTEXT and SET_META_CONTEXT, still where they were. */
struct nbd_context_query {
	const uint8_t *name; /* of an export */
	uint32_t name_bytes;
	uint32_t query_count;
	const uint8_t *queries; /* each a length 4 and a string */
};

const char *nbd_context_name(enum nbd_context context);
/* The client's number for it, not 0. */
uint32_t nbd_context_id(enum nbd_context context);
/* What of an extent's flags the context tells. */
uint32_t nbd_context_status(enum nbd_context context, uint32_t extent_flags);

/*
 * Takes the data of an option apart. Returns: 0, -EINVAL (lengths that
 * contradict each other, a query without a namespace) or -E2BIG (too many).
 */
int nbd_context_parse(const uint8_t *data, uint32_t length,
		      struct nbd_context_query *ret_query);
/*
 * NBD_CONTEXT_BIT()s that the queries name. @listing: a namespace alone names
 * all of it, and no query at all names everything.
 */
uint8_t nbd_context_match(const struct nbd_context_query *query, bool listing);

#endif
