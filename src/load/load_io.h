/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_io.h - one request of the load, as engine and transports see it.
 *
 * The engine owns it. From transport's submit() until reap() returns it, it is
 * the transport's, across any number of connections.
 */
#ifndef FOREBAY_LOAD_LOAD_IO_H
#define FOREBAY_LOAD_LOAD_IO_H

#include <stdbool.h>
#include <stdint.h>

enum load_kind {
	LOAD_READ = 0,
	LOAD_WRITE,
	LOAD_FLUSH,
	LOAD_DISCARD,
	LOAD_WRITE_ZEROES,
	LOAD_KINDS
};

struct load_io {
	enum load_kind kind;
	unsigned int queue;
	unsigned int number; /* in its queue, below the depth */
	uint64_t offset; /* bytes; nothing for a flush */
	uint32_t bytes;
	uint8_t *data; /* in the transport's data */
	int error; /* 0 or a negative errno, once it has ended */
	/* The engine's. */
	uint64_t block;
	uint64_t due_ns; /* latency counts from here */
	uint32_t buffer; /* which of its buffers it used last */
	/* The transport's. */
	bool under_way;
	void *private;
};

#endif
