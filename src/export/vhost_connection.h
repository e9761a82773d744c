/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost_connection.h - the socket to one front-end: one message after the
 * other, received, handled, answered.
 */
#ifndef FOREBAY_EXPORT_VHOST_CONNECTION_H
#define FOREBAY_EXPORT_VHOST_CONNECTION_H

#include <stdbool.h>

#include "vhost_device.h"

struct vhost_connection;

/*
 * Owns: takes the connected socket @fd, on success.
 * @setup: its progress and owner aren't looked at.
 * @closed: called once, when the connection is gone and freed: after the
 * front-end has hung up or vhost_connection_close(), and after all requests
 * have been returned.
 */
int vhost_connection_create(const struct vhost_device_setup *setup, int fd,
			    void (*closed)(void *owner), void *owner,
			    struct vhost_connection **ret_connection);
void vhost_connection_close(struct vhost_connection *connection);

/* Returns: false once the front-end has hung up, even if nobody noticed yet. */
bool vhost_connection_alive(const struct vhost_connection *connection);
/* It waits longer for requests in flight than it should. */
bool vhost_connection_overdue(const struct vhost_connection *connection);
const struct vhost_device *vhost_connection_device(
	const struct vhost_connection *connection);

#endif
