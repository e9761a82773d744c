/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crash.h - a last word of a process that an error of its own ends.
 *
 * For SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT. The process ends by the same
 * signal as without it. A sanitizer has handlers of its own for these: it tells
 * us at its end instead, as a signal 0.
 */
#ifndef FOREBAY_OS_CRASH_H
#define FOREBAY_OS_CRASH_H

#include <stdbool.h>
#include <stdint.h>

struct crash {
	int signal;
	const char *name; /* "SIGSEGV", or "sanitizer" */
	bool has_address; /* the instruction touched this */
	uintptr_t address;
};

/*
 * @tell runs once, on the thread that crashed, inside of the signal's handler:
 * it takes no lock and no memory. Order: before any memory is watched by
 * memory_fault.h, whose SIGBUS goes first.
 * Returns: 0 or -errno.
 */
int crash_watch(void (*tell)(const struct crash *crash));
/* For a handler of another signal that ends the process. */
void crash_tell(int signal, const char *name);

#endif
