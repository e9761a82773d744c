/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_protocol.h - how a cache filter asks forebay-cached for its cache file,
 * and how the two agree on how much of it may be used.
 *
 * These are the payloads of the framework's FILTER messages; the disk is the
 * one that the connection's HELLO named.
 *
 *   cache filter                          forebay-cached
 *   OPEN {pool, limit, reservation}   ->
 *                                     <-  GRANT {file, granted} + 1 descriptor
 *                                 or  <-  REFUSE {errno, one line for people}
 *   USE {granted, used, use, ...}     ->
 *                                     <-  MAY {granted}
 *   BYE                               ->
 *                                     <-  BYE
 *
 * The descriptor of a GRANT is a new open file description (O_RDWR | O_DIRECT)
 * that nobody but the receiver holds: forebay-cached closes its own copy when
 * the message is out. The receiver takes an exclusive flock() on it before it
 * reads a byte, and asks again as long as that fails: I/O in the kernel pins a
 * description, so whoever gets the lock knows that the I/O of every
 * predecessor has ended, however it died. With the lock in hand it checks that
 * the file still has a name (st_nlink): a file that was deleted while it waited
 * is not the disk's cache any more, and it sends OPEN once more.
 *
 * The file is as large as the limit, and sparse. Of it the receiver may have
 * `granted_bytes` allocated: it allocates what it is about to use, and makes
 * holes of what it gives back, both through its locked description, so that
 * nobody else ever changes the file. What is allocated is what it has; no
 * message is needed for that, and none can be lost.
 *
 * It sends USE about once a second while there is something to say, and as the
 * first thing on each new connection: a forebay-cached that was started again
 * learns from that who is there. MAY comes whenever the grant changes, and says
 * all of it: the last one holds. A disk that was refused for want of room
 * (-ENOSPC) gets a MAY when it is worth its while to send OPEN again.
 *
 * BYE is the last word of a disk that was closed with nothing in its cache that
 * the backend lacks, when that is said beside the backend as well: from then on
 * forebay-cached may delete the file for another disk's sake.
 *
 * Both ends run on one host: integers are in its byte order. Sizes are
 * multiples of POOL_GRANULE_BYTES, limits and reservations excepted.
 */
#ifndef FOREBAY_RUNNER_POOL_PROTOCOL_H
#define FOREBAY_RUNNER_POOL_PROTOCOL_H

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define POOL_PROTOCOL_VERSION 2u

/* With the NUL; what follows it is zero. */
#define POOL_NAME_BYTES 64u
#define POOL_MESSAGE_TEXT_BYTES 512u

/*
 * A cache file is a whole number of these, and at least POOL_FILE_BYTES_MIN.
 * The log begins at the second one.
 */
#define POOL_GRANULE_BYTES (UINT64_C(2) << 20)
#define POOL_FILE_BYTES_MIN (UINT64_C(64) << 20)
#define POOL_FILE_BYTES_MAX (UINT64_C(16) << 40)

enum pool_message_type {
	POOL_OPEN = 1,
	POOL_GRANT = 2,
	POOL_REFUSE = 3,
	POOL_USE = 4,
	POOL_MAY = 5,
	POOL_BYE = 6,
};

struct pool_open {
	uint32_t type; /* POOL_OPEN */
	uint32_t version; /* POOL_PROTOCOL_VERSION */
	uint64_t disk_bytes;
	uint64_t limit_bytes; /* size of the file, if it is less */
	uint64_t reservation_bytes; /* certain while the disk is open */
	char pool[POOL_NAME_BYTES]; /* empty: any */
};

struct pool_grant {
	uint32_t type; /* POOL_GRANT */
	uint32_t zero;
	uint64_t file_bytes;
	uint64_t granted_bytes;
};

/* Of an open disk. */
struct pool_use {
	uint32_t type; /* POOL_USE */
	uint32_t version; /* POOL_PROTOCOL_VERSION */
	uint64_t limit_bytes;
	uint64_t reservation_bytes;
	uint64_t granted_bytes; /* as it was told last */
	uint64_t used_bytes; /* that hold something */
	uint64_t use_bytes; /* hits and writes since the last USE */
};

