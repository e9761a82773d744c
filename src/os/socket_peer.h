/* SPDX-License-Identifier: Apache-2.0 */
/* socket_peer.h - who is at the other end of a unix socket. */
#ifndef FOREBAY_OS_SOCKET_PEER_H
#define FOREBAY_OS_SOCKET_PEER_H

#include <stdbool.h>

/*
 * Whether the process that listens at the other end of the connected socket
 * @fd has died. A killed process's listening socket can outlive it for a
 * moment: its io_uring holds it until the kernel has torn the ring down, and
 * until then connections to it succeed.
 */
bool socket_peer_is_dead(int fd);

#endif
