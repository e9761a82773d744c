/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bucket.h - a token bucket that counts in nanoseconds.
 *
 * A bucket fills with one nanosecond of budget each nanosecond, up to its
 * depth. A cost of n units takes n / rate seconds out of it. What a division
 * leaves over is carried to the next cost, so no rate is off by rounding.
 *
 * The level may go below zero: a cost that is larger than the bucket is let
 * pass when the bucket is full, and what comes after waits until it is paid.
 */
#ifndef FOREBAY_THROTTLE_BUCKET_H
#define FOREBAY_THROTTLE_BUCKET_H

#include <stdint.h>

struct bucket {
	uint64_t rate; /* units a second; 0: unlimited */
	uint64_t depth_ns;
	/* The level is the time since then, at most depth_ns. */
	int64_t zero_ns;
	uint64_t remainder; /* of the last division, in 1/rate ns */
};

/* Full at @now_ns. */
void bucket_init(struct bucket *bucket, uint64_t rate, uint64_t depth_ns,
		 uint64_t now_ns);
/* Changes rate and depth. The level stays, as far as the new depth allows. */
void bucket_change(struct bucket *bucket, uint64_t rate, uint64_t depth_ns,
		   uint64_t now_ns);
/* Returns: how long a cost of @units must wait; 0: it may pass now. */
uint64_t bucket_wait_ns(const struct bucket *bucket, uint64_t units,
			uint64_t now_ns);
/* Takes the cost out. */
void bucket_take(struct bucket *bucket, uint64_t units, uint64_t now_ns);

#endif
