/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_packed.h - the parts of front_queue.c for packed virtqueues (inside
 * src/load only).
 */
#ifndef FOREBAY_LOAD_FRONT_PACKED_H
#define FOREBAY_LOAD_FRONT_PACKED_H

#include "front.h"

struct front_packed_used {
	uint32_t written;
	uint16_t id;
};

/* Puts the @count descriptors of @slot into the ring; its ID is the number. */
void front_packed_offer(struct front_queue *queue,
			const struct front_slot *slot,
			const struct vring_desc *table, unsigned int count);
/* Returns: true if the back-end wants a kick for what is published now. */
bool front_packed_publish(struct front_queue *queue);
/* Whether a completion has come. */
bool front_packed_ready(const struct front_queue *queue);
/* Takes it. */
struct front_packed_used front_packed_reap(struct front_queue *queue);
void front_packed_arm(struct front_queue *queue);
void front_packed_disarm(struct front_queue *queue);

#endif
