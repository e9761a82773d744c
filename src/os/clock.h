/* SPDX-License-Identifier: Apache-2.0 */
/* clock.h - the monotonic clock as one number of nanoseconds. */
#ifndef FOREBAY_OS_CLOCK_H
#define FOREBAY_OS_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_SECOND UINT64_C(1000000000)

/* CLOCK_MONOTONIC; 20-40 ns a call. */
static inline uint64_t clock_monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

#endif
