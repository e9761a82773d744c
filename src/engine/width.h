/* SPDX-License-Identifier: Apache-2.0 */
/*
 * width.h - how many I/Os destage may have below at a time, and how soon.
 *
 * The guest's own I/Os come first. How long they take is measured by kind:
 * while destage rests that is the norm, while it works it is compared. Each
 * WIDTH_LOOK_NS in which destage worked:
 *
 *   some kind took over 3/2 of its norm  -> half as many I/Os, one at least
 *   none did, or no guest's I/O ended    -> one I/O more, WIDTH_MAX at most
 *
 * With one I/O left destage is not what makes them slow: then the norm itself
 * moves towards what is measured, by an eighth.
 *
 * A cap says how many bytes a second go below. Neither holds when destage is
 * urgent: it has WIDTH_MAX then, and no cap.
 *
 * A state machine without clock: the caller says what time it is. One thread.
 */
#ifndef FOREBAY_ENGINE_WIDTH_H
#define FOREBAY_ENGINE_WIDTH_H

#include <stdbool.h>
#include <stdint.h>

#define WIDTH_MAX 16u
#define WIDTH_LOOK_NS 20000000ull
/* Fewer of a kind say nothing. */
#define WIDTH_SAMPLES_MIN 4u
/* What the cap left unused may go at once, for so long a time. */
#define WIDTH_BURST_NS 100000000ull

/* A guest's I/Os that are comparable. */
enum width_kind {
	WIDTH_SSD_READ,
	WIDTH_SSD_WRITE,
	WIDTH_BELOW_READ,
	WIDTH_KINDS
};

/* A guest's I/Os of one kind that ended since the last poll. */
struct timed_ios {
	uint64_t count;
	uint64_t began_sum_ns;
};

struct width_samples {
	uint64_t norm_ns; /* 0: not known */
	uint64_t sum_ns; /* since the last look */
	uint64_t count;
};

struct width {
	uint64_t now_ns;
	uint64_t looked_ns;
	uint64_t cap; /* bytes a second; 0: none */
	int64_t credit; /* of the cap, in billionths of a byte */
	uint32_t ios;
	bool urgent;
	bool worked; /* since the last look */
	struct width_samples kinds[WIDTH_KINDS];
};

void width_init(struct width *width);
void width_set_cap(struct width *width, uint64_t bytes_per_s);
/* @count I/Os of a guest took @sum_ns together. */
void width_sample(struct width *width, enum width_kind kind, uint64_t count,
		  uint64_t sum_ns);
/* It is @now_ns. @working: destage has I/Os below. */
void width_look(struct width *width, uint64_t now_ns, bool working,
		bool urgent);
/* May one more start beside @busy? Then width_charge() follows. */
bool width_admits(const struct width *width, uint32_t busy);
void width_charge(struct width *width, uint64_t bytes);
/* When the cap allows the next one. */
uint64_t width_next_ns(const struct width *width);

#endif
