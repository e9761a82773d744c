// SPDX-License-Identifier: Apache-2.0
/*
 * front.c - the VMM's part: memory, connection, negotiation, start and stop.
 *
 * Messages go out in QEMU's order, so that a back-end that serves this front
 * has met the order that matters.
 */
#include "front.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define BIT(number) (UINT64_C(1) << (number))
#define PAGE_BYTES ((size_t)4096)
#define HEADER_BYTES ((size_t)64) /* header and status, on one cache line */
#define TABLE_BYTES (sizeof(struct vring_desc) * (FRONT_SEGMENTS_MAX + 2u))
#define DIRECT_DESCRIPTORS 3u
/* Back-ends refuse to tell more than they have; this much all have. */
#define CONFIG_BYTES 60u

static size_t round_up(size_t bytes)
{
	return (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

static size_t available_offset(uint16_t size)
{
	return sizeof(struct vring_desc) * size;
}

static size_t used_offset(uint16_t size)
{
	/* Flags, index, ring, event; the used ring wants 4 bytes. */
	return available_offset(size) + sizeof(uint16_t) * (size + 4u);
}

static size_t rings_bytes(uint16_t size)
{
	return round_up(used_offset(size) + sizeof(uint16_t) * 3u +
			sizeof(struct vring_used_elem) * size);
}

/* Room for either kind: a packed ring's parts are shorter. */
static void queue_place(struct front_queue *queue, uint8_t *memory, bool packed)
{
	uint16_t size = queue->size;

	queue->packed = packed;
	if (packed) {
		queue->ring = (void *)memory;
		queue->driver_event = (void *)(memory + available_offset(size));
		queue->device_event = queue->driver_event + 1;
	} else {
		queue->descriptors = (void *)memory;
		queue->available = (void *)(memory + available_offset(size));
		queue->used = (void *)(memory + used_offset(size));
	}
}

static size_t slots_bytes(uint16_t size)
{
	return round_up((HEADER_BYTES + TABLE_BYTES) * size);
}

static void slots_free(struct front_queue *queue)
{
	queue->free_count = queue->slot_count;
	for (unsigned int i = 0; i < queue->slot_count; i++) {
		queue->slots[i].busy = false;
		/* The lowest numbers are taken first. */
		queue->free[i] = (uint16_t)(queue->slot_count - 1 - i);
	}
}

static int queue_layout(struct front_queue *queue,
			const struct front_options *options, uint8_t *memory)
{
	bool indirect = !options->no_indirect;
	uint16_t size = options->queue_size;
	uint8_t *slots = memory + rings_bytes(size);
	uint8_t *tables = slots + HEADER_BYTES * size;

	queue->size = size;
	queue_place(queue, memory, options->packed);
	queue->slot_count = indirect ? size : size / DIRECT_DESCRIPTORS;
	queue->slots = calloc(queue->slot_count, sizeof(*queue->slots));
	queue->free = calloc(queue->slot_count, sizeof(*queue->free));
	queue->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	queue->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!queue->slots || !queue->free || queue->kick_fd < 0 ||
	    queue->call_fd < 0)
		return -ENOMEM;
	for (unsigned int i = 0; i < queue->slot_count; i++) {
		struct front_slot *slot = &queue->slots[i];

		slot->header = (void *)(slots + HEADER_BYTES * i);
		slot->status = (uint8_t *)(slot->header + 1);
		slot->table = (void *)(tables + TABLE_BYTES * i);
		slot->number = (uint16_t)i;
		slot->descriptor =
			(uint16_t)(indirect ? i : i * DIRECT_DESCRIPTORS);
	}
	slots_free(queue);
	return 0;
}

static int memory_create(struct front *front)
{
	const struct front_options *options = &front->options;
	size_t each = rings_bytes(options->queue_size) +
		      slots_bytes(options->queue_size);

	front->data_offset = each * options->queue_count;
	front->memory_bytes =
		front->data_offset + round_up(options->data_bytes);
	if (options->two_regions)
		front->cut =
			front->data_offset + round_up(options->data_bytes) / 2 /
						     PAGE_BYTES * PAGE_BYTES;
	front->memory_fd = memfd_create("front", MFD_CLOEXEC);
	if (front->memory_fd < 0 ||
	    ftruncate(front->memory_fd, (off_t)front->memory_bytes) < 0)
		return -errno;
	front->memory = mmap(NULL, front->memory_bytes, PROT_READ | PROT_WRITE,
			     MAP_SHARED, front->memory_fd, 0);
	if (front->memory == MAP_FAILED) {
		front->memory = NULL;
		return -errno;
	}
	for (unsigned int i = 0; i < options->queue_count; i++) {
		int result = queue_layout(&front->queues[i], options,
					  front->memory + each * i);

		if (result < 0)
			return result;
	}
	return 0;
}

int front_create(const struct front_options *options, struct front **ret_front)
{
	struct front *front = calloc(1, sizeof(*front));
	int result;

	if (!front)
		return -ENOMEM;
	assert(options->queue_count > 0 &&
	       options->queue_count <= FRONT_QUEUES_MAX);
	front->options = *options;
	front->socket = -1;
	front->memory_fd = -1;
	front->inflight_fd = -1;
	front->log_fd = -1;
	for (unsigned int i = 0; i < FRONT_QUEUES_MAX; i++) {
		front->queues[i].kick_fd = -1;
		front->queues[i].call_fd = -1;
	}
	result = memory_create(front);
	if (result < 0) {
		front_destroy(front);
		return result;
	}
	*ret_front = front;
	return 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void front_destroy(struct front *front)
{
	if (!front)
		return;
	front_disconnect(front);
	for (unsigned int i = 0; i < FRONT_QUEUES_MAX; i++) {
		close_fd(&front->queues[i].kick_fd);
		close_fd(&front->queues[i].call_fd);
		free(front->queues[i].slots);
		free(front->queues[i].free);
	}
	if (front->memory)
		munmap(front->memory, front->memory_bytes);
	close_fd(&front->memory_fd);
	close_fd(&front->inflight_fd);
	if (front->log)
		munmap(front->log, front->log_bytes);
	close_fd(&front->log_fd);
	free(front);
}

void front_disconnect(struct front *front)
{
	close_fd(&front->socket);
	front->memory_given = false;
}

bool front_connected(const struct front *front)
{
	struct pollfd poll_fd = {.fd = front->socket, .events = POLLIN};

	/* The back-end never speaks first: readable means that it is gone. */
	return front->socket >= 0 && poll(&poll_fd, 1, 0) == 0;
}

void front_reset(struct front *front)
{
	memset(front->memory, 0, front->data_offset);
	close_fd(&front->inflight_fd);
	for (unsigned int i = 0; i < front->options.queue_count; i++) {
		struct front_queue *queue = &front->queues[i];

		queue->available_next = 0;
		queue->available_published = 0;
		queue->used_next = 0;
		queue->reaped = 0;
		slots_free(queue);
	}
}

uint8_t *front_data(const struct front *front)
{
	return front->memory + front->data_offset;
}

uint64_t front_guest_address(const struct front *front, const void *address)
{
	return FRONT_GUEST_BASE +
	       (uint64_t)((const uint8_t *)address - front->memory);
}

static int get_number(struct front *front, uint32_t type, uint64_t *ret_number)
{
	union vhost_user_payload answer;
	int result = front_send(front, &(struct front_message){.type = type});

	if (result < 0)
		return result;
	result = front_receive(front, type, &answer, NULL, NULL);
	if (result == 0)
		*ret_number = answer.number;
	return result;
}

static int set_number(struct front *front, uint32_t type, uint64_t number)
{
	return front_send(front, &(struct front_message){
					 .type = type,
					 .payload = &number,
					 .bytes = sizeof(number),
				 });
}

static int get_config(struct front *front)
{
	struct vhost_user_config config = {.bytes = CONFIG_BYTES};
	union vhost_user_payload answer;
	uint32_t bytes =
		(uint32_t)(VHOST_USER_CONFIG_HEADER_BYTES + config.bytes);
	int result = front_send(front, &(struct front_message){
					       .type = VHOST_USER_GET_CONFIG,
					       .payload = &config,
					       .bytes = bytes,
				       });

	if (result < 0)
		return result;
	result = front_receive(front, VHOST_USER_GET_CONFIG, &answer, &bytes,
			       NULL);
	if (result < 0)
		return result;
	if (bytes != VHOST_USER_CONFIG_HEADER_BYTES + CONFIG_BYTES)
		return -EPROTO;
	memcpy(&front->config, answer.config.region, CONFIG_BYTES);
	return 0;
}

/* What this front understands, less what its options leave out. */
static uint64_t wanted_features(const struct front_options *options)
{
	uint64_t features =
		BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_BLK_F_SEG_MAX) |
		BIT(VIRTIO_BLK_F_SIZE_MAX) | BIT(VIRTIO_BLK_F_BLK_SIZE) |
		BIT(VIRTIO_BLK_F_TOPOLOGY) | BIT(VIRTIO_BLK_F_MQ) |
		BIT(VIRTIO_BLK_F_RO) | BIT(VHOST_USER_F_PROTOCOL_FEATURES);

	if (!options->no_event_index)
		features |= BIT(VIRTIO_RING_F_EVENT_IDX);
	if (!options->no_indirect)
		features |= BIT(VIRTIO_RING_F_INDIRECT_DESC);
	if (options->packed)
		features |= BIT(VIRTIO_F_RING_PACKED);
	if (options->log)
		features |= BIT(VHOST_F_LOG_ALL);
	if (!options->no_flush)
		features |= BIT(VIRTIO_BLK_F_FLUSH);
	if (options->discards)
		features |= BIT(VIRTIO_BLK_F_DISCARD) |
			    BIT(VIRTIO_BLK_F_WRITE_ZEROES);
	if (options->cache_mode)
		features |= BIT(VIRTIO_BLK_F_CONFIG_WCE);
	return features;
}

static uint64_t wanted_protocol_features(const struct front_options *options)
{
	uint64_t features = BIT(VHOST_USER_PROTOCOL_F_MQ) |
			    BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |
			    BIT(VHOST_USER_PROTOCOL_F_CONFIG);

	if (!options->no_inflight)
		features |= BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD);
	if (options->log)
		features |= BIT(VHOST_USER_PROTOCOL_F_LOG_SHMFD);
	if (!options->memory_table)
		features |= BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
	return features;
}

