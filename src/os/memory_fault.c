// SPDX-License-Identifier: Apache-2.0
/*
 * memory_fault.c - the handler of SIGBUS and the ranges that it knows.
 *
 * SIGBUS comes from the very instruction that touched the memory, so the
 * handler runs on the thread that changes the table, and never in the middle of
 * a change: that code touches no watched memory. The instruction runs again
 * when the handler returns, and finds zeros. What faults elsewhere faults again
 * under the handler that there was before.
 */
#include "memory_fault.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

struct range {
	uintptr_t start;
	size_t bytes;
	volatile sig_atomic_t *lost;
};

static struct range ranges[MEMORY_FAULT_RANGES_MAX];
static unsigned int range_count;
/* What a SIGBUS anywhere else did before. */
static struct sigaction before;

static struct range *range_find(uintptr_t address)
{
	for (unsigned int i = 0; i < range_count; i++)
		if (address - ranges[i].start < ranges[i].bytes)
			return &ranges[i];
	return NULL;
}

/*
 * All of the range, not the page that faulted: a huge page can't be replaced in
 * part, and one fault is enough to know.
 */
static bool replace(const struct range *range)
{
	return mmap((void *)range->start, range->bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
		    0) != MAP_FAILED;
}

static void on_fault(int number, siginfo_t *info, void *context)
{
	int saved_errno = errno;
	struct range *range = NULL;

	(void)context;
	if (info->si_code == BUS_ADRERR)
		range = range_find((uintptr_t)info->si_addr);
	if (range && replace(range))
		*range->lost = 1;
	else
		/* The instruction faults again, and that ends the process. */
		sigaction(number, &before, NULL);
	errno = saved_errno;
}

static int set_handler(void)
{
	struct sigaction action = {
		.sa_sigaction = on_fault,
		.sa_flags = SA_SIGINFO,
	};

	struct sigaction now;

	if (sigaction(SIGBUS, NULL, &now) < 0)
		return -errno;
	/* Somebody may have put another one in its place. */
	if (now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_fault)
		return 0;
	before = now;
	return sigaction(SIGBUS, &action, NULL) < 0 ? -errno : 0;
}

int memory_fault_watch(void *map, size_t bytes, volatile sig_atomic_t *lost)
{
	int status = set_handler();

	if (status < 0)
		return status;
	if (range_count == MEMORY_FAULT_RANGES_MAX)
		return -ENOSPC;
	ranges[range_count++] = (struct range){
		.start = (uintptr_t)map,
		.bytes = bytes,
		.lost = lost,
	};
	return 0;
}

void memory_fault_tell(const void *map, volatile sig_atomic_t *lost)
{
	for (unsigned int i = 0; i < range_count; i++)
		if (ranges[i].start == (uintptr_t)map)
			ranges[i].lost = lost;
}

void memory_fault_forget(const void *map)
{
	for (unsigned int i = 0; i < range_count; i++) {
		if (ranges[i].start != (uintptr_t)map)
			continue;
		ranges[i] = ranges[--range_count];
		return;
	}
}
