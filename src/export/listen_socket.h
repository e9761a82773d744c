/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listen_socket.h - a unix socket that clients of an export connect to.
 */
#ifndef FOREBAY_EXPORT_LISTEN_SOCKET_H
#define FOREBAY_EXPORT_LISTEN_SOCKET_H

#include <sys/types.h>

#include "error.h"

/*
 * Listens at @path with exactly @mode, in place of a dead process's socket.
 * Returns: 0, -ENAMETOOLONG, -EADDRINUSE (a living process listens there),
 * -EEXIST (not a socket) ..., with words in @error.
 */
int listen_socket_open(const char *path, mode_t mode, int *ret_fd,
		       struct error *error);

#endif
