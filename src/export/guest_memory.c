// SPDX-License-Identifier: Apache-2.0
/*
 * guest_memory.c - maps, unmaps and translates the regions of a VM.
 *
 * Runs on the disk's loop. Regions don't overlap in guest-physical addresses,
 * so at most one holds an address; a VM has few of them and nearly all
 * requests hit the one of the request before, hence the linear search behind
 * a memory of the last hit.
 *
 * A file that is shorter than its region is refused. A VMM that truncates the
 * file later makes our next access fail with SIGBUS, and the kernel's with
 * -EFAULT: the first is what memory_fault.c is for.
 */
#include "guest_memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "log.h"
#include "memory_fault.h"

static bool range_overflows(uint64_t start, uint64_t bytes)
{
	return bytes == 0 || start + bytes < start;
}

static int region_check(const struct guest_memory *memory,
			const struct vhost_user_region *region)
{
	if (range_overflows(region->guest_address, region->bytes) ||
	    range_overflows(region->user_address, region->bytes) ||
	    range_overflows(region->mmap_offset, region->bytes))
		return -EINVAL;
	if (memory->count == GUEST_MEMORY_REGIONS_MAX)
		return -ENOSPC;
	for (unsigned int i = 0; i < memory->count; i++) {
		const struct guest_region *other = &memory->regions[i];

		if (region->guest_address <
			    other->guest_address + other->bytes &&
		    other->guest_address <
			    region->guest_address + region->bytes)
			return -EEXIST;
	}
	return 0;
}

int guest_memory_add(struct guest_memory *memory,
		     const struct vhost_user_region *region, int fd)
{
	struct guest_region *mapped = &memory->regions[memory->count];
	uint64_t page, offset, bytes;
	struct stat status;
	void *map;
	int result = region_check(memory, region);

	if (result < 0)
		return result;
	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode) || status.st_size < 0 ||
	    region->mmap_offset + region->bytes > (uint64_t)status.st_size)
		return -EINVAL;
	/* hugetlbfs reports its page size here, and wants it respected. */
	page = (uint64_t)status.st_blksize;
	offset = region->mmap_offset / page * page;
	bytes = region->mmap_offset - offset + region->bytes;
	bytes = (bytes + page - 1) / page * page;
	map = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_NORESERVE, fd, (off_t)offset);
	if (map == MAP_FAILED)
		return -errno;
	/* A crash dump of this process must not hold the VM's memory. */
	madvise(map, bytes, MADV_DONTDUMP);
	result = memory_fault_watch(map, bytes, &memory->lost);
	if (result < 0) {
		munmap(map, bytes);
		return result;
	}
	*mapped = (struct guest_region){
		.guest_address = region->guest_address,
		.bytes = region->bytes,
		.user_address = region->user_address,
		.host = (uint8_t *)map + (region->mmap_offset - offset),
		.map = map,
		.map_bytes = bytes,
	};
	memory->count++;
	return 0;
}

static void unmap(const struct guest_region *region)
{
	memory_fault_forget(region->map);
	munmap(region->map, region->map_bytes);
}

int guest_memory_remove(struct guest_memory *memory,
			const struct vhost_user_region *region)
{
	for (unsigned int i = 0; i < memory->count; i++) {
		struct guest_region *mapped = &memory->regions[i];

		if (mapped->guest_address != region->guest_address ||
		    mapped->bytes != region->bytes ||
		    mapped->user_address != region->user_address)
			continue;
		unmap(mapped);
		*mapped = memory->regions[--memory->count];
		memory->recent = 0;
		return 0;
	}
	return -ENOENT;
}

void guest_memory_clear(struct guest_memory *memory)
{
	for (unsigned int i = 0; i < memory->count; i++)
		unmap(&memory->regions[i]);
	memory->count = 0;
	memory->lost = 0;
	memory->recent = 0;
}

void guest_memory_move(struct guest_memory *memory,
		       struct guest_memory *ret_moved)
{
	*ret_moved = *memory;
	memory->count = 0;
	memory->lost = 0;
	for (unsigned int i = 0; i < ret_moved->count; i++)
		memory_fault_tell(ret_moved->regions[i].map, &ret_moved->lost);
}

