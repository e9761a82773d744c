// SPDX-License-Identifier: Apache-2.0
/* nbd_status.c - pure; see nbd_status.h for what lies where. */
#include "nbd_status.h"

#include <assert.h>
#include <stdbool.h>

#define LIST_BYTES (NBD_EXTENTS_MAX * sizeof(struct forebay_extent))

static_assert(NBD_STATUS_REPLY_MAX + LIST_BYTES <= NBD_SMALL_BYTES,
	      "list and reply lie side by side");
static_assert((NBD_SMALL_BYTES - LIST_BYTES) %
			      _Alignof(struct forebay_extent) ==
		      0,
	      "the list is aligned as the buffer is");
static_assert(NBD_EXTENTS_MAX >= FOREBAY_EXTENTS_MIN,
	      "the pipeline takes the list");

struct forebay_extents nbd_status_list(uint8_t *buffer)
{
	return (struct forebay_extents){
		.list = (void *)(buffer + NBD_SMALL_BYTES - LIST_BYTES),
		.capacity = NBD_EXTENTS_MAX,
	};
}

/* Descriptors at @at: neighbours with the same status are one. */
static uint8_t *put_descriptors(uint8_t *at, enum nbd_context context,
				const struct forebay_extents *extents, bool one)
{
	uint32_t i = 0;

	do {
		uint32_t status =
			nbd_context_status(context, extents->list[i].flags);
		uint64_t length = 0;

		/* The request's length has 32 bits, and so has the sum. */
		for (; i < extents->count &&
		       nbd_context_status(context, extents->list[i].flags) ==
			       status;
		     i++)
			length += extents->list[i].length;
		at = nbd_put_u32(at, (uint32_t)length);
		at = nbd_put_u32(at, status);
	} while (!one && i < extents->count);
	return at;
}

static uint8_t *put_chunk(uint8_t *at, const struct nbd_request *request,
			  enum nbd_context context,
			  const struct forebay_extents *extents, bool last)
{
	bool one = request->flags & NBD_COMMAND_FLAG_REQ_ONE;
	uint8_t *payload = at + NBD_STRUCTURED_REPLY_BYTES;
	uint8_t *end = nbd_put_u32(payload, nbd_context_id(context));

	end = put_descriptors(end, context, extents, one);
	at = nbd_put_u32(at, NBD_STRUCTURED_REPLY_MAGIC);
	at = nbd_put_u16(at, last ? NBD_STRUCTURED_FLAG_DONE : 0);
	at = nbd_put_u16(at, NBD_STRUCTURED_BLOCK_STATUS);
	at = nbd_put_u64(at, request->cookie);
	nbd_put_u32(at, (uint32_t)(end - payload));
	return end;
}

uint32_t nbd_status_format(const struct nbd_request *request, uint8_t contexts,
			   const struct forebay_extents *extents,
			   uint8_t *buffer)
{
	uint8_t *at = buffer;

	assert(extents->count > 0 && extents->count <= NBD_EXTENTS_MAX);
	for (unsigned int c = 0; c < NBD_CONTEXT_COUNT; c++) {
		if (!(contexts & NBD_CONTEXT_BIT(c)))
			continue;
		at = put_chunk(at, request, (enum nbd_context)c, extents,
			       contexts >> (c + 1) == 0);
	}
	return (uint32_t)(at - buffer);
}
