// SPDX-License-Identifier: Apache-2.0
/* inflight_file.c - makes and maps the file of in-flight regions. */
#include "inflight_file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "memory_fault.h"

/*
 * A VMM that truncates the file takes its own in-flight requests away, as if it
 * had set them to zeros: nobody needs to know.
 */
static volatile sig_atomic_t lost;

static bool shape_valid(uint16_t queue_count, uint16_t queue_size)
{
	return queue_count > 0 && queue_size > 0 &&
	       queue_size <= VIRTQUEUE_SIZE_MAX;
}

static uint64_t shape_bytes(uint16_t queue_count, uint16_t queue_size,
			    bool packed)
{
	return (uint64_t)inflight_queue_bytes(queue_size, packed) * queue_count;
}

static void *map_shared(int fd, uint64_t offset, uint64_t bytes)
{
	void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			 (off_t)offset);

	return map == MAP_FAILED ? NULL : map;
}

/*
 * All zeros: each region is formatted when its queue starts. The seals keep
 * the VMM from making our accesses fault.
 */
int inflight_file_create(uint16_t queue_count, uint16_t queue_size,
			 uint64_t *ret_bytes)
{
	uint64_t bytes = shape_bytes(queue_count, queue_size, true) +
			 sizeof(struct inflight_device);
	_cleanup_fd_ int fd = -1;

	if (!shape_valid(queue_count, queue_size))
		return -EINVAL;
	fd = memfd_create("vhost-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) <
		    0)
		return -errno;
	*ret_bytes = bytes;
	return take_fd(&fd);
}

static int file_check(int fd, uint64_t end)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode) || (uint64_t)status.st_size < end)
		return -EINVAL;
	return 0;
}

int inflight_file_map(struct inflight_file *file, int fd, uint64_t offset,
		      uint64_t bytes)
{
	uint64_t end;
	int result;

	file->map = NULL;
	file->device = NULL;
	if (!shape_valid(file->queue_count, file->queue_size))
		return -EINVAL;
	file->bytes =
		shape_bytes(file->queue_count, file->queue_size, file->packed);
	if (bytes >= file->bytes + sizeof(*file->device))
		file->bytes += sizeof(*file->device);
	else if (bytes < file->bytes)
		return -EINVAL;
	if (offset % (uint64_t)sysconf(_SC_PAGESIZE) != 0 ||
	    __builtin_add_overflow(offset, file->bytes, &end))
		return -EINVAL;
	result = file_check(fd, end);
	if (result < 0)
		return result;
	file->map = map_shared(fd, offset, file->bytes);
	if (!file->map)
		return -errno;
	result = memory_fault_watch(file->map, file->bytes, &lost);
	if (result < 0) {
		inflight_file_unmap(file);
		return result;
	}
	bytes = shape_bytes(file->queue_count, file->queue_size, file->packed);
	if (file->bytes > bytes)
		file->device = (void *)(file->map + bytes);
	return 0;
}

void inflight_file_unmap(struct inflight_file *file)
{
	if (!file->map)
		return;
	memory_fault_forget(file->map);
	munmap(file->map, file->bytes);
	file->map = NULL;
	file->device = NULL;
}

void *inflight_file_region(const struct inflight_file *file, unsigned int queue)
{
	if (!file->map || queue >= file->queue_count)
		return NULL;
	return file->map +
	       inflight_queue_bytes(file->queue_size, file->packed) * queue;
}

enum inflight_cache_mode inflight_file_cache_mode(
	const struct inflight_file *file)
{
	uint32_t mode = INFLIGHT_CACHE_UNKNOWN;

	if (file->device)
		mode = __atomic_load_n(&file->device->cache_mode,
				       __ATOMIC_RELAXED);
	if (mode == INFLIGHT_CACHE_WRITETHROUGH ||
	    mode == INFLIGHT_CACHE_WRITEBACK)
		return (enum inflight_cache_mode)mode;
	return INFLIGHT_CACHE_UNKNOWN;
}

void inflight_file_set_cache_mode(struct inflight_file *file, bool writeback)
{
	if (file->device)
		__atomic_store_n(&file->device->cache_mode,
				 writeback ? INFLIGHT_CACHE_WRITEBACK
					   : INFLIGHT_CACHE_WRITETHROUGH,
				 __ATOMIC_RELAXED);
}
