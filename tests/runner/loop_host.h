/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop_host.h - a runner's host on an event loop, over layers below in memory.
 *
 * The cache file is a real one, with direct I/O through io_uring. "Below" is an
 * array with a copy of what its last flush made durable, so that a test can
 * tell written from safe. I/O can be made to fail.
 */
#ifndef FOREBAY_TESTS_LOOP_HOST_H
#define FOREBAY_TESTS_LOOP_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "loop.h"
#include "runner.h"

struct loop_host {
	struct loop *loop;
	uint8_t *below;
	uint8_t *below_durable;
	uint64_t below_bytes;
	uint64_t below_reads;
	uint64_t below_writes;
	uint64_t below_flushes;
	uint64_t copied_bytes;
	uint64_t ahead_ns; /* so far the runner's clock is ahead */
	unsigned int in_flight;
	/* The process is dead: the kernel ends its I/O, nobody hears of it. */
	bool dead;
	/* What the next I/O of a kind ends with; 0: as it is. */
	int file_write_error;
	int file_read_error;
	int below_error;
};

extern const struct runner_host loop_runner_host;

/* Returns: 0; zeroes what is below. */
int loop_host_init(struct loop_host *host, uint64_t below_bytes);
void loop_host_release(struct loop_host *host);
/* What a power cut leaves of the layers below. */
void loop_host_cut_power(struct loop_host *host);

#endif
