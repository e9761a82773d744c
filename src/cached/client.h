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

struct client;

/* More disks than a host can have. */
#define CLIENTS_MAX 4096u

/* Takes the connected socket @fd over, also on failure. */
int client_accept(struct cached *cached, int fd);
/* Order: it has greeted, as everybody has whose disk is known. */
const uint8_t *client_uuid(const struct client *client);
/* The same as text. */
const char *client_name(const struct client *client);
/* Sends a message of pool_protocol.h. */
void client_answer(struct client *client, const void *message, size_t bytes);
/* Disconnects all. */
void clients_clear(struct cached *cached);

#endif
