/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay.h - a trace's requests, put to another disk.
 *
 * They begin at the times of the trace, or as soon as there is room. A request
 * of more than REPLAY_PIECE_BYTES becomes several, one after the other. What is
 * written is noise: a trace doesn't hold data.
 */
#ifndef FOREBAY_TRACE_REPLAY_H
#define FOREBAY_TRACE_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "histogram.h"
#include "load_io.h"
#include "trace_file.h"

#define REPLAY_PIECE_BYTES (1u << 20)
/* Records of a file that fit into memory at once: 3 GiB. */
#define REPLAY_RECORDS_MAX (64u << 20)
#define REPLAY_DEPTH_MAX 1024u

struct replay_options {
	bool nbd; /* or vhost-user-blk */
	const char *address;
	unsigned int depth; /* most that are under way */
	/* How many times faster than it was; 0: as fast as it goes. */
	double speed;
	bool may_write;
};

struct replay_result {
	uint64_t counts[LOAD_KINDS];
	uint64_t errors;
	uint64_t skipped; /* that this disk has no command for */
	uint64_t late_ns; /* the worst start behind its time */
	double seconds;
	struct histogram latency; /* from its begin, late or not */
};

/* Returns: 0, or @error's code. Failed requests are a result. */
int replay_run(struct trace_file *file, const struct replay_options *options,
	       struct replay_result *ret_result, struct error *error);

#endif
