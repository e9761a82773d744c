/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_protocol.h - numbers and units of the NBD wire.
 *
 * Everything is big-endian and unaligned. Names follow the protocol document of
 * the NetworkBlockDevice project. Structures here are parsed copies; bytes of
 * the wire become one only in nbd_request.c and nbd_handshake.c.
 *
 *   server greeting      client flags      { option -> replies }*
 *   request [payload] -> reply [data], replies in any order
 */
#ifndef FOREBAY_EXPORT_NBD_PROTOCOL_H
#define FOREBAY_EXPORT_NBD_PROTOCOL_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Greeting. */
#define NBD_MAGIC UINT64_C(0x4e42444d41474943) /* "NBDMAGIC" */
#define NBD_OPTION_MAGIC UINT64_C(0x49484156454f5054) /* "IHAVEOPT" */
#define NBD_GREETING_BYTES 18u
#define NBD_CLIENT_FLAGS_BYTES 4u

/* Of server and client alike. */
#define NBD_FLAG_FIXED_NEWSTYLE (1u << 0)
#define NBD_FLAG_NO_ZEROES (1u << 1)

/* Options: magic 8, type 4, length 4, data. */
#define NBD_OPTION_BYTES 16u
#define NBD_OPTION_EXPORT_NAME 1u
#define NBD_OPTION_ABORT 2u
#define NBD_OPTION_LIST 3u
#define NBD_OPTION_STARTTLS 5u
#define NBD_OPTION_INFO 6u
#define NBD_OPTION_GO 7u
#define NBD_OPTION_STRUCTURED_REPLY 8u
#define NBD_OPTION_LIST_META_CONTEXT 9u
#define NBD_OPTION_SET_META_CONTEXT 10u

/* Replies to options: magic 8, option 4, type 4, length 4, data. */
#define NBD_OPTION_REPLY_MAGIC UINT64_C(0x0003e889045565a9)
#define NBD_OPTION_REPLY_BYTES 20u
#define NBD_REPLY_ACK 1u
#define NBD_REPLY_SERVER 2u
#define NBD_REPLY_INFO 3u
#define NBD_REPLY_META_CONTEXT 4u
#define NBD_REPLY_ERROR_UNSUPPORTED 0x80000001u
#define NBD_REPLY_ERROR_POLICY 0x80000002u
#define NBD_REPLY_ERROR_INVALID 0x80000003u
#define NBD_REPLY_ERROR_UNKNOWN 0x80000006u
#define NBD_REPLY_ERROR_TOO_BIG 0x80000009u

#define NBD_INFO_EXPORT 0u
#define NBD_INFO_NAME 1u
#define NBD_INFO_DESCRIPTION 2u
#define NBD_INFO_BLOCK_SIZE 3u

/* What the server offers for the transmission phase. */
#define NBD_FLAG_HAS_FLAGS (1u << 0)
#define NBD_FLAG_READ_ONLY (1u << 1)
#define NBD_FLAG_SEND_FLUSH (1u << 2)
#define NBD_FLAG_SEND_FUA (1u << 3)
#define NBD_FLAG_SEND_TRIM (1u << 5)
#define NBD_FLAG_SEND_WRITE_ZEROES (1u << 6)
#define NBD_FLAG_SEND_DF (1u << 7)
#define NBD_FLAG_CAN_MULTI_CONN (1u << 8)
#define NBD_FLAG_SEND_CACHE (1u << 10)
#define NBD_FLAG_SEND_FAST_ZERO (1u << 11)

/* Requests: magic 4, flags 2, command 2, cookie 8, offset 8, length 4. */
#define NBD_REQUEST_MAGIC 0x25609513u
#define NBD_REQUEST_BYTES 28u
#define NBD_COMMAND_READ 0u
#define NBD_COMMAND_WRITE 1u
#define NBD_COMMAND_DISCONNECT 2u
#define NBD_COMMAND_FLUSH 3u
#define NBD_COMMAND_TRIM 4u
#define NBD_COMMAND_CACHE 5u
#define NBD_COMMAND_WRITE_ZEROES 6u
#define NBD_COMMAND_BLOCK_STATUS 7u

