/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_request.h - a request of the transmission phase and its reply.
 *
 * Pure functions: bytes in, a checked request out; a result in, bytes out.
 */
#ifndef FOREBAY_EXPORT_NBD_REQUEST_H
#define FOREBAY_EXPORT_NBD_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nbd_protocol.h"

struct nbd_request {
	uint16_t flags; /* NBD_COMMAND_FLAG_FUA ... */
	uint16_t command; /* NBD_COMMAND_READ ... or one we don't know */
	uint64_t cookie; /* the client's name for it */
	uint64_t offset;
	uint32_t length;
};

/* The longest words of an error, and head that nbd_reply_format() writes. */
#define NBD_ERROR_WORDS_MAX 64u
#define NBD_REPLY_HEAD_MAX \
	(NBD_STRUCTURED_REPLY_BYTES + 6u + NBD_ERROR_WORDS_MAX + 8u)

/* Returns: 0, or -EPROTO when the magic is wrong: the stream is lost. */
int nbd_request_parse(const uint8_t bytes[NBD_REQUEST_BYTES],
		      struct nbd_request *ret_request);
/* Bytes that follow the request on the wire, whether it is accepted or not. */
uint32_t nbd_request_payload_bytes(const struct nbd_request *request);
/*
 * Decides whether @session allows the request. An accepted one is aligned,
 * inside the disk and within the published limits.
 */
enum nbd_error nbd_request_check(const struct nbd_request *request,
				 const struct nbd_session *session);

/*
 * The protocol's name for what the pipeline said to the request: 0 or a
 * negative errno. 0 stays NBD_OK.
 */
enum nbd_error nbd_request_error(const struct nbd_request *request, int status);
/*
 * Writes all of a reply but the data of a read, and nothing of the answer to a
 * BLOCK_STATUS. Returns: its length, at most NBD_REPLY_HEAD_MAX.
 */
size_t nbd_reply_format(const struct nbd_request *request, enum nbd_error error,
			bool structured_replies, uint8_t *buffer);

#endif
