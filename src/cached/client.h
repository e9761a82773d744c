/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h - one connected instance of the cache filter.
 *
 * It speaks daemon_protocol.h, and pool_protocol.h inside it. A client that
 * breaks the protocol is disconnected; its disk goes on, since a granted file
 * needs no connection.
 */
#ifndef FOREBAY_CACHED_CLIENT_H
#define FOREBAY_CACHED_CLIENT_H

#include "cached.h"

/* More disks than a host can have. */
#define CLIENTS_MAX 4096u

/* Takes the connected socket @fd over, also on failure. */
int client_accept(struct cached *cached, int fd);
/* Disconnects all. */
void clients_clear(struct cached *cached);

#endif
