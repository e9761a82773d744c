/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost_wreck.h - what is left of requests that a device gave up.
 *
 * A guest that resets, a VM that stops and a front-end that hangs up wait for
 * requests in flight, but not for ever. When their time is over, the device and
 * its requests part: the guest gets an I/O error, or nothing if it may come
 * back with its in-flight region, and the requests go on below, fenced (see
 * pipeline_abandon()), with all the memory that they stand on:
 *
 *   - their slots, which hold their iovecs;
 *   - the device's mappings of the guest's memory: the device gets new ones,
 *     and what the old ones showed of the guest is replaced by memory of our
 *     own. So a read that ends later writes to nobody, and a write still has
 *     its data. Only what the kernel has pinned already, reads by direct I/O,
 *     still reaches the guest (ADR 0010);
 *   - the bounce buffer, if one of them is in it.
 *
 * A wreck belongs to nobody and frees itself when its last request has ended.
 * The pipeline outlives it.
 */
#ifndef FOREBAY_EXPORT_VHOST_WRECK_H
#define FOREBAY_EXPORT_VHOST_WRECK_H

#include <stdbool.h>

#include "vhost_device.h"

/*
 * Parts @device from all requests in flight of all its queues, which are paused
 * afterwards. @answer: the guest gets I/O errors. Without, what is in flight
 * stays marked in the in-flight region, and the device can only be released.
 * Returns: how many go on below; or -ENOMEM, or an errno of mremap if the
 * guest must be answered: then they are still the device's.
 */
int vhost_wreck_leave(struct vhost_device *device, bool answer);

#endif