int front_negotiate(struct front *front)
{
	uint64_t queues = 1;
	int result =
		get_number(front, VHOST_USER_GET_FEATURES, &front->features);

	if (result == 0)
		result = get_number(front, VHOST_USER_GET_PROTOCOL_FEATURES,
				    &front->protocol_features);
	front->features &= wanted_features(&front->options);
	front->protocol_features &= wanted_protocol_features(&front->options);
	/* Without a configuration space there is no block device. */
	if (result == 0 &&
	    !(front->protocol_features & BIT(VHOST_USER_PROTOCOL_F_CONFIG)))
		result = -ENODEV;
	if (result == 0)
		result = set_number(front, VHOST_USER_SET_PROTOCOL_FEATURES,
				    front->protocol_features);
	if (result == 0)
		result = get_number(front, VHOST_USER_GET_QUEUE_NUM, &queues);
	if (result == 0 && queues < front->options.queue_count)
		result = -ENOSPC;
	if (result == 0 && front->options.packed &&
	    !(front->features & BIT(VIRTIO_F_RING_PACKED)))
		result = -EOPNOTSUPP;
	if (result == 0)
		result = front_send(front, &(struct front_message){
						   .type = VHOST_USER_SET_OWNER,
					   });
	return result == 0 ? get_config(front) : result;
}

