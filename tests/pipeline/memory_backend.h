/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory_backend.h - a backend over plain memory, linked instead of the real
 * ones: memory_backend.c defines the functions of backend.h.
 */
#ifndef FOREBAY_TESTS_MEMORY_BACKEND_H
#define FOREBAY_TESTS_MEMORY_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#include "backend.h"

#define MEMORY_BACKEND_BYTES (4u << 20)

/* Holes have this size, and begin at multiples of it. */
#define MEMORY_BACKEND_HOLE_BYTES 65536u

/* What the next backend_open() makes. */
struct memory_backend {
	int open_status; /* fails with this */
	uint32_t operations;
	int fail_status; /* of every operation */
	unsigned int fail_after; /* that many writes */
	bool at_once; /* completes inside of backend_submit() */
	bool held; /* nothing completes before memory_backend_release() */
	/* What happened. */
	bool open;
	unsigned int flush_count;
	unsigned int cache_count;
	unsigned int write_count;
	unsigned int fua_count;
	uint64_t longest_write_bytes;
	uint64_t last_read_offset;
	bool reads_in_order; /* by offset */
	unsigned char image[MEMORY_BACKEND_BYTES];
};

extern struct memory_backend memory_backend;

void memory_backend_reset(void);
/* Completes what is held, a turn later; @backend is what was opened. */
void memory_backend_release(void);

#endif
