// SPDX-License-Identifier: Apache-2.0
/*
 * cpu_time.c - sums what the scheduler says of each thread, among them the
 * kernel's io_uring workers, which appear as threads of their process.
 */
#include "cpu_time.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>

static uint64_t thread_ns(pid_t pid, const char *thread)
{
	uint64_t ns = 0;
	char path[320];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)pid,
		 thread);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%" SCNu64, &ns) != 1)
		ns = 0;
	fclose(file);
	return ns;
}

uint64_t cpu_time_ns(pid_t pid)
{
	const struct dirent *entry;
	uint64_t ns = 0;
	char path[64];
	DIR *directory;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	directory = opendir(path);
	if (!directory)
		return 0;
	while ((entry = readdir(directory)))
		if (entry->d_name[0] != '.')
			ns += thread_ns(pid, entry->d_name);
	closedir(directory);
	return ns;
}
