// SPDX-License-Identifier: Apache-2.0
/* dirty_log.c - maps the bitmap and sets bits in it. */
#include "dirty_log.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memory_fault.h"
#include "vhost_user_protocol.h"

int dirty_log_map(struct dirty_log *log, int fd, uint64_t offset,
		  uint64_t bytes)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t start = offset / page * page;
	struct stat status;
	uint64_t end;
	void *map;
	int result;

	if (bytes == 0 || __builtin_add_overflow(offset, bytes, &end))
		return -EINVAL;
	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode) || status.st_size < 0 ||
	    end > (uint64_t)status.st_size)
		return -EINVAL;
	map = mmap(NULL, end - start, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   (off_t)start);
	if (map == MAP_FAILED)
		return -errno;
	result = memory_fault_watch(map, end - start, &log->lost);
	if (result < 0) {
		munmap(map, end - start);
		return result;
	}
	dirty_log_unmap(log);
	log->map = map;
	log->map_bytes = end - start;
	log->bits = (uint8_t *)map + (offset - start);
	log->bytes = bytes;
	return 0;
}

void dirty_log_unmap(struct dirty_log *log)
{
	if (log->map) {
		memory_fault_forget(log->map);
		munmap(log->map, log->map_bytes);
	}
	log->map = NULL;
	log->bits = NULL;
	log->bytes = 0;
}

bool dirty_log_covers(const struct dirty_log *log, uint64_t address,
		      uint64_t bytes)
{
	uint64_t last;

	if (bytes == 0)
		return true;
	if (__builtin_add_overflow(address, bytes - 1, &last))
		return false;
	return last / VHOST_USER_LOG_PAGE_BYTES / 8 < log->bytes;
}

void dirty_log_mark(struct dirty_log *log, uint64_t address, uint64_t bytes)
{
	uint64_t page = address / VHOST_USER_LOG_PAGE_BYTES;
	uint64_t last;

	if (bytes == 0 || __builtin_add_overflow(address, bytes - 1, &last))
		return;
	last /= VHOST_USER_LOG_PAGE_BYTES;
	for (; page <= last && page / 8 < log->bytes; page++)
		__atomic_fetch_or(&log->bits[page / 8],
				  (uint8_t)(1u << page % 8), __ATOMIC_SEQ_CST);
}
