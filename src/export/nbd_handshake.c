/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_handshake.c - fixed newstyle negotiation as a state machine.
 *
 * Called by the connection on the loop. An option is looked at only when all
 * of it is there; what the client sends never decides how much memory is used.
 */
#include "nbd_handshake.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "nbd_context.h"

/* An option with its data, still in the connection's buffer. */
struct option {
	uint32_t type;
	uint32_t length;
	const uint8_t *data;
};

/* What an INFO or GO asks for. */
struct info_query {
	const uint8_t *name;
	uint32_t name_bytes;
	bool wants_name;
	bool wants_description;
};

static void output_reserve(struct nbd_handshake *handshake, size_t bytes)
{
	/* A bug only: names are bounded, and a step answers one option. */
	assert(NBD_HANDSHAKE_OUTPUT_MAX - handshake->output_bytes >= bytes);
}

static uint8_t *output_end(struct nbd_handshake *handshake)
{
	return handshake->output + handshake->output_bytes;
}

/* Starts a reply. Returns: the place for @length bytes of data. */
static uint8_t *reply(struct nbd_handshake *handshake, uint32_t option,
		      uint32_t type, size_t length)
{
	uint8_t *at = output_end(handshake);

	output_reserve(handshake, NBD_OPTION_REPLY_BYTES + length);
	at = nbd_put_u64(at, NBD_OPTION_REPLY_MAGIC);
	at = nbd_put_u32(at, option);
	at = nbd_put_u32(at, type);
	at = nbd_put_u32(at, (uint32_t)length);
	handshake->output_bytes += NBD_OPTION_REPLY_BYTES + length;
	return at;
}

static enum nbd_handshake_step refuse(struct nbd_handshake *handshake,
				      uint32_t option, uint32_t error,
				      const char *words)
{
	size_t length = strlen(words);

	nbd_put_bytes(reply(handshake, option, error, length), words, length);
	return NBD_HANDSHAKE_ANSWER;
}

static enum nbd_handshake_step hang_up(struct nbd_handshake *handshake,
				       const char *complaint)
{
	handshake->complaint = complaint;
	return NBD_HANDSHAKE_CLOSE;
}

