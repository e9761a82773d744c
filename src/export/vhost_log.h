/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost_log.h - tells the VMM that migrates which pages of the guest a queue
 * and its requests have written (inside src/export only).
 *
 * Callers look at shared->log.active first: while nobody migrates, that is all
 * that logging costs.
 */
#ifndef FOREBAY_EXPORT_VHOST_LOG_H
#define FOREBAY_EXPORT_VHOST_LOG_H

#include "vhost_queue.h"

/* @bytes at @host, in one region of the guest's memory, have been written. */
void vhost_log_bytes(struct vhost_shared *shared, const void *host,
		     uint64_t bytes);
/* The first @bytes of @iov. */
void vhost_log_iov(struct vhost_shared *shared, const struct iovec *iov,
		   uint64_t bytes);
/* The used entries from @old on have been published. */
void vhost_log_used(struct vhost_queue *queue, uint16_t old);
/* The device's wish for kicks has been written. */
void vhost_log_event(struct vhost_queue *queue);
/* All of a ring may have been written. */
void vhost_log_ring(struct vhost_queue *queue);
/* The device's part of the ring, as the log knows it. */
bool vhost_log_covers_ring(const struct vhost_queue *queue);

#endif
