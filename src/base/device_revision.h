/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device_revision.h - the number that freezes what a disk's device is.
 *
 * A disk gets the newest revision when it is created and keeps it: features and
 * limits that a guest has seen must be the same on every host and under every
 * version of Forebay that serves it later. What each revision is stands in
 * src/export/virtio_blk_model.c; forebayd only needs to know the numbers.
 */
#ifndef FOREBAY_BASE_DEVICE_REVISION_H
#define FOREBAY_BASE_DEVICE_REVISION_H

/* Of disks that were created before there were revisions. */
#define DEVICE_REVISION_FIRST 1u
#define DEVICE_REVISION_NEWEST 2u

/* Queues of the vhost-user-blk device. One byte of the messages numbers them.
 */
#define DEVICE_QUEUES_DEFAULT 16u
#define DEVICE_QUEUES_MAX 64u

#endif
