/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest_memory.h - the VM's memory as this process sees it.
 *
 * The VMM hands over regions by descriptor. Two kinds of foreign addresses are
 * translated: guest-physical ones (in descriptors of a virtqueue) and the
 * VMM's virtual ones (in the messages that place the rings). A translation
 * checks the whole range at once; memory that was checked stays mapped until
 * the region is removed, which its owner only does when nothing is in flight.
 *
 * A VMM can take memory back by truncating its file. What is read from it then
 * are zeros, and `lost` is set: nothing that was read counts any more.
 */
#ifndef FOREBAY_EXPORT_GUEST_MEMORY_H
#define FOREBAY_EXPORT_GUEST_MEMORY_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vhost_user_protocol.h"

/* What a VM with every memory slot of KVM in use needs, rounded up. */
#define GUEST_MEMORY_REGIONS_MAX 512u

struct guest_region {
	uint64_t guest_address;
	uint64_t bytes;
	uint64_t user_address;
	uint8_t *host; /* where guest_address is mapped */
	void *map;
	size_t map_bytes;
};

/* Zero it before the first use. */
struct guest_memory {
	unsigned int count;
	volatile sig_atomic_t lost; /* a region is gone */
	unsigned int recent; /* region of the last translation */
	struct guest_region regions[GUEST_MEMORY_REGIONS_MAX];
};

/*
 * Maps @region of the file @fd, which stays the caller's.
 * Returns: 0, -EINVAL (overflow, or beyond the end of the file), -EEXIST
 * (overlaps another one), -ENOSPC (too many) or an errno of mmap.
 */
int guest_memory_add(struct guest_memory *memory,
		     const struct vhost_user_region *region, int fd);
/* Returns: 0, or -ENOENT if no region is exactly this one. */
int guest_memory_remove(struct guest_memory *memory,
			const struct vhost_user_region *region);
void guest_memory_clear(struct guest_memory *memory);
/* Leaves @memory empty; its mappings are @ret_moved's. */
void guest_memory_move(struct guest_memory *memory,
		       struct guest_memory *ret_moved);

/*
 * Gives @memory mappings of its own beside those that it had, which @ret_old
 * gets: for those who still use them.
 * Returns: 0 or a negative errno: then nothing has changed.
 */
int guest_memory_split(struct guest_memory *memory,
		       struct guest_memory *ret_old);
/*
 * Puts private memory in the place of the guest's: reads and writes by these
 * mappings go on working and reach nobody.
 */
void guest_memory_cut_off(struct guest_memory *memory);

/*
 * Translates [@address, @address + @bytes), which may go on from one region to
 * the next, into at most @capacity pieces.
 * Returns: number of pieces, -EFAULT, or -E2BIG.
 */
int guest_memory_translate(struct guest_memory *memory, uint64_t address,
			   uint64_t bytes, struct iovec *ret_pieces,
			   unsigned int capacity);

/* The same for a range of the VMM's own addresses, within one region, aligned
 * to @alignment. Returns: NULL if it isn't. */
void *guest_memory_user(const struct guest_memory *memory, uint64_t address,
			uint64_t bytes, size_t alignment);

/*
 * Translates an address of this process back.
 * Returns: false if it is in no region.
 */
bool guest_memory_address(const struct guest_memory *memory, const void *host,
			  uint64_t *ret_address);

#endif
