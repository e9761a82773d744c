/* SPDX-License-Identifier: Apache-2.0 */
/*
 * data_plane.h - questions to data-plane processes, never without a deadline.
 *
 * Calls go over the processes' control sockets: one JSON object a packet (see
 * src/ipc). Any number of processes can be asked at once; the slow ones cost
 * the others nothing but the common deadline.
 *
 * Thread: any, never under a lock.
 */
#ifndef FOREBAY_AGENT_DATA_PLANE_H
#define FOREBAY_AGENT_DATA_PLANE_H

#include <jansson.h>
#include <stdint.h>

#include "error.h"

struct data_plane_call {
	/* In. */
	const char *socket_path;
	const char *method;
	json_t *parameters; /* borrowed; NULL = {} */
	/* Out: result is owned by the caller when status is 0. */
	int status;
	json_t *result;
	struct error error;
	/* During the call. */
	int fd;
};

/*
 * Makes all calls and returns when each has its status: 0, what the process
 * answered, -ETIMEDOUT, -ECONNREFUSED or -ENOENT (nobody listens), -ECANCELED.
 * @stop_fd: becoming readable ends the wait; -1: none.
 */
void data_plane_call_all(struct data_plane_call *calls, size_t count,
			 uint64_t timeout_ns, int stop_fd);

/*
 * The status of the filter of class cache in @stats, the answer to "stats" or
 * NULL. Only that one is believed: members of the same names mean something
 * else where other filters have them. Borrowed; NULL: there is none.
 */
json_t *data_plane_cache_status(const json_t *stats);
/* @member of it. Borrowed; NULL: there is none, or it is null. */
json_t *data_plane_cache_says(const json_t *stats, const char *member);

/* The two halves for who waits elsewhere (supervisor.c). Neither blocks. */
/* Returns: the connection on which the answer will come, or -errno. */
int data_plane_send(const char *socket_path, const char *method,
		    const json_t *parameters);
/*
 * Reads the answer from the readable @fd.
 * Returns: 0 and *ret_result (owned by the caller), the errno that was
 * answered, or -ECONNRESET if the process is gone.
 */
int data_plane_receive(int fd, json_t **ret_result, struct error *error);

#endif
