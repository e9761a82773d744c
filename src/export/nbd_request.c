/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_request.c - a request of the transmission phase and its reply.
 *
 * The gate for foreign bytes: behind nbd_request_check() nothing looks at
 * ranges, alignment or flags again.
 */
#include "nbd_request.h"

#include <assert.h>
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
				  const struct nbd_session *session,
				  enum nbd_error outside)
{
	/* The protocol leaves an empty range undefined. */
	if (request->length == 0)
		return NBD_EINVAL;
	if (request->offset % NBD_BLOCK_BYTES_MIN != 0 ||
	    request->length % NBD_BLOCK_BYTES_MIN != 0)
		return NBD_EINVAL;
	if (request->offset > session->size_bytes ||
	    request->length > session->size_bytes - request->offset)
		return outside;
	return NBD_OK;
}

/* Every change of the disk. */
static enum nbd_error check_change(const struct nbd_request *request,
				   const struct nbd_session *session,
				   enum nbd_error outside)
{
	if (session->terms->flags & NBD_FLAG_READ_ONLY)
		return NBD_EPERM;
	return check_range(request, session, outside);
}

/* FUA is allowed with all of them: the protocol document asks for that. */
static bool flags_are_known(const struct nbd_request *request,
			    const struct nbd_session *session)
{
	unsigned int known = NBD_COMMAND_FLAG_FUA;

	if (request->command == NBD_COMMAND_READ && session->structured_replies)
		known |= NBD_COMMAND_FLAG_DF;
	if (request->command == NBD_COMMAND_WRITE_ZEROES)
		known |= NBD_COMMAND_FLAG_NO_HOLE;
	if (request->command == NBD_COMMAND_WRITE_ZEROES &&
	    (session->terms->flags & NBD_FLAG_SEND_FAST_ZERO))
		known |= NBD_COMMAND_FLAG_FAST_ZERO;
	if (request->command == NBD_COMMAND_BLOCK_STATUS)
		known |= NBD_COMMAND_FLAG_REQ_ONE;
	return (request->flags & ~known) == 0;
}

enum nbd_error nbd_request_check(const struct nbd_request *request,
				 const struct nbd_session *session)
{
	if (!flags_are_known(request, session))
		return NBD_EINVAL;
	switch (request->command) {
	case NBD_COMMAND_READ:
		if (request->length > NBD_BLOCK_BYTES_MAX)
			return NBD_EINVAL;
		return check_range(request, session, NBD_EINVAL);
	case NBD_COMMAND_WRITE:
		if (request->length > NBD_BLOCK_BYTES_MAX)
			return NBD_EINVAL;
		return check_change(request, session, NBD_ENOSPC);
	case NBD_COMMAND_FLUSH:
		if (request->offset != 0 || request->length != 0)
			return NBD_EINVAL;
		return NBD_OK;
	case NBD_COMMAND_TRIM:
		return check_change(request, session, NBD_EINVAL);
	case NBD_COMMAND_CACHE:
		return check_range(request, session, NBD_EINVAL);
	case NBD_COMMAND_WRITE_ZEROES:
		return check_change(request, session, NBD_ENOSPC);
	case NBD_COMMAND_BLOCK_STATUS:
		if (session->contexts == 0)
			return NBD_EINVAL;
		return check_range(request, session, NBD_EINVAL);
	}
	return NBD_EINVAL;
}

enum nbd_error nbd_request_error(const struct nbd_request *request, int status)
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
	case EOPNOTSUPP:
		/* The protocol keeps this word for one question. */
		return request->flags & NBD_COMMAND_FLAG_FAST_ZERO ? NBD_ENOTSUP
								   : NBD_EINVAL;
	case ESHUTDOWN:
		return NBD_ESHUTDOWN;
	}
	return NBD_EIO;
}

static const char *words_for(enum nbd_error error)
{
	switch (error) {
	case NBD_OK:
		break;
	case NBD_EPERM:
		return "not allowed";
	case NBD_EIO:
		return "the storage below failed";
	case NBD_ENOMEM:
		return "out of memory";
	case NBD_EINVAL:
		return "command, flags, range or alignment not possible here";
	case NBD_ENOSPC:
		return "no space";
	case NBD_EOVERFLOW:
		return "too long";
	case NBD_ENOTSUP:
		return "not faster than a write";
	case NBD_ESHUTDOWN:
		return "shutting down";
	}
	return "";
}

static uint8_t *put_structured_head(uint8_t *at,
				    const struct nbd_request *request,
				    uint16_t type, size_t length)
{
	at = nbd_put_u32(at, NBD_STRUCTURED_REPLY_MAGIC);
	at = nbd_put_u16(at, NBD_STRUCTURED_FLAG_DONE);
	at = nbd_put_u16(at, type);
	at = nbd_put_u64(at, request->cookie);
	return nbd_put_u32(at, (uint32_t)length);
}

/*
 * A read that failed below did so at some place of its range: at its beginning,
 * as far as anybody may rely on it. A request that was refused has no place.
 */
static size_t format_error(const struct nbd_request *request,
			   enum nbd_error error, uint8_t *buffer)
{
	bool has_place = request->command == NBD_COMMAND_READ &&
			 error != NBD_EINVAL && error != NBD_EOVERFLOW;
	const char *words = words_for(error);
	size_t length = strlen(words);
	uint8_t *at;

	assert(length <= NBD_ERROR_WORDS_MAX);
	at = put_structured_head(buffer, request,
				 has_place ? NBD_STRUCTURED_ERROR_OFFSET
					   : NBD_STRUCTURED_ERROR,
				 6 + length + (has_place ? 8 : 0));
	at = nbd_put_u32(at, error);
	at = nbd_put_u16(at, (uint16_t)length);
	at = nbd_put_bytes(at, words, length);
	if (has_place)
		at = nbd_put_u64(at, request->offset);
	return (size_t)(at - buffer);
}

static size_t format_simple(const struct nbd_request *request,
			    enum nbd_error error, uint8_t *buffer)
{
	uint8_t *at = buffer;

	at = nbd_put_u32(at, NBD_SIMPLE_REPLY_MAGIC);
	at = nbd_put_u32(at, error);
	at = nbd_put_u64(at, request->cookie);
	return (size_t)(at - buffer);
}

size_t nbd_reply_format(const struct nbd_request *request, enum nbd_error error,
			bool structured_replies, uint8_t *buffer)
{
	uint8_t *at;

	/* Only of these two the protocol wants it. */
	if (!structured_replies ||
	    (request->command != NBD_COMMAND_READ &&
	     request->command != NBD_COMMAND_BLOCK_STATUS))
		return format_simple(request, error, buffer);
	if (error != NBD_OK)
		return format_error(request, error, buffer);
	/* A read comes whole, in one chunk. */
	at = put_structured_head(buffer, request, NBD_STRUCTURED_OFFSET_DATA,
				 (size_t)request->length + 8);
	at = nbd_put_u64(at, request->offset);
	return (size_t)(at - buffer);
}
