// SPDX-License-Identifier: Apache-2.0
/*
 * sandbox_memory.c - a leak ends in the process that has it.
 *
 * The kernel's limit on data is on what is mapped private and writable: the
 * heap and anonymous memory, not a guest's memory and not what other processes
 * keep for this one. Whoever asks for more gets ENOMEM.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "file.h"
#include "sandbox_private.h"

#define STATM_BYTES_MAX 256u

/* Returns: 0 or a negative errno. */
static int data_bytes(uint64_t *ret_bytes)
{
	uint64_t pages;
	char *text;
	size_t count;
	int status =
		file_read("/proc/self/statm", STATM_BYTES_MAX, &text, &count);

	if (status < 0)
		return status;
	/* size resident shared text lib data */
	status = sscanf(text, "%*u %*u %*u %*u %*u %" SCNu64, &pages) == 1
			 ? 0
			 : -EPROTO;
	free(text);
	if (status == 0)
		*ret_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
	return status;
}

int sandbox_limit_memory(uint64_t bytes_max)
{
	struct rlimit limit;
	uint64_t bytes;
	int status = data_bytes(&bytes);

	if (status < 0)
		return status;
	limit.rlim_cur = bytes + bytes_max;
	limit.rlim_max = bytes + bytes_max;
	return setrlimit(RLIMIT_DATA, &limit) < 0 ? -errno : 0;
}
