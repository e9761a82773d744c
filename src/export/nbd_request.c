/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_request.c - a request of the transmission phase and its reply.
 *
 * The gate for foreign bytes: behind nbd_request_check() nothing looks at
 * ranges, alignment or flags again.
 */
#include "nbd_request.h"

#include <errno.h>

int nbd_request_parse(const uint8_t bytes[NBD_REQUEST_BYTES],
		      struct nbd_request *ret_request)
{
	if (nbd_get_u32(bytes) != NBD_REQUEST_MAGIC)
		return -EPROTO;
	ret_request->flags = nbd_get_u16(bytes + 4);
	ret_request->command = nbd_get_u16(bytes + 6);
	ret_request->cookie = nbd_get_u64(bytes + 8);
	ret_request->offset = nbd_get_u64(bytes + 16);
	ret_request->length = nbd_get_u32(bytes + 24);
	return 0;
}

uint32_t nbd_request_payload_bytes(const struct nbd_request *request)
{
	return request->command == NBD_COMMAND_WRITE ? request->length : 0;
}

/* @outside: what a range beyond the end is called. */
static enum nbd_error check_range(const struct nbd_request *request,
				  const struct nbd_terms *terms,
				  enum nbd_error outside)
{
	/* The protocol leaves an empty range undefined. */
	if (request->length == 0)
		return NBD_EINVAL;
	if (request->offset % NBD_BLOCK_BYTES_MIN != 0 ||
	    request->length % NBD_BLOCK_BYTES_MIN != 0)
		return NBD_EINVAL;
	if (request->offset > terms->size_bytes ||
	    request->length > terms->size_bytes - request->offset)
		return outside;
	return NBD_OK;
}

/* Every change of the disk: @offered is the flag that announces the command. */
static enum nbd_error check_change(const struct nbd_request *request,
				   const struct nbd_terms *terms,
				   unsigned int offered)
{
	if (offered != 0 && !(terms->flags & offered))
		return NBD_EINVAL;
	if (terms->flags & NBD_FLAG_READ_ONLY)
		return NBD_EPERM;
	return check_range(request, terms, NBD_ENOSPC);
}

/* FUA is allowed with all of them: the protocol document asks for that. */
static bool flags_are_known(const struct nbd_request *request,
			    bool structured_replies)
{
	unsigned int known = NBD_COMMAND_FLAG_FUA;

	if (request->command == NBD_COMMAND_READ && structured_replies)
		known |= NBD_COMMAND_FLAG_DF;
	if (request->command == NBD_COMMAND_WRITE_ZEROES)
		known |= NBD_COMMAND_FLAG_NO_HOLE;
	return (request->flags & ~known) == 0;
}

enum nbd_error nbd_request_check(const struct nbd_request *request,
				 const struct nbd_terms *terms,
				 bool structured_replies)
{
	if (!flags_are_known(request, structured_replies))
		return NBD_EINVAL;
	switch (request->command) {
	case NBD_COMMAND_READ:
		if (request->length > NBD_BLOCK_BYTES_MAX)
			return NBD_EINVAL;
		return check_range(request, terms, NBD_EINVAL);
	case NBD_COMMAND_WRITE:
		if (request->length > NBD_BLOCK_BYTES_MAX)
			return NBD_EINVAL;
		return check_change(request, terms, 0);
	case NBD_COMMAND_FLUSH:
		if (request->offset != 0 || request->length != 0)
			return NBD_EINVAL;
		return NBD_OK;
	case NBD_COMMAND_TRIM:
		return check_change(request, terms, NBD_FLAG_SEND_TRIM);
	case NBD_COMMAND_WRITE_ZEROES:
		return check_change(request, terms, NBD_FLAG_SEND_WRITE_ZEROES);
	}
	return NBD_EINVAL;
}

enum nbd_error nbd_error_from_status(int status)
{
	switch (-status) {
	case 0:
		return NBD_OK;
	case EPERM:
	case EACCES:
	case EROFS:
		return NBD_EPERM;
	case ENOMEM:
		return NBD_ENOMEM;
	case EINVAL:
		return NBD_EINVAL;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return NBD_ENOSPC;
	case EOVERFLOW:
		return NBD_EOVERFLOW;
	case EOPNOTSUPP:
		return NBD_ENOTSUP;
	case ESHUTDOWN:
		return NBD_ESHUTDOWN;
	}
	return NBD_EIO;
}

static size_t format_structured(const struct nbd_request *request,
				enum nbd_error error, uint8_t *buffer)
{
	uint8_t *at = buffer;

	at = nbd_put_u32(at, NBD_STRUCTURED_REPLY_MAGIC);
	at = nbd_put_u16(at, NBD_STRUCTURED_FLAG_DONE);
	at = nbd_put_u16(at, error == NBD_OK ? NBD_STRUCTURED_OFFSET_DATA
					     : NBD_STRUCTURED_ERROR);
	at = nbd_put_u64(at, request->cookie);
	if (error == NBD_OK) {
		at = nbd_put_u32(at, request->length + 8);
		at = nbd_put_u64(at, request->offset);
	} else {
		at = nbd_put_u32(at, 6);
		at = nbd_put_u32(at, error);
		at = nbd_put_u16(at, 0); /* no words */
	}
	return (size_t)(at - buffer);
}

size_t nbd_reply_format(const struct nbd_request *request, enum nbd_error error,
			bool structured_replies, uint8_t *buffer)
{
	uint8_t *at = buffer;

	/* Only a read must be answered so; it comes whole, in one chunk. */
	if (structured_replies && request->command == NBD_COMMAND_READ)
		return format_structured(request, error, buffer);
	at = nbd_put_u32(at, NBD_SIMPLE_REPLY_MAGIC);
	at = nbd_put_u32(at, error);
	at = nbd_put_u64(at, request->cookie);
	return (size_t)(at - buffer);
}
