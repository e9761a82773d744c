/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.h - keeps a disk busy through its vhost-user-blk socket, and measures.
 */
#ifndef FOREBAY_BENCH_LOAD_H
#define FOREBAY_BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "histogram.h"

#define LOAD_TARGETS_MAX 8u

enum load_wait { LOAD_WAIT_POLL, LOAD_WAIT_INTERRUPT };

struct load_options {
	const char *socket_path;
	uint32_t block_bytes;
	unsigned int depth; /* of each queue */
	unsigned int queue_count;
	unsigned int read_percent;
	bool sequential;
	double seconds; /* 0: until count */
	uint64_t count; /* 0: until the time is over */
	double warm_up_seconds; /* not measured */
	uint64_t offset; /* range of the disk; bytes 0: to its end */
	uint64_t bytes;
	unsigned int flush_every; /* writes of a queue; 0: never */
	enum load_wait wait;
	bool packed; /* packed virtqueues */
	bool verify;
	double reconnect_seconds; /* how long a back-end may be away */
	uint64_t seed;
	pid_t targets[LOAD_TARGETS_MAX]; /* whose CPU time is reported */
	unsigned int target_count;
};

struct load_result {
	uint64_t reads;
	uint64_t writes;
	uint64_t flushes;
	uint64_t errors;
	uint64_t wrong_blocks; /* verification failures */
	uint64_t first_wrong_block;
	uint64_t verified_blocks; /* in the last pass */
	unsigned int reconnects;
	double seconds;
	double load_cpu_us; /* for each I/O */
	double target_cpu_us;
	struct histogram latency; /* of reads and writes */
	struct histogram flush_latency;
};

/* Returns: 0, or a negative errno with @ret_reason: what didn't work. */
int load_run(const struct load_options *options, struct load_result *ret_result,
	     const char **ret_reason);

#endif
