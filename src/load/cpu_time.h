/* SPDX-License-Identifier: Apache-2.0 */
/* cpu_time.h - how long a process, with all its threads, has been on a CPU. */
#ifndef FOREBAY_LOAD_CPU_TIME_H
#define FOREBAY_LOAD_CPU_TIME_H

#include <stdint.h>
#include <sys/types.h>

/*
 * Threads that have ended are not counted. Returns: nanoseconds, 0 if there is
 * no such process.
 */
uint64_t cpu_time_ns(pid_t pid);

#endif
