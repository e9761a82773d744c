/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.h - keeps a disk busy through a transport, and measures.
 *
 * One thread. A run with a journal has three parts: what the journal of an
 * earlier run knows is read back, then the load, then all that is known is
 * read back again.
 */
#ifndef FOREBAY_LOAD_LOAD_H
#define FOREBAY_LOAD_LOAD_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "histogram.h"
#include "journal.h"
#include "load_io.h"
#include "pattern.h"

#define LOAD_BLOCK_BYTES_MAX (4u << 20)
#define LOAD_BUFFERS_MAX 65536u /* of one request */

struct error;

enum load_protocol { LOAD_VHOST_USER = 0, LOAD_NBD };

/* Once a second while it runs. */
struct load_progress {
	double seconds; /* since the load began */
	double iops; /* of the last second */
	double bytes_per_second;
	uint64_t p99_ns; /* so far */
	bool reading_back;
};

struct load_options {
	enum load_protocol protocol;
	const char *address;
	uint32_t block_bytes;
	unsigned int depth; /* of each queue */
	unsigned int queue_count;
	bool polls;
	bool packed; /* virtqueues; not for NBD */
	unsigned int percent[LOAD_KINDS]; /* of reads: among reads and writes;
					     of others: among all */
	unsigned int flush_every; /* writes of a queue; 0: never */
	enum pattern_kind pattern;
	double theta;
	double rate; /* requests a second; 0: as many as go */
	double seconds;
	uint64_t count; /* ends before, after so many; 0: by time alone */
	double warm_up_seconds; /* not measured */
	uint64_t offset; /* range of the disk */
	uint64_t span; /* 0: to its end */
	uint64_t memory_bytes; /* for data; 0: a buffer for each request */
	double reconnect_seconds; /* how long a server may be away */
	uint64_t seed;
	bool verify;
	const char *journal_path; /* NULL: in memory */
	const volatile sig_atomic_t *stop; /* ends the load early, not the
					      reading back; or NULL */
	void (*progress)(void *context, const struct load_progress *progress);
	void *progress_context;
};

struct load_tally {
	uint64_t count;
	uint64_t errors; /* among them */
	struct histogram latency;
};

struct load_result {
	struct load_tally tallies[LOAD_KINDS];
	struct histogram latency; /* of reads and writes */
	uint64_t disk_bytes;
	pid_t server; /* 0: unknown */
	unsigned int reconnects;
	unsigned int depth_reached; /* at most under way at once */
	double seconds;
	double load_cpu_us; /* for each request */
	double server_cpu_us; /* negative: unknown */
	uint64_t read_back_blocks;
	uint64_t read_back_errors;
	struct journal_failures wrong;
};

bool load_writes(const struct load_options *options);
uint64_t load_errors(const struct load_result *result);
/*
 * Requests that fail and sectors that are wrong are results, not failures.
 * Returns: 0, or a negative errno with @error filled: -ECONNREFUSED (nobody
 * there), -EINVAL, -EOPNOTSUPP (the disk can't), -EIO (the server went away).
 */
int load_run(const struct load_options *options, struct load_result *ret_result,
	     struct error *error);

#endif
