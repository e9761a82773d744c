/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_handshake.h - fixed newstyle negotiation as a state machine.
 *
 * Pure: the owner feeds it what arrived and sends what it answers. One step
 * handles at most one option, so that an answer always fits into `output`.
 *
 *   begin -> ANSWER (greeting)
 *   feed  -> MORE | ANSWER | TRANSMIT | CLOSE
 */
#ifndef FOREBAY_EXPORT_NBD_HANDSHAKE_H
#define FOREBAY_EXPORT_NBD_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nbd_protocol.h"

#define NBD_HANDSHAKE_OUTPUT_MAX 2048u

enum nbd_handshake_step {
	NBD_HANDSHAKE_MORE, /* feed again when more bytes are there */
	NBD_HANDSHAKE_ANSWER, /* send the output, then feed again */
	NBD_HANDSHAKE_TRANSMIT, /* send the output, then requests follow */
	NBD_HANDSHAKE_CLOSE, /* send the output, then hang up */
};

struct nbd_handshake {
	const struct nbd_terms *offers;
	unsigned int offer_count;
	bool client_flags_seen;
	bool no_zeroes;
	/* The outcome, with TRANSMIT; until then `terms` are NULL. */
	struct nbd_session session;
	/* The name whose contexts were selected; NULL: none are. */
	const struct nbd_terms *contexts_of;
	const char *complaint; /* why it closed, or NULL: the client's wish */
	uint32_t skip_bytes; /* of an option too big to look at */
	size_t output_bytes;
	uint8_t output[NBD_HANDSHAKE_OUTPUT_MAX];
};

/*
 * Puts the greeting into the output. @offers, one for each name and the first
 * one the default, must outlive the handshake and the session.
 */
void nbd_handshake_begin(struct nbd_handshake *handshake,
			 const struct nbd_terms *offers,
			 unsigned int offer_count);
/*
 * Looks at @count bytes; the caller's buffer must be able to hold
 * NBD_OPTION_BYTES + NBD_OPTION_DATA_MAX. Replaces the output.
 * Returns: what to do next; *ret_used bytes are done with.
 */
enum nbd_handshake_step nbd_handshake_feed(struct nbd_handshake *handshake,
					   const uint8_t *bytes, size_t count,
					   size_t *ret_used);

#endif
