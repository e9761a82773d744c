/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory_fault.h - memory whose other owner may take it away.
 *
 * A file that we map and that somebody else truncates makes our next access
 * fail with SIGBUS. A range that is watched doesn't end the process then: it
 * becomes private memory of zeros, from end to end, and its `lost` says so.
 * Whoever uses the range looks at that before he believes what he read. A
 * SIGBUS anywhere else ends the process as before.
 */
#ifndef FOREBAY_OS_MEMORY_FAULT_H
#define FOREBAY_OS_MEMORY_FAULT_H

#include <signal.h>
#include <stddef.h>

/* All regions of a VM, and of some that went and left requests behind. */
#define MEMORY_FAULT_RANGES_MAX 4096u

/*
 * Watches a mapping from its first to its last page. @lost is set to 1 when it
 * is gone; it lives until the range is forgotten.
 * Thread: the one that touches the memory. Returns: 0, -ENOSPC or -errno.
 */
int memory_fault_watch(void *map, size_t bytes, volatile sig_atomic_t *lost);
/* Another place is told from now on; the old one may go. */
void memory_fault_tell(const void *map, volatile sig_atomic_t *lost);
/* Order: before munmap(). What isn't watched is fine. */
void memory_fault_forget(const void *map);

#endif
