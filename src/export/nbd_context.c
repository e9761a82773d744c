// SPDX-License-Identifier: Apache-2.0
/*
 * nbd_context.c - the gate for queries: behind nbd_context_parse() all lengths
 * fit into each other.
 */
#include "nbd_context.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "forebay/filter.h"
#include "nbd_protocol.h"

const char *nbd_context_name(enum nbd_context context)
{
	switch (context) {
	case NBD_CONTEXT_ALLOCATION:
		return "base:allocation";
	case NBD_CONTEXT_DIRTY:
		return "forebay:dirty";
	}
	return NULL;
}

uint32_t nbd_context_id(enum nbd_context context)
{
	return (uint32_t)context + 1;
}

uint32_t nbd_context_status(enum nbd_context context, uint32_t extent_flags)
{
	uint32_t status = 0;

	switch (context) {
	case NBD_CONTEXT_ALLOCATION:
		if (extent_flags & FOREBAY_EXTENT_HOLE)
			status |= NBD_STATE_HOLE;
		if (extent_flags & FOREBAY_EXTENT_ZERO)
			status |= NBD_STATE_ZERO;
		break;
	case NBD_CONTEXT_DIRTY:
		if (extent_flags & FOREBAY_EXTENT_DIRTY)
			status |= NBD_STATE_FOREBAY_DIRTY;
		break;
	}
	return status;
}

/* A string with its length before it. Returns: 0 or -EINVAL. */
static int take_string(const uint8_t **at, uint32_t *left,
		       const uint8_t **ret_string, uint32_t *ret_bytes)
{
	uint32_t bytes;

	if (*left < 4)
		return -EINVAL;
	bytes = nbd_get_u32(*at);
	if (bytes > *left - 4 || bytes > NBD_STRING_BYTES_MAX)
		return -EINVAL;
	*ret_string = *at + 4;
	*ret_bytes = bytes;
	*at += 4 + bytes;
	*left -= 4 + bytes;
	return 0;
}

int nbd_context_parse(const uint8_t *data, uint32_t length,
		      struct nbd_context_query *ret_query)
{
	struct nbd_context_query query;
	const uint8_t *at = data;
	uint32_t left = length;

	if (take_string(&at, &left, &query.name, &query.name_bytes) < 0 ||
	    left < 4)
		return -EINVAL;
	query.query_count = nbd_get_u32(at);
	if (query.query_count > NBD_QUERIES_MAX)
		return -E2BIG;
	at += 4;
	left -= 4;
	query.queries = at;
	for (uint32_t i = 0; i < query.query_count; i++) {
		const uint8_t *string;
		uint32_t bytes;

		if (take_string(&at, &left, &string, &bytes) < 0 ||
		    !memchr(string, ':', bytes))
			return -EINVAL;
	}
	if (left > 0)
		return -EINVAL;
	*ret_query = query;
	return 0;
}

static bool names(const uint8_t *string, uint32_t bytes, const char *name,
		  bool listing)
{
	/* "base:" stands for all of base when somebody only looks. */
	size_t space = (size_t)(strchr(name, ':') - name) + 1;

	if (listing && bytes == space)
		return memcmp(string, name, space) == 0;
	return bytes == strlen(name) && memcmp(string, name, bytes) == 0;
}

uint8_t nbd_context_match(const struct nbd_context_query *query, bool listing)
{
	const uint8_t *at = query->queries;
	unsigned int matched = 0;

	if (listing && query->query_count == 0)
		return (1u << NBD_CONTEXT_COUNT) - 1;
	for (uint32_t i = 0; i < query->query_count; i++) {
		uint32_t bytes = nbd_get_u32(at);

		for (unsigned int c = 0; c < NBD_CONTEXT_COUNT; c++)
			if (names(at + 4, bytes,
				  nbd_context_name((enum nbd_context)c),
				  listing))
				matched |= NBD_CONTEXT_BIT(c);
		at += 4 + bytes;
	}
	return (uint8_t)matched;
}