static void fill_region(const struct front *front, size_t offset, size_t bytes,
			struct vhost_user_region *ret_region)
{
	*ret_region = (struct vhost_user_region){
		.guest_address = FRONT_GUEST_BASE + offset,
		.bytes = bytes,
		.user_address = (uintptr_t)front->memory + offset,
		.mmap_offset = offset,
	};
}

static int give_memory(struct front *front)
{
	struct vhost_user_memory_table table = {.count = front->cut ? 2 : 1};
	size_t first = front->cut ? front->cut : front->memory_bytes;
	const int fds[] = {front->memory_fd, front->memory_fd};
	int result = 0;

	fill_region(front, 0, first, &table.regions[0]);
	fill_region(front, first, front->memory_bytes - first,
		    &table.regions[1]);
	if (!(front->protocol_features &
	      BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS)))
		return front_acknowledged(
			front, &(struct front_message){
				       .type = VHOST_USER_SET_MEM_TABLE,
				       .payload = &table,
				       .bytes = sizeof(table),
				       .fds = fds,
				       .fd_count = table.count,
			       });
	for (uint32_t i = 0; i < table.count && result == 0; i++) {
		struct vhost_user_memory_slot slot = {
			.region = table.regions[i],
		};

		result = front_acknowledged(
			front, &(struct front_message){
				       .type = VHOST_USER_ADD_MEM_REG,
				       .payload = &slot,
				       .bytes = sizeof(slot),
				       .fds = fds,
				       .fd_count = 1,
			       });
	}
	return result;
}

