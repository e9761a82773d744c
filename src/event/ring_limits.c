// SPDX-License-Identifier: Apache-2.0
/*
 * ring_limits.c - takes from a ring what the loop doesn't do with it.
 *
 * What io_uring does, no system call filter sees: without these limits a ring
 * opens files and connects sockets for whoever has got hold of the process.
 * The list is the list of operation.c; an operation that isn't here ends with
 * -EACCES.
 */
#include "ring_limits.h"

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

static const uint8_t operations[] = {
	IORING_OP_READV,    IORING_OP_WRITEV,	    IORING_OP_FSYNC,
	IORING_OP_SENDMSG,  IORING_OP_RECVMSG,	    IORING_OP_FALLOCATE,
	IORING_OP_SEND,	    IORING_OP_RECV,	    IORING_OP_ACCEPT,
	IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL,
};

/* What liburing does for io_uring_register_ring_fd(). */
static const uint8_t registrations[] = {
	IORING_REGISTER_RING_FDS,
	IORING_UNREGISTER_RING_FDS,
};

#define OPERATION_COUNT (sizeof(operations) / sizeof(operations[0]))
#define REGISTRATION_COUNT (sizeof(registrations) / sizeof(registrations[0]))

/* By hand: liburing 2.3 declares its functions for it and doesn't export them.
 */
static int ring_register(const struct io_uring *ring, unsigned int what,
			 const void *argument, unsigned int count)
{
	return syscall(SYS_io_uring_register, ring->ring_fd, what, argument,
		       count) < 0
		       ? -errno
		       : 0;
}

int ring_limits_set(struct io_uring *ring)
{
	struct io_uring_restriction
		limits[OPERATION_COUNT + REGISTRATION_COUNT + 1] = {0};
	unsigned int count = 0;
	int status;

	for (unsigned int i = 0; i < OPERATION_COUNT; i++) {
		limits[count].opcode = IORING_RESTRICTION_SQE_OP;
		limits[count++].sqe_op = operations[i];
	}
	for (unsigned int i = 0; i < REGISTRATION_COUNT; i++) {
		limits[count].opcode = IORING_RESTRICTION_REGISTER_OP;
		limits[count++].register_op = registrations[i];
	}
	/* Of the flags of an entry the loop uses none. */
	limits[count].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	limits[count++].sqe_flags = 0;
	status = ring_register(ring, IORING_REGISTER_RESTRICTIONS, limits,
			       count);
	return status < 0 ? status
			  : ring_register(ring, IORING_REGISTER_ENABLE_RINGS,
					  NULL, 0);
}