struct pool_bye {
	uint32_t type; /* POOL_BYE */
	uint32_t version; /* POOL_PROTOCOL_VERSION */
};

struct pool_may {
	uint32_t type; /* POOL_MAY */
	uint32_t zero;
	uint64_t granted_bytes;
	uint64_t reserved_bytes; /* certain: less than asked for if it didn't
				    fit */
};

struct pool_refuse {
	uint32_t type; /* POOL_REFUSE */
	int32_t error; /* negative errno */
	char message[POOL_MESSAGE_TEXT_BYTES];
};

static_assert(sizeof(struct pool_open) == 96, "layout");
static_assert(sizeof(struct pool_grant) == 24, "layout");
static_assert(sizeof(struct pool_use) == 48, "layout");
static_assert(sizeof(struct pool_may) == 24, "layout");
static_assert(sizeof(struct pool_refuse) == 520, "layout");

/* What a filter can send. */
union pool_request {
	struct {
		uint32_t type;
		uint32_t version;
	};
	struct pool_open open;
	struct pool_use use;
	struct pool_bye bye;
};

static inline bool pool_size_is_valid(uint64_t bytes)
{
	return bytes > 0 && bytes <= POOL_FILE_BYTES_MAX &&
	       bytes % POOL_GRANULE_BYTES == 0;
}

static inline bool pool_use_is_valid(const struct pool_use *use)
{
	return use->limit_bytes <= POOL_FILE_BYTES_MAX &&
	       use->reservation_bytes <= POOL_FILE_BYTES_MAX &&
	       pool_size_is_valid(use->granted_bytes) &&
	       use->used_bytes <= POOL_FILE_BYTES_MAX;
}

/* Gate of forebay-cached. Returns: 0, -EBADMSG or -EPROTONOSUPPORT. */
static inline int pool_request_parse(const void *bytes, size_t count,
				     union pool_request *ret_request)
{
	union pool_request request = {0};
	bool valid;

	if (count < sizeof(request.bye) || count > sizeof(request))
		return -EBADMSG;
	memcpy(&request, bytes, count);
	if (request.type != POOL_OPEN && request.type != POOL_USE &&
	    request.type != POOL_BYE)
		return -EBADMSG;
	if (request.version != POOL_PROTOCOL_VERSION)
		return -EPROTONOSUPPORT;
	if (request.type == POOL_OPEN)
		valid = count == sizeof(request.open) &&
			memchr(request.open.pool, '\0', POOL_NAME_BYTES);
	else if (request.type == POOL_USE)
		valid = count == sizeof(request.use) &&
			pool_use_is_valid(&request.use);
	else
		valid = count == sizeof(request.bye);
	if (!valid)
		return -EBADMSG;
	*ret_request = request;
	return 0;
}

/* What a filter can get. */
union pool_answer {
	uint32_t type;
	struct pool_grant grant;
	struct pool_refuse refuse;
	struct pool_may may;
	struct pool_bye bye;
};

/* Gate of the filter. Returns: 0 or -EBADMSG. */
static inline int pool_answer_parse(const void *bytes, size_t count,
				    uint32_t fd_count,
				    union pool_answer *ret_answer)
{
	union pool_answer answer = {0};
	bool valid = false;

	if (count < sizeof(answer.type) || count > sizeof(answer))
		return -EBADMSG;
	memcpy(&answer, bytes, count);
	if (answer.type == POOL_GRANT)
		valid = count == sizeof(answer.grant) && fd_count == 1 &&
			pool_size_is_valid(answer.grant.file_bytes) &&
			pool_size_is_valid(answer.grant.granted_bytes);
	else if (answer.type == POOL_MAY)
		valid = count == sizeof(answer.may) && fd_count == 0 &&
			pool_size_is_valid(answer.may.granted_bytes);
	else if (answer.type == POOL_BYE)
		valid = count == sizeof(answer.bye) && fd_count == 0;
	else if (answer.type == POOL_REFUSE)
		valid = count == sizeof(answer.refuse) && fd_count == 0 &&
			answer.refuse.error < 0 &&
			memchr(answer.refuse.message, '\0',
			       POOL_MESSAGE_TEXT_BYTES);
	if (!valid)
		return -EBADMSG;
	*ret_answer = answer;
	return 0;
}

#endif
