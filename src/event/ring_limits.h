/* SPDX-License-Identifier: Apache-2.0 */
/* ring_limits.h - a ring that can do what the loop does, and no more. */
#ifndef FOREBAY_EVENT_RING_LIMITS_H
#define FOREBAY_EVENT_RING_LIMITS_H

#include <liburing.h>

/*
 * Order: @ring was made with IORING_SETUP_R_DISABLED and starts here.
 * Thread: the one that submits from then on. Returns: 0 or a negative errno.
 */
int ring_limits_set(struct io_uring *ring);

#endif