static int give_inflight(struct front *front)
{
	struct front_message message = {
		.type = VHOST_USER_GET_INFLIGHT_FD,
		.payload = &front->inflight,
		.bytes = sizeof(front->inflight),
	};
	int result;

	if (!(front->protocol_features &
	      BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD)))
		return 0;
	if (front->inflight_fd < 0) {
		union vhost_user_payload answer;

		front->inflight = (struct vhost_user_inflight){
			.queue_count = (uint16_t)front->options.queue_count,
			.queue_size = front->options.queue_size,
		};
		result = front_send(front, &message);
		if (result == 0)
			result = front_receive(front, message.type, &answer,
					       NULL, &front->inflight_fd);
		if (result < 0)
			return result;
		front->inflight = answer.inflight;
	}
	message.type = VHOST_USER_SET_INFLIGHT_FD;
	message.fds = &front->inflight_fd;
	message.fd_count = 1;
	return front_acknowledged(front, &message);
}

static int set_state(struct front *front, uint32_t type, unsigned int index,
		     unsigned int number)
{
	struct vhost_user_vring_state state = {
		.index = index,
		.number = number,
	};

	return front_send(front, &(struct front_message){
					 .type = type,
					 .payload = &state,
					 .bytes = sizeof(state),
				 });
}

static int give_event(struct front *front, uint32_t type, unsigned int index,
		      int fd)
{
	uint64_t number = index;

	return front_acknowledged(front, &(struct front_message){
						 .type = type,
						 .payload = &number,
						 .bytes = sizeof(number),
						 .fds = &fd,
						 .fd_count = 1,
					 });
}

/* Where the parts of @index are; logged if the front logs. */
static int give_address(struct front *front, unsigned int index)
{
	const struct front_queue *queue = &front->queues[index];
	struct vhost_user_vring_address address = {
		.index = index,
		.flags = front->logging ? VHOST_USER_VRING_LOG : 0,
	};
	const void *device =
		queue->packed ? (const void *)queue->device_event : queue->used;

	address.descriptor = queue->packed ? (uintptr_t)queue->ring
					   : (uintptr_t)queue->descriptors;
	address.available = queue->packed ? (uintptr_t)queue->driver_event
					  : (uintptr_t)queue->available;
	address.used = (uintptr_t)device;
	address.log = front_guest_address(front, device);
	return front_acknowledged(front,
				  &(struct front_message){
					  .type = VHOST_USER_SET_VRING_ADDR,
					  .payload = &address,
					  .bytes = sizeof(address),
				  });
}

static int give_queue(struct front *front, unsigned int index)
{
	const struct front_queue *queue = &front->queues[index];
	int result =
		set_state(front, VHOST_USER_SET_VRING_NUM, index, queue->size);

	/* A back-end that dies loses count; the rings don't. */
	if (result == 0)
		result = set_state(front, VHOST_USER_SET_VRING_BASE, index,
				   front_base(queue));
	if (result == 0)
		result = give_address(front, index);
	if (result == 0)
		result = give_event(front, VHOST_USER_SET_VRING_KICK, index,
				    queue->kick_fd);
	return result;
}

/* Device features without logging, which begins and ends by itself. */
static int give_features(struct front *front)
{
	uint64_t features = front->features;

	if (!front->logging)
		features &= ~BIT(VHOST_F_LOG_ALL);
	return set_number(front, VHOST_USER_SET_FEATURES, features);
}

