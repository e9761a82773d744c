// SPDX-License-Identifier: Apache-2.0
/*
 * nbd_hold.c - suspects are few and only there after a break, so they are an
 * array; in fair weather both rules cost two comparisons.
 */
#include "nbd_hold.h"

#define NOT_STARTED UINT64_MAX

void nbd_hold_init(struct nbd_hold *hold, uint64_t hold_ns)
{
	hold->hold_ns = hold_ns;
	hold->suspect_count = 0;
	list_init(&hold->redos);
}

void nbd_hold_request_init(struct nbd_hold_request *request, uint64_t sequence,
			   uint64_t offset, uint64_t length, bool changes)
{
	list_init(&request->redo_node);
	request->sequence = sequence;
	request->offset = offset;
	request->length = length;
	request->changes = changes;
}

static void suspect(struct nbd_hold *hold,
		    const struct nbd_hold_request *request)
{
	struct nbd_hold_suspect *place;

	if (hold->suspect_count < NBD_HOLD_SUSPECTS_MAX) {
		hold->suspects[hold->suspect_count++] =
			(struct nbd_hold_suspect){
				.sequence = request->sequence,
				.offset = request->offset,
				.length = request->length,
				.until_ns = NOT_STARTED,
			};
		return;
	}
	/*
	 * No room: the last one stands for all that don't fit, and for the
	 * whole disk. Its sequence is the lowest, so that it is older than
	 * whatever must wait for one of those.
	 */
	place = &hold->suspects[NBD_HOLD_SUSPECTS_MAX - 1];
	if (request->sequence < place->sequence)
		place->sequence = request->sequence;
	place->offset = 0;
	place->length = UINT64_MAX;
	place->until_ns = NOT_STARTED;
}

/* Keeps the list in order of submission: it is searched from its old end. */
static void insert_redo(struct nbd_hold *hold, struct nbd_hold_request *request)
{
	struct list *position = &hold->redos;

	while (position->previous != &hold->redos &&
	       list_entry(position->previous, struct nbd_hold_request,
			  redo_node)
			       ->sequence > request->sequence)
		position = position->previous;
	list_insert_before(position, &request->redo_node);
}

void nbd_hold_broken(struct nbd_hold *hold, struct nbd_hold_request *request)
{
	if (!request->changes)
		return;
	suspect(hold, request);
	if (list_is_empty(&request->redo_node))
		insert_redo(hold, request);
}

void nbd_hold_ended(struct nbd_hold_request *request)
{
	list_remove(&request->redo_node);
}

void nbd_hold_start_clock(struct nbd_hold *hold, uint64_t now_ns)
{
	for (unsigned int i = 0; i < hold->suspect_count; i++) {
		if (hold->suspects[i].until_ns == NOT_STARTED)
			hold->suspects[i].until_ns = now_ns + hold->hold_ns;
	}
}

void nbd_hold_expire(struct nbd_hold *hold, uint64_t now_ns)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < hold->suspect_count; i++) {
		if (hold->suspects[i].until_ns > now_ns)
			hold->suspects[kept++] = hold->suspects[i];
	}
	hold->suspect_count = kept;
}

static bool overlap(uint64_t first_offset, uint64_t first_length,
		    uint64_t second_offset, uint64_t second_length)
{
	if (first_offset <= second_offset)
		return second_offset - first_offset < first_length &&
		       second_length > 0;
	return first_offset - second_offset < second_length && first_length > 0;
}

static bool waits_for_redo(const struct nbd_hold *hold,
			   const struct nbd_hold_request *request)
{
	list_for_each (node, &hold->redos) {
		const struct nbd_hold_request *redo =
			list_entry(node, struct nbd_hold_request, redo_node);

		if (redo->sequence >= request->sequence)
			return false;
		if (overlap(redo->offset, redo->length, request->offset,
			    request->length))
			return true;
	}
	return false;
}

static bool waits_for_suspect(const struct nbd_hold *hold,
			      const struct nbd_hold_request *request)
{
	for (unsigned int i = 0; i < hold->suspect_count; i++) {
		const struct nbd_hold_suspect *place = &hold->suspects[i];

		if (place->sequence < request->sequence &&
		    overlap(place->offset, place->length, request->offset,
			    request->length))
			return true;
	}
	return false;
}

bool nbd_hold_may_issue(const struct nbd_hold *hold,
			const struct nbd_hold_request *request)
{
	if (!list_is_empty(&hold->redos) && waits_for_redo(hold, request))
		return false;
	return !request->changes || hold->suspect_count == 0 ||
	       !waits_for_suspect(hold, request);
}

uint64_t nbd_hold_next_ns(const struct nbd_hold *hold)
{
	uint64_t next = UINT64_MAX;

	for (unsigned int i = 0; i < hold->suspect_count; i++) {
		if (hold->suspects[i].until_ns < next)
			next = hold->suspects[i].until_ns;
	}
	return next;
}