/* A second mapping of the same memory. Returns: NULL with errno. */
static void *map_again(const struct guest_region *region,
		       volatile sig_atomic_t *lost)
{
	/* Of a shared mapping, no old bytes mean a second one. */
	void *map = mremap(region->map, 0, region->map_bytes, MREMAP_MAYMOVE);
	int result;

	if (map == MAP_FAILED)
		return NULL;
	madvise(map, region->map_bytes, MADV_DONTDUMP);
	result = memory_fault_watch(map, region->map_bytes, lost);
	if (result == 0)
		return map;
	munmap(map, region->map_bytes);
	errno = -result;
	return NULL;
}

int guest_memory_split(struct guest_memory *memory,
		       struct guest_memory *ret_old)
{
	struct guest_memory fresh = *memory;

	for (unsigned int i = 0; i < fresh.count; i++) {
		struct guest_region *region = &fresh.regions[i];
		uint8_t *old = region->map;
		void *map = map_again(region, &memory->lost);

		if (!map) {
			int result = -errno;

			fresh.count = i;
			guest_memory_clear(&fresh);
			return result;
		}
		region->host = (uint8_t *)map + (region->host - old);
		region->map = map;
	}
	guest_memory_move(memory, ret_old);
	*memory = fresh;
	return 0;
}

void guest_memory_cut_off(struct guest_memory *memory)
{
	for (unsigned int i = 0; i < memory->count; i++) {
		const struct guest_region *region = &memory->regions[i];
		void *map = mmap(
			region->map, region->map_bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
			-1, 0);

		if (map == MAP_FAILED)
			log_warning("memory of a guest can't be let go: %s",
				    strerror(errno));
		else
			madvise(map, region->map_bytes, MADV_DONTDUMP);
	}
}

static const struct guest_region *region_find(struct guest_memory *memory,
					      uint64_t address)
{
	unsigned int index = memory->recent;

	for (unsigned int i = 0; i < memory->count; i++) {
		const struct guest_region *region = &memory->regions[index];

		if (address - region->guest_address < region->bytes) {
			memory->recent = index;
			return region;
		}
		index = index + 1 < memory->count ? index + 1 : 0;
	}
	return NULL;
}

int guest_memory_translate(struct guest_memory *memory, uint64_t address,
			   uint64_t bytes, struct iovec *ret_pieces,
			   unsigned int capacity)
{
	unsigned int count = 0;

	if (range_overflows(address, bytes))
		return -EFAULT;
	while (bytes > 0) {
		const struct guest_region *region =
			region_find(memory, address);
		uint64_t offset, piece;

		if (!region)
			return -EFAULT;
		if (count == capacity)
			return -E2BIG;
		offset = address - region->guest_address;
		piece = region->bytes - offset;
		if (piece > bytes)
			piece = bytes;
		ret_pieces[count].iov_base = region->host + offset;
		ret_pieces[count].iov_len = piece;
		count++;
		address += piece;
		bytes -= piece;
	}
	return (int)count;
}

void *guest_memory_user(const struct guest_memory *memory, uint64_t address,
			uint64_t bytes, size_t alignment)
{
	for (unsigned int i = 0; i < memory->count; i++) {
		const struct guest_region *region = &memory->regions[i];
		uint64_t offset = address - region->user_address;

		if (offset >= region->bytes || bytes > region->bytes - offset)
			continue;
		if ((uintptr_t)(region->host + offset) % alignment != 0)
			return NULL;
		return region->host + offset;
	}
	return NULL;
}

bool guest_memory_address(const struct guest_memory *memory, const void *host,
			  uint64_t *ret_address)
{
	for (unsigned int i = 0; i < memory->count; i++) {
		const struct guest_region *region = &memory->regions[i];
		uint64_t offset =
			(uint64_t)((uintptr_t)host - (uintptr_t)region->host);

		if (offset >= region->bytes)
			continue;
		*ret_address = region->guest_address + offset;
		return true;
	}
	return false;
}
