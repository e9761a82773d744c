/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watchdog.h - names the filter whose callback keeps the loop of its disk.
 *
 * A thread looks at the marker of running.h every 5 ms while callbacks come,
 * and sleeps when there are none. A call that it sees twice, at least
 * `threshold_ns` apart, is counted and told with the time for which it was
 * seen, which is never more than it took; one that hasn't returned after a
 * second is told at once. That a machine gave its CPU to others meanwhile
 * counts too.
 *
 * There is one in a process. Thread: that of the loop, whose marker it watches.
 */
#ifndef FOREBAY_PIPELINE_WATCHDOG_H
#define FOREBAY_PIPELINE_WATCHDOG_H

#include <stdint.h>

#define WATCHDOG_THRESHOLD_NS (UINT64_C(10) * 1000 * 1000)
#define WATCHDOG_STUCK_NS (UINT64_C(1000) * 1000 * 1000)

/* Order: after the sandbox is entered. Returns: 0 or a negative errno. */
int watchdog_start(uint64_t threshold_ns);
/* One that isn't there is fine. */
void watchdog_stop(void);

#endif