#define NBD_COMMAND_FLAG_FUA (1u << 0)
#define NBD_COMMAND_FLAG_NO_HOLE (1u << 1)
#define NBD_COMMAND_FLAG_DF (1u << 2)
#define NBD_COMMAND_FLAG_REQ_ONE (1u << 3)
#define NBD_COMMAND_FLAG_FAST_ZERO (1u << 4)

/* Simple reply: magic 4, error 4, cookie 8, data of a read. */
#define NBD_SIMPLE_REPLY_MAGIC 0x67446698u
#define NBD_SIMPLE_REPLY_BYTES 16u
/* Structured: magic 4, flags 2, type 2, cookie 8, length 4, payload. */
#define NBD_STRUCTURED_REPLY_MAGIC 0x668e33efu
#define NBD_STRUCTURED_REPLY_BYTES 20u
#define NBD_STRUCTURED_FLAG_DONE (1u << 0)
#define NBD_STRUCTURED_OFFSET_DATA 1u
#define NBD_STRUCTURED_BLOCK_STATUS 5u
#define NBD_STRUCTURED_ERROR 0x8001u
#define NBD_STRUCTURED_ERROR_OFFSET 0x8002u

/* Status of an extent: of base:allocation, and of forebay:dirty. */
#define NBD_STATE_HOLE (1u << 0)
#define NBD_STATE_ZERO (1u << 1)
#define NBD_STATE_FOREBAY_DIRTY (1u << 0)

/* The errors that the protocol knows, whatever errno is on this system. */
enum nbd_error {
	NBD_OK = 0,
	NBD_EPERM = 1,
	NBD_EIO = 5,
	NBD_ENOMEM = 12,
	NBD_EINVAL = 22,
	NBD_ENOSPC = 28,
	NBD_EOVERFLOW = 75,
	NBD_ENOTSUP = 95,
	NBD_ESHUTDOWN = 108,
};

/* Limits that this server publishes or enforces. */
#define NBD_BLOCK_BYTES_MIN 512u
#define NBD_BLOCK_BYTES_PREFERRED 4096u
#define NBD_BLOCK_BYTES_MAX (32u << 20)
#define NBD_NAME_BYTES_MAX 255u
/* Data of an option that is looked at, and that is read past at all. */
#define NBD_OPTION_DATA_MAX 8192u
#define NBD_OPTION_SKIP_MAX (1u << 20)
/* Payload of a refused write that is read past; beyond it the client is cut. */
#define NBD_PAYLOAD_SKIP_MAX (64u << 20)

/* What an export offers under one name to every client. */
struct nbd_terms {
	uint64_t size_bytes; /* for who asks now; a session has its own */
	uint16_t flags; /* NBD_FLAG_HAS_FLAGS ... */
	const char *name; /* at most NBD_NAME_BYTES_MAX */
	const char *description; /* likewise */
};

/* What one client has negotiated. */
struct nbd_session {
	const struct nbd_terms *terms; /* of the name that it chose */
	uint64_t size_bytes; /* that it was told: the disk may have grown */
	bool structured_replies;
	uint8_t contexts; /* NBD_CONTEXT_BIT()s that it may ask about */
};

static inline uint16_t nbd_get_u16(const uint8_t *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return be16toh(value);
}

static inline uint32_t nbd_get_u32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return be32toh(value);
}

static inline uint64_t nbd_get_u64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return be64toh(value);
}

/* The put functions return the place behind what they wrote. */
static inline uint8_t *nbd_put_u16(uint8_t *at, uint16_t value)
{
	value = htobe16(value);
	memcpy(at, &value, sizeof(value));
	return at + sizeof(value);
}

static inline uint8_t *nbd_put_u32(uint8_t *at, uint32_t value)
{
	value = htobe32(value);
	memcpy(at, &value, sizeof(value));
	return at + sizeof(value);
}

static inline uint8_t *nbd_put_u64(uint8_t *at, uint64_t value)
{
	value = htobe64(value);
	memcpy(at, &value, sizeof(value));
	return at + sizeof(value);
}

static inline uint8_t *nbd_put_bytes(uint8_t *at, const void *bytes,
				     size_t count)
{
	memcpy(at, bytes, count);
	return at + count;
}

#endif
