// SPDX-License-Identifier: Apache-2.0
/*
 * kept_memory.c - the table of memfds that this process keeps for filters.
 *
 * A list walked from its head: it is asked once when a disk opens.
 */
#include "kept_memory.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "failpoint.h"
#include "fd.h"

#define KEPT_MEMORY_PAGE_BYTES 4096u

struct kept_item {
	struct list node;
	uint8_t uuid[UUID_BYTES];
	char name[KEPT_MEMORY_NAME_BYTES];
	uint64_t bytes;
	int fd;
};

void kept_memory_init(struct kept_memory *kept)
{
	list_init(&kept->items);
	kept->count = 0;
}

static void item_remove(struct kept_memory *kept, struct kept_item *item)
{
	list_remove(&item->node);
	kept->count--;
	fd_close(item->fd);
	free(item);
}

void kept_memory_clear(struct kept_memory *kept)
{
	list_for_each_safe (node, &kept->items)
		item_remove(kept, list_entry(node, struct kept_item, node));
}

void kept_memory_forget(struct kept_memory *kept,
			const uint8_t uuid[UUID_BYTES])
{
	list_for_each_safe (node, &kept->items) {
		struct kept_item *item =
			list_entry(node, struct kept_item, node);

		if (memcmp(item->uuid, uuid, UUID_BYTES) == 0)
			item_remove(kept, item);
	}
}

uint64_t kept_memory_bytes(const struct kept_memory *kept)
{
	uint64_t bytes = 0;

	list_for_each (node, &kept->items)
		bytes += list_entry(node, struct kept_item, node)->bytes;
	return bytes;
}

static int memory_make(const char *name, uint64_t bytes, int *ret_fd)
{
	_cleanup_fd_ int fd =
		memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) <
		    0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int item_add(struct kept_memory *kept, const uint8_t uuid[UUID_BYTES],
		    const char *name, uint64_t bytes, int *ret_fd)
{
	struct kept_item *item;
	int status;

	item = calloc(1, sizeof(*item));
	if (!item)
		return -ENOMEM;
	status = memory_make(name, bytes, &item->fd);
	if (status < 0) {
		free(item);
		return status;
	}
	memcpy(item->uuid, uuid, UUID_BYTES);
	snprintf(item->name, sizeof(item->name), "%s", name);
	item->bytes = bytes;
	list_append(&kept->items, &item->node);
	kept->count++;
	*ret_fd = item->fd;
	failpoint(FAILPOINT_KEPT_MADE);
	return 0;
}

int kept_memory_get(struct kept_memory *kept, const uint8_t uuid[UUID_BYTES],
		    const char *name, uint64_t bytes, int *ret_fd)
{
	unsigned int disk_names = 0;
	uint64_t disk_bytes = 0;

	assert(strlen(name) < KEPT_MEMORY_NAME_BYTES);
	if (bytes == 0 || bytes % KEPT_MEMORY_PAGE_BYTES != 0)
		return -EINVAL;
	list_for_each_safe (node, &kept->items) {
		struct kept_item *item =
			list_entry(node, struct kept_item, node);

		if (memcmp(item->uuid, uuid, UUID_BYTES) != 0)
			continue;
		if (strcmp(item->name, name) != 0) {
			disk_names++;
			disk_bytes += item->bytes;
		} else if (item->bytes != bytes) {
			item_remove(kept, item);
		} else {
			*ret_fd = item->fd;
			return 0;
		}
	}
	if (disk_names >= KEPT_MEMORY_NAMES_PER_DISK_MAX ||
	    kept->count >= KEPT_MEMORY_DISKS_NAMES_MAX ||
	    bytes > KEPT_MEMORY_BYTES_PER_DISK_MAX - disk_bytes)
		return -ENOSPC;
	return item_add(kept, uuid, name, bytes, ret_fd);
}
