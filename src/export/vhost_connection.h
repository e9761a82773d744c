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

/* What the export hears of a connection. */
struct vhost_connection_events {
	/*
	 * Once, when the connection is gone and freed: after the front-end has
	 * hung up or vhost_connection_close(), and after all requests have been
	 * returned.
	 */
	void (*closed)(void *owner);
	/* Perhaps vhost_device_parked() is true now. */
	void (*progressed)(void *owner);
	/* A queue should run, and there is no pipeline. */
	void (*wanted)(void *owner);
	/* The VM leaves: vhost_connection_handed_over() lets it go. */
	void (*hand_over)(void *owner);
	/* The VMM logs written pages, as a migration needs it; or no more. */
	void (*migrating)(void *owner, bool migrating);
	/* The VMM stops the device and waits for requests under way; or there
	 * are none any more. */
	void (*aborting)(void *owner, bool aborting);
	void *owner;
};

/*
 * Owns: takes the connected socket @fd, on success. @events outlive it.
 * @setup: its callbacks and owner aren't looked at.
 */
int vhost_connection_create(const struct vhost_device_setup *setup, int fd,
			    const struct vhost_connection_events *events,
			    struct vhost_connection **ret_connection);
void vhost_connection_close(struct vhost_connection *connection);
/* Sends the answer that waits, if one does. */
void vhost_connection_handed_over(struct vhost_connection *connection);

/* Returns: false once the front-end has hung up, even if nobody noticed yet. */
bool vhost_connection_alive(const struct vhost_connection *connection);
/* It waits longer for requests in flight than it should. */
bool vhost_connection_overdue(const struct vhost_connection *connection);
struct vhost_device *vhost_connection_device(
	const struct vhost_connection *connection);

#endif
