/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.h - a virtqueue with a driver that fills it and a device that answers:
 * requests of 4 KiB, each a header, its data and a status.
 */
#ifndef FOREBAY_BENCH_INSTRUCTIONS_RING_H
#define FOREBAY_BENCH_INSTRUCTIONS_RING_H

#include <stdbool.h>
#include <stdint.h>

struct ring;

/* One for the whole program. */
struct ring *ring_create(bool packed);
/* The driver makes as many requests available as fit. */
void ring_fill(struct ring *ring);
/* The device takes all of them, and returns them. Returns: how many. */
uint32_t ring_serve(struct ring *ring);

#endif
