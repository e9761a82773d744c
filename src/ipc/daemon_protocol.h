/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon_protocol.h - what travels between a filter's instance and its daemon.
 *
 * The connection is a channel (channel.h): one packet is one message. Every
 * packet starts with a head; what follows belongs to the type:
 *
 *    0        4        8       12       16
 *   +--------+--------+--------+--------+------------------------
 *   | magic  | type   | bytes  | zero   | payload: `bytes` bytes
 *   +--------+--------+--------+--------+------------------------
 *
 * The framework itself speaks HELLO, KEEP and KEPT; FILTER carries a message of
 * the filter to its daemon or back, with descriptors, and is opaque to it.
 *
 *   instance                          daemon
 *   HELLO {version, filter, disk} ->         always first, once a connection
 *   KEEP {name, bytes}            ->         as often as the filter likes
 *                                 <- KEPT {name, bytes, status} + memfd
 *   FILTER {...} + fds            <-> FILTER {...} + fds
 *
 * Kept memory outlives the instance: the same name on the same disk is the same
 * memory again, for as long as the daemon lives; new memory is all zeros. The
 * daemon makes the memfd with F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL,
 * because the two sides don't trust each other not to cut it off under a
 * mapping.
 *
 * Both ends run on one host: integers are in its byte order. A side that gets a
 * packet that it can't parse closes the connection.
 */
#ifndef FOREBAY_IPC_DAEMON_PROTOCOL_H
#define FOREBAY_IPC_DAEMON_PROTOCOL_H

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "channel.h"

#define DAEMON_MAGIC 0x79614246u /* "FBay" in little endian */
#define DAEMON_VERSION 1u

/* With the NUL; what follows it is zero. */
#define DAEMON_NAME_BYTES 32u

enum daemon_type {
	DAEMON_HELLO = 1,
	DAEMON_KEEP = 2,
	DAEMON_KEPT = 3,
	DAEMON_FILTER = 4,
};

struct daemon_head {
	uint32_t magic;
	uint32_t type; /* enum daemon_type */
	uint32_t bytes; /* of payload */
	uint32_t zero;
};

struct daemon_hello {
	uint32_t version; /* DAEMON_VERSION */
	uint32_t zero;
	char filter[DAEMON_NAME_BYTES];
	uint8_t disk_uuid[16];
};

/* Asks for memory. Of a name that exists the size must be the same. */
struct daemon_keep {
	uint64_t bytes; /* multiple of 4096 */
	char name[DAEMON_NAME_BYTES];
};

/* Status 0 comes with one descriptor, a negative errno with none. */
struct daemon_kept {
	uint64_t bytes;
	char name[DAEMON_NAME_BYTES];
	int32_t status;
	uint32_t zero;
};

static_assert(sizeof(struct daemon_head) == 16, "layout");
static_assert(sizeof(struct daemon_hello) == 56, "layout");
static_assert(sizeof(struct daemon_keep) == 40, "layout");
static_assert(sizeof(struct daemon_kept) == 48, "layout");

/* Most bytes in the payload of one message. */
#define DAEMON_PAYLOAD_MAX (CHANNEL_BYTES_MAX - sizeof(struct daemon_head))

static inline struct daemon_head daemon_head_make(enum daemon_type type,
						  size_t bytes)
{
	assert(bytes <= DAEMON_PAYLOAD_MAX);
	return (struct daemon_head){
		.magic = DAEMON_MAGIC,
		.type = (uint32_t)type,
		.bytes = (uint32_t)bytes,
	};
}

/*
 * The gate for a packet of @count bytes: on success its type is a known one and
 * its payload has the length that the type wants. The payload starts behind the
 * head and may be unaligned for its struct: copy it out.
 * Returns: 0 or -EBADMSG.
 */
static inline int daemon_head_parse(const void *packet, size_t count,
				    struct daemon_head *ret_head)
{
	struct daemon_head head;

	if (count < sizeof(head))
		return -EBADMSG;
	memcpy(&head, packet, sizeof(head));
	if (head.magic != DAEMON_MAGIC || head.zero != 0 ||
	    head.bytes != count - sizeof(head))
		return -EBADMSG;
	if ((head.type == DAEMON_HELLO &&
	     head.bytes != sizeof(struct daemon_hello)) ||
	    (head.type == DAEMON_KEEP &&
	     head.bytes != sizeof(struct daemon_keep)) ||
	    (head.type == DAEMON_KEPT &&
	     head.bytes != sizeof(struct daemon_kept)) ||
	    head.type < DAEMON_HELLO || head.type > DAEMON_FILTER)
		return -EBADMSG;
	*ret_head = head;
	return 0;
}

/* Returns: true if @name ends within its bytes and isn't empty. */
static inline bool daemon_name_valid(const char name[DAEMON_NAME_BYTES])
{
	return name[0] != '\0' && memchr(name, '\0', DAEMON_NAME_BYTES);
}

#endif