void nbd_handshake_begin(struct nbd_handshake *handshake,
			 const struct nbd_terms *offers,
			 unsigned int offer_count)
{
	uint8_t *at = handshake->output;

	assert(offer_count > 0);
	for (unsigned int i = 0; i < offer_count; i++) {
		assert(strlen(offers[i].name) <= NBD_NAME_BYTES_MAX);
		assert(strlen(offers[i].description) <= NBD_NAME_BYTES_MAX);
	}
	handshake->offers = offers;
	handshake->offer_count = offer_count;
	handshake->client_flags_seen = false;
	handshake->no_zeroes = false;
	handshake->session = (struct nbd_session){0};
	handshake->contexts_of = NULL;
	handshake->complaint = NULL;
	handshake->skip_bytes = 0;
	at = nbd_put_u64(at, NBD_MAGIC);
	at = nbd_put_u64(at, NBD_OPTION_MAGIC);
	at = nbd_put_u16(at, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
	handshake->output_bytes = (size_t)(at - handshake->output);
}

/* The empty name asks for the default export. Returns: NULL if it isn't ours.
 */
static const struct nbd_terms *find_offer(const struct nbd_handshake *handshake,
					  const uint8_t *name,
					  uint32_t name_bytes)
{
	if (name_bytes == 0)
		return &handshake->offers[0];
	for (unsigned int i = 0; i < handshake->offer_count; i++) {
		const char *ours = handshake->offers[i].name;

		if (name_bytes == strlen(ours) &&
		    memcmp(name, ours, name_bytes) == 0)
			return &handshake->offers[i];
	}
	return NULL;
}

/* What the client may use depends on what it has negotiated. */
static uint16_t transmission_flags(const struct nbd_handshake *handshake,
				   const struct nbd_terms *terms)
{
	unsigned int flags = terms->flags;

	if (handshake->session.structured_replies)
		flags |= NBD_FLAG_SEND_DF;
	return (uint16_t)flags;
}

/* Contexts were selected for one name, and are forgotten with another. */
static enum nbd_handshake_step transmit(struct nbd_handshake *handshake,
					const struct nbd_terms *terms)
{
	handshake->session.terms = terms;
	handshake->session.size_bytes = terms->size_bytes;
	if (handshake->contexts_of != terms)
		handshake->session.contexts = 0;
	return NBD_HANDSHAKE_TRANSMIT;
}

static enum nbd_handshake_step export_name(struct nbd_handshake *handshake,
					   const struct option *option)
{
	const struct nbd_terms *terms =
		find_offer(handshake, option->data, option->length);
	uint8_t *at = output_end(handshake);
	size_t zeroes = handshake->no_zeroes ? 0 : 124;

	/* This option has no way to answer no. */
	if (!terms)
		return hang_up(handshake, "asked for an unknown export");
	output_reserve(handshake, 10 + zeroes);
	at = nbd_put_u64(at, terms->size_bytes);
	at = nbd_put_u16(at, transmission_flags(handshake, terms));
	memset(at, 0, zeroes);
	handshake->output_bytes += 10 + zeroes;
	return transmit(handshake, terms);
}

static enum nbd_handshake_step list(struct nbd_handshake *handshake,
				    const struct option *option)
{
	if (option->length != 0)
		return refuse(handshake, option->type, NBD_REPLY_ERROR_INVALID,
			      "LIST takes no data");
	for (unsigned int i = 0; i < handshake->offer_count; i++) {
		const char *name = handshake->offers[i].name;
		size_t length = strlen(name);
		uint8_t *at = reply(handshake, option->type, NBD_REPLY_SERVER,
				    4 + length);

		at = nbd_put_u32(at, (uint32_t)length);
		nbd_put_bytes(at, name, length);
	}
	reply(handshake, option->type, NBD_REPLY_ACK, 0);
	return NBD_HANDSHAKE_ANSWER;
}

static enum nbd_handshake_step structured_reply(struct nbd_handshake *handshake,
						const struct option *option)
{
	if (option->length != 0)
		return refuse(handshake, option->type, NBD_REPLY_ERROR_INVALID,
			      "STRUCTURED_REPLY takes no data");
	handshake->session.structured_replies = true;
	reply(handshake, option->type, NBD_REPLY_ACK, 0);
	return NBD_HANDSHAKE_ANSWER;
}

/* Data of INFO and GO: name length 4, name, count 2, count times a type 2. */
static int info_parse(const struct option *option, struct info_query *ret_query)
{
	struct info_query query = {0};
	const uint8_t *at = option->data;
	uint32_t left = option->length;
	uint16_t count;

	if (left < 6)
		return -EINVAL;
	query.name_bytes = nbd_get_u32(at);
	if (query.name_bytes > left - 6)
		return -EINVAL;
	query.name = at + 4;
	at += 4 + query.name_bytes;
	count = nbd_get_u16(at);
	at += 2;
	left -= 6 + query.name_bytes;
	if (left != 2u * count)
		return -EINVAL;
	for (; count > 0; count--, at += 2) {
		/* Kinds that we don't know are to be ignored. */
		query.wants_name |= nbd_get_u16(at) == NBD_INFO_NAME;
		query.wants_description |=
			nbd_get_u16(at) == NBD_INFO_DESCRIPTION;
	}
	*ret_query = query;
	return 0;
}

static void reply_info_text(struct nbd_handshake *handshake, uint32_t option,
			    uint16_t kind, const char *text)
{
	size_t length = strlen(text);
	uint8_t *at = reply(handshake, option, NBD_REPLY_INFO, 2 + length);

	at = nbd_put_u16(at, kind);
	nbd_put_bytes(at, text, length);
}

static enum nbd_handshake_step info(struct nbd_handshake *handshake,
				    const struct option *option)
{
	const struct nbd_terms *terms;
	struct info_query query;
	uint8_t *at;

	if (info_parse(option, &query) < 0)
		return refuse(handshake, option->type, NBD_REPLY_ERROR_INVALID,
			      "lengths inside the option contradict its own");
	terms = find_offer(handshake, query.name, query.name_bytes);
	if (!terms)
		return refuse(handshake, option->type, NBD_REPLY_ERROR_UNKNOWN,
			      "no export of this name on this socket");
	at = reply(handshake, option->type, NBD_REPLY_INFO, 12);
	at = nbd_put_u16(at, NBD_INFO_EXPORT);
	at = nbd_put_u64(at, terms->size_bytes);
	nbd_put_u16(at, transmission_flags(handshake, terms));
	/* Also to who didn't ask: requests that break these sizes fail. */
	at = reply(handshake, option->type, NBD_REPLY_INFO, 14);
	at = nbd_put_u16(at, NBD_INFO_BLOCK_SIZE);
	at = nbd_put_u32(at, NBD_BLOCK_BYTES_MIN);
	at = nbd_put_u32(at, NBD_BLOCK_BYTES_PREFERRED);
	nbd_put_u32(at, NBD_BLOCK_BYTES_MAX);
	if (query.wants_name)
		reply_info_text(handshake, option->type, NBD_INFO_NAME,
				terms->name);
	if (query.wants_description)
		reply_info_text(handshake, option->type, NBD_INFO_DESCRIPTION,
				terms->description);
	reply(handshake, option->type, NBD_REPLY_ACK, 0);
	return option->type == NBD_OPTION_GO ? transmit(handshake, terms)
					     : NBD_HANDSHAKE_ANSWER;
}

static void reply_contexts(struct nbd_handshake *handshake, uint32_t option,
			   uint8_t contexts)
{
	for (unsigned int c = 0; c < NBD_CONTEXT_COUNT; c++) {
		enum nbd_context context = (enum nbd_context)c;
		const char *name = nbd_context_name(context);
		size_t length = strlen(name);
		uint8_t *at;

		if (!(contexts & NBD_CONTEXT_BIT(c)))
			continue;
		at = reply(handshake, option, NBD_REPLY_META_CONTEXT,
			   4 + length);
		at = nbd_put_u32(at, option == NBD_OPTION_SET_META_CONTEXT
					     ? nbd_context_id(context)
					     : 0);
		nbd_put_bytes(at, name, length);
	}
	reply(handshake, option, NBD_REPLY_ACK, 0);
}

/* LIST_META_CONTEXT and SET_META_CONTEXT. */
static enum nbd_handshake_step meta_context(struct nbd_handshake *handshake,
					    const struct option *option)
{
	bool listing = option->type == NBD_OPTION_LIST_META_CONTEXT;
	const struct nbd_terms *terms;
	struct nbd_context_query query;
	uint8_t contexts;
	int status;

	/* Whatever comes of it, the earlier selection is gone. */
	if (!listing)
		handshake->contexts_of = NULL;
	if (!handshake->session.structured_replies)
		return refuse(handshake, option->type, NBD_REPLY_ERROR_INVALID,
			      "negotiate structured replies first");
	status = nbd_context_parse(option->data, option->length, &query);
	if (status == -E2BIG)
		return refuse(handshake, option->type, NBD_REPLY_ERROR_TOO_BIG,
			      "too many queries");
	if (status < 0)
		return refuse(handshake, option->type, NBD_REPLY_ERROR_INVALID,
			      "a query without namespace, or lengths that "
			      "contradict each other");
	terms = find_offer(handshake, query.name, query.name_bytes);
	if (!terms)
		return refuse(handshake, option->type, NBD_REPLY_ERROR_UNKNOWN,
			      "no export of this name on this socket");
	contexts = nbd_context_match(&query, listing);
	if (!listing) {
		handshake->contexts_of = terms;
		handshake->session.contexts = contexts;
	}
	reply_contexts(handshake, option->type, contexts);
	return NBD_HANDSHAKE_ANSWER;
}

static enum nbd_handshake_step answer(struct nbd_handshake *handshake,
				      const struct option *option)
{
	switch (option->type) {
	case NBD_OPTION_EXPORT_NAME:
		return export_name(handshake, option);
	case NBD_OPTION_ABORT:
		reply(handshake, option->type, NBD_REPLY_ACK, 0);
		return hang_up(handshake, NULL);
	case NBD_OPTION_LIST:
		return list(handshake, option);
	case NBD_OPTION_STARTTLS:
		return refuse(handshake, option->type,
			      NBD_REPLY_ERROR_UNSUPPORTED,
			      "this is a local socket without TLS; put a TLS "
			      "proxy such as `nbdkit nbd` in front of it");
	case NBD_OPTION_INFO:
	case NBD_OPTION_GO:
		return info(handshake, option);
	case NBD_OPTION_STRUCTURED_REPLY:
		return structured_reply(handshake, option);
	case NBD_OPTION_LIST_META_CONTEXT:
	case NBD_OPTION_SET_META_CONTEXT:
		return meta_context(handshake, option);
	}
	return refuse(handshake, option->type, NBD_REPLY_ERROR_UNSUPPORTED,
		      "option not known here");
}

static enum nbd_handshake_step client_flags_parse(
	struct nbd_handshake *handshake, const uint8_t *bytes)
{
	uint32_t flags = nbd_get_u32(bytes);

	if (flags & ~(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES))
		return hang_up(handshake, "sent unknown client flags");
	handshake->no_zeroes = flags & NBD_FLAG_NO_ZEROES;
	handshake->client_flags_seen = true;
	return NBD_HANDSHAKE_MORE;
}

/* An option whose data we won't look at: answered first, then read past. */
static enum nbd_handshake_step skip(struct nbd_handshake *handshake,
				    const struct option *option)
{
	if (option->length > NBD_OPTION_SKIP_MAX ||
	    option->type == NBD_OPTION_EXPORT_NAME)
		return hang_up(handshake, "sent an option of absurd length");
	handshake->skip_bytes = option->length;
	return refuse(handshake, option->type, NBD_REPLY_ERROR_TOO_BIG,
		      "option too long");
}

/* Returns: whether a whole option lies at @bytes; MORE or CLOSE if not. */
static enum nbd_handshake_step option_parse(struct nbd_handshake *handshake,
					    const uint8_t *bytes, size_t count,
					    size_t *ret_used)
{
	struct option option;

	if (count < NBD_OPTION_BYTES)
		return NBD_HANDSHAKE_MORE;
	if (nbd_get_u64(bytes) != NBD_OPTION_MAGIC)
		return hang_up(handshake, "sent an option with a wrong magic");
	option.type = nbd_get_u32(bytes + 8);
	option.length = nbd_get_u32(bytes + 12);
	option.data = bytes + NBD_OPTION_BYTES;
	if (option.length > NBD_OPTION_DATA_MAX) {
		*ret_used += NBD_OPTION_BYTES;
		return skip(handshake, &option);
	}
	if (count - NBD_OPTION_BYTES < option.length)
		return NBD_HANDSHAKE_MORE;
	*ret_used += NBD_OPTION_BYTES + option.length;
	return answer(handshake, &option);
}

enum nbd_handshake_step nbd_handshake_feed(struct nbd_handshake *handshake,
					   const uint8_t *bytes, size_t count,
					   size_t *ret_used)
{
	size_t used = 0;
	enum nbd_handshake_step step;

	handshake->output_bytes = 0;
	if (!handshake->client_flags_seen) {
		*ret_used = 0;
		if (count < NBD_CLIENT_FLAGS_BYTES)
			return NBD_HANDSHAKE_MORE;
		step = client_flags_parse(handshake, bytes);
		if (step != NBD_HANDSHAKE_MORE)
			return step;
		used = NBD_CLIENT_FLAGS_BYTES;
	}
	if (handshake->skip_bytes > 0) {
		size_t left = count - used;
		uint32_t skipped = left < handshake->skip_bytes
					   ? (uint32_t)left
					   : handshake->skip_bytes;

		handshake->skip_bytes -= skipped;
		used += skipped;
	}
	/* Nothing left to look at while bytes are still to be skipped. */
	step = option_parse(handshake, bytes + used, count - used, &used);
	*ret_used = used;
	return step;
}
