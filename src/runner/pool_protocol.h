/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_protocol.h - how a cache filter asks forebay-cached for its cache file.
 *
 * These are the payloads of the framework's FILTER messages; the disk is the
 * one that the connection's HELLO named.
 *
 *   cache filter                       forebay-cached
 *   OPEN {pool, limit, disk bytes} ->
 *                                  <-  GRANT {file bytes} + 1 descriptor
 *                              or  <-  REFUSE {errno, one line for people}
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
 * Both ends run on one host: integers are in its byte order.
 */
#ifndef FOREBAY_RUNNER_POOL_PROTOCOL_H
#define FOREBAY_RUNNER_POOL_PROTOCOL_H

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define POOL_PROTOCOL_VERSION 1u

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
};

struct pool_open {
	uint32_t type; /* POOL_OPEN */
	uint32_t version; /* POOL_PROTOCOL_VERSION */
	uint64_t disk_bytes;
	uint64_t limit_bytes; /* size of the file, if it has to be made */
	char pool[POOL_NAME_BYTES]; /* empty: any */
};

struct pool_grant {
	uint32_t type; /* POOL_GRANT */
	uint32_t zero;
	uint64_t file_bytes;
};

struct pool_refuse {
	uint32_t type; /* POOL_REFUSE */
	int32_t error; /* negative errno */
	char message[POOL_MESSAGE_TEXT_BYTES];
};

static_assert(sizeof(struct pool_open) == 88, "layout");
static_assert(sizeof(struct pool_grant) == 16, "layout");
static_assert(sizeof(struct pool_refuse) == 520, "layout");

/* Gate of forebay-cached. Returns: 0, -EBADMSG or -EPROTONOSUPPORT. */
static inline int pool_open_parse(const void *bytes, size_t count,
				  struct pool_open *ret_open)
{
	struct pool_open open;

	if (count < sizeof(open))
		return -EBADMSG;
	memcpy(&open, bytes, sizeof(open));
	if (open.type != POOL_OPEN)
		return -EBADMSG;
	if (open.version != POOL_PROTOCOL_VERSION)
		return -EPROTONOSUPPORT;
	if (count != sizeof(open) || !memchr(open.pool, '\0', POOL_NAME_BYTES))
		return -EBADMSG;
	*ret_open = open;
	return 0;
}

/* What a filter can get back. */
union pool_answer {
	uint32_t type;
	struct pool_grant grant;
	struct pool_refuse refuse;
};

/* Gate of the filter. Returns: 0 or -EBADMSG. */
static inline int pool_answer_parse(const void *bytes, size_t count,
				    uint32_t fd_count,
				    union pool_answer *ret_answer)
{
	union pool_answer answer = {0};

	if (count < sizeof(answer.type) || count > sizeof(answer))
		return -EBADMSG;
	memcpy(&answer, bytes, count);
	if (answer.type == POOL_GRANT && count == sizeof(answer.grant) &&
	    fd_count == 1) {
		*ret_answer = answer;
		return 0;
	}
	if (answer.type == POOL_REFUSE && count == sizeof(answer.refuse) &&
	    fd_count == 0 && answer.refuse.error < 0 &&
	    memchr(answer.refuse.message, '\0', POOL_MESSAGE_TEXT_BYTES)) {
		*ret_answer = answer;
		return 0;
	}
	return -EBADMSG;
}

#endif
