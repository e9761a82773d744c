/* SPDX-License-Identifier: Apache-2.0 */
/* vhost_message.h - one message with its descriptors, between layers. */
#ifndef FOREBAY_EXPORT_VHOST_MESSAGE_H
#define FOREBAY_EXPORT_VHOST_MESSAGE_H

#include "vhost_user_protocol.h"

/* SET_MEM_TABLE has the most. */
#define VHOST_MESSAGE_FDS_MAX VHOST_USER_TABLE_REGIONS_MAX

struct vhost_message {
	struct vhost_user_header header;
	union vhost_user_payload payload;
	unsigned int fd_count;
	int fds[VHOST_MESSAGE_FDS_MAX]; /* -1 where one was taken out */
};

/* Gives descriptor @index away. Returns: -1 if there is none. */
int vhost_message_take_fd(struct vhost_message *message, unsigned int index);
void vhost_message_close_fds(struct vhost_message *message);

#endif