static int log_create(struct front *front)
{
	uint64_t pages = (FRONT_GUEST_BASE + front->memory_bytes) / PAGE_BYTES;

	if (front->log)
		return 0;
	front->log_bytes = round_up(pages / 8 + 1);
	front->log_fd = memfd_create("log", MFD_CLOEXEC);
	if (front->log_fd < 0 ||
	    ftruncate(front->log_fd, (off_t)front->log_bytes) < 0)
		return -errno;
	front->log = mmap(NULL, front->log_bytes, PROT_READ | PROT_WRITE,
			  MAP_SHARED, front->log_fd, 0);
	if (front->log == MAP_FAILED) {
		front->log = NULL;
		return -errno;
	}
	return 0;
}

static int give_log(struct front *front)
{
	const struct vhost_user_log log = {.mmap_bytes = front->log_bytes};
	union vhost_user_payload answer;
	int result = front_send(front, &(struct front_message){
					       .type = VHOST_USER_SET_LOG_BASE,
					       .payload = &log,
					       .bytes = sizeof(log),
					       .fds = &front->log_fd,
					       .fd_count = 1,
				       });

	if (result == 0)
		result = front_receive(front, VHOST_USER_SET_LOG_BASE, &answer,
				       NULL, NULL);
	return result == 0 && answer.number != 0 ? -EREMOTEIO : result;
}

/* As QEMU does it while the queues run: features, then their addresses. */
static int log_switch(struct front *front)
{
	int result = give_features(front);

	for (unsigned int i = 0; i < front->options.queue_count && result == 0;
	     i++)
		result = give_address(front, i);
	return result;
}

int front_log_start(struct front *front)
{
	int result = log_create(front);

	if (result == 0)
		result = give_log(front);
	if (result < 0)
		return result;
	front->logging = true;
	return log_switch(front);
}

int front_log_stop(struct front *front)
{
	front->logging = false;
	return log_switch(front);
}

bool front_log_take(struct front *front, uint64_t address)
{
	uint64_t page = address / PAGE_BYTES;
	uint8_t bit = (uint8_t)(1u << page % 8);

	return __atomic_fetch_and(&front->log[page / 8], (uint8_t)~bit,
				  __ATOMIC_SEQ_CST) &
	       bit;
}

int front_start(struct front *front)
{
	unsigned int count = front->options.queue_count;
	int result = give_features(front);

	for (unsigned int i = 0; i < count; i++)
		front->queues[i].event_index =
			front->features & BIT(VIRTIO_RING_F_EVENT_IDX);
	if (result == 0)
		result = give_inflight(front);
	if (result == 0 && front->logging)
		result = give_log(front);
	for (unsigned int i = 0; i < count && result == 0; i++)
		result = give_event(front, VHOST_USER_SET_VRING_CALL, i,
				    front->queues[i].call_fd);
	if (result == 0 && !front->memory_given)
		result = give_memory(front);
	front->memory_given = result == 0;
	for (unsigned int i = 0; i < count && result == 0; i++)
		result = give_queue(front, i);
	for (unsigned int i = 0; i < count && result == 0; i++)
		result = set_state(front, VHOST_USER_SET_VRING_ENABLE, i, 1);
	/* What was published while nobody listened. */
	for (unsigned int i = 0; i < count && result == 0; i++)
		eventfd_write(front->queues[i].kick_fd, 1);
	return result;
}

int front_connect(struct front *front)
{
	int result = front_dial(front);

	if (result == 0)
		result = front_negotiate(front);
	if (result == 0)
		result = front_start(front);
	if (result < 0)
		front_disconnect(front);
	return result;
}

int front_stop(struct front *front)
{
	unsigned int count = front->options.queue_count;
	int result = 0;

	for (unsigned int i = 0; i < count && result == 0; i++)
		result = set_state(front, VHOST_USER_SET_VRING_ENABLE, i, 0);
	for (unsigned int i = 0; i < count && result == 0; i++) {
		union vhost_user_payload answer;

		result = set_state(front, VHOST_USER_GET_VRING_BASE, i, 0);
		if (result == 0)
			result = front_receive(front, VHOST_USER_GET_VRING_BASE,
					       &answer, NULL, NULL);
		/* Stopped means: all that was taken has been returned. */
		if (result == 0 &&
		    answer.vring_state.number != front_base(&front->queues[i]))
			result = -EPROTO;
	}
	return result;
}
