// SPDX-License-Identifier: Apache-2.0
/*
 * vhost_handlers.c - what each message does to a device.
 *
 * Runs on the disk's loop. Messages come from the VMM, which is not trusted:
 * each handler gets a payload whose least size its table entry has checked,
 * with zeros behind what was sent, and checks the rest itself. What QEMU
 * relies on beyond the specification:
 *
 *   - firmware starts and stops the device with one queue before the guest's
 *     kernel starts it with all; VRING_ENABLE comes for all queues each time;
 *   - GET_VRING_BASE returns only when the queue is idle (its answer hands
 *     the disk to the other host in a migration);
 *   - a reset takes neither the memory nor the cache mode away: QEMU gives the
 *     memory once a connection, and goes on showing the mode to the driver;
 *   - GET_INFLIGHT_FD comes after each device reset, SET_INFLIGHT_FD before
 *     each start, with the region that the VMM kept;
 *   - a migration begins with SET_LOG_BASE, SET_FEATURES and SET_VRING_ADDR
 *     for queues that run; the log grows before the memory does.
 */
#include "vhost_handlers.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhost_log.h"

#define PROTOCOL_FEATURES                            \
	(BIT(VHOST_USER_PROTOCOL_F_MQ) |             \
	 BIT(VHOST_USER_PROTOCOL_F_LOG_SHMFD) |      \
	 BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |      \
	 BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) |    \
	 BIT(VHOST_USER_PROTOCOL_F_CONFIG) |         \
	 BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD) | \
	 BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE) |   \
	 BIT(VHOST_USER_PROTOCOL_F_STATUS) |         \
	 BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS))

static struct vhost_queue *queue_at(struct vhost_device *device, uint32_t index)
{
	return index < device->queue_count ? &device->queues[index] : NULL;
}

static int answer_number(struct vhost_message *message, uint64_t number)
{
	message->payload.number = number;
	message->header.bytes = sizeof(number);
	return 0;
}

static int do_nothing(struct vhost_device *device,
		      struct vhost_message *message)
{
	(void)device;
	(void)message;
	return 0;
}

/*
 * After each change of what it depends on. Without FLUSH nobody could ask for
 * it later (virtio 1.2, 5.2.6.2).
 */
static void durability_decide(struct vhost_device *device)
{
	struct vhost_shared *shared = &device->shared;
	bool flushes = shared->features & BIT(VIRTIO_BLK_F_FLUSH);
	bool chooses = shared->features & BIT(VIRTIO_BLK_F_CONFIG_WCE);

	shared->writes_durable = !flushes || (chooses && !shared->writeback);
	inflight_file_set_cache_mode(&device->inflight, shared->writeback);
}

/*
 * After each change of what it depends on. What we write and don't mark is
 * lost in a migration, so a log has to reach over all that we may write. One
 * that doesn't is refused, and marked as far as it reaches: a VMM may go on
 * after a refusal.
 * Returns: 0, or -EINVAL if it doesn't.
 */
static int logging_decide(struct vhost_device *device)
{
	struct vhost_shared *shared = &device->shared;
	struct dirty_log *log = &shared->log;

	log->active = log->bits && shared->features & BIT(VHOST_F_LOG_ALL);
	if (!log->active)
		return 0;
	for (unsigned int i = 0; i < shared->memory.count; i++) {
		const struct guest_region *region = &shared->memory.regions[i];

		if (!dirty_log_covers(log, region->guest_address,
				      region->bytes))
			return -EINVAL;
	}
	for (unsigned int i = 0; i < device->queue_count; i++)
		if (!vhost_log_covers_ring(&device->queues[i]))
			return -EINVAL;
	return 0;
}

/*
 * Order: all queues are idle. Broken ones can start again. cloud-hypervisor
 * sends RESET_OWNER and starts the queues anew, without GET_VRING_BASE.
 */
static int reset_device(struct vhost_device *device,
			struct vhost_message *message)
{
	(void)message;
	for (unsigned int i = 0; i < device->queue_count; i++)
		vhost_queue_reset(&device->queues[i]);
	device->status = 0;
	return 0;
}

static int set_status(struct vhost_device *device,
		      struct vhost_message *message)
{
	uint64_t status = message->payload.number;

	if (status > UINT8_MAX)
		return -EINVAL;
	if (status == 0)
		return reset_device(device, message);
	device->status = (uint8_t)status;
	return 0;
}

static int get_status(struct vhost_device *device,
		      struct vhost_message *message)
{
	return answer_number(message, device->status);
}

static int get_features(struct vhost_device *device,
			struct vhost_message *message)
{
	return answer_number(message, device->features_offered);
}

static int set_features(struct vhost_device *device,
			struct vhost_message *message)
{
	uint64_t features = message->payload.number;

	if (features & ~device->features_offered)
		return -EINVAL;
	device->shared.features = features;
	/* As the specification has it; who can't flush has no such cache. */
	if (features & BIT(VIRTIO_BLK_F_CONFIG_WCE) &&
	    !(features & BIT(VIRTIO_BLK_F_FLUSH)))
		device->shared.writeback = false;
	durability_decide(device);
	return logging_decide(device);
}

static int get_protocol_features(struct vhost_device *device,
				 struct vhost_message *message)
{
	(void)device;
	return answer_number(message, PROTOCOL_FEATURES);
}

static int set_protocol_features(struct vhost_device *device,
				 struct vhost_message *message)
{
	if (message->payload.number & ~PROTOCOL_FEATURES)
		return -EINVAL;
	device->protocol_features = message->payload.number;
	return 0;
}

static int get_queue_num(struct vhost_device *device,
			 struct vhost_message *message)
{
	return answer_number(message, device->queue_count);
}

static int get_max_mem_slots(struct vhost_device *device,
			     struct vhost_message *message)
{
	(void)device;
	return answer_number(message, GUEST_MEMORY_REGIONS_MAX);
}

static int set_mem_table(struct vhost_device *device,
			 struct vhost_message *message)
{
	const struct vhost_user_memory_table *table =
		&message->payload.memory_table;
	struct guest_memory *memory = &device->shared.memory;

	if (table->count > VHOST_USER_TABLE_REGIONS_MAX ||
	    table->count != message->fd_count ||
	    message->header.bytes <
		    offsetof(struct vhost_user_memory_table, regions) +
			    sizeof(table->regions[0]) * table->count)
		return -EINVAL;
	guest_memory_clear(memory);
	for (uint32_t i = 0; i < table->count; i++) {
		int result = guest_memory_add(memory, &table->regions[i],
					      message->fds[i]);

		if (result < 0)
			return result;
	}
	return logging_decide(device);
}

static int add_mem_reg(struct vhost_device *device,
		       struct vhost_message *message)
{
	const struct vhost_user_region *region =
		&message->payload.memory_slot.region;
	struct guest_memory *memory = &device->shared.memory;
	int result;

	if (message->fd_count != 1)
		return -EINVAL;
	result = guest_memory_add(memory, region, message->fds[0]);
	if (result < 0)
		return result;
	result = logging_decide(device);
	if (result < 0)
		guest_memory_remove(memory, region);
	return result;
}

static int rem_mem_reg(struct vhost_device *device,
		       struct vhost_message *message)
{
	return guest_memory_remove(&device->shared.memory,
				   &message->payload.memory_slot.region);
}

static int set_log_base(struct vhost_device *device,
			struct vhost_message *message)
{
	const struct vhost_user_log *log = &message->payload.log;
	int result;

	if (message->fd_count != 1)
		return -EINVAL;
	result = dirty_log_map(&device->shared.log, message->fds[0],
			       log->mmap_offset, log->mmap_bytes);
	if (result == 0)
		result = logging_decide(device);
	if (result < 0)
		return result;
	/* QEMU that comes back in a migration starts the queues first. */
	for (unsigned int i = 0; i < device->queue_count; i++)
		if (device->shared.log.active && device->queues[i].started)
			vhost_log_ring(&device->queues[i]);
	vhost_message_close_fds(message);
	return answer_number(message, 0);
}

static int set_vring_num(struct vhost_device *device,
			 struct vhost_message *message)
{
	const struct vhost_user_vring_state *state =
		&message->payload.vring_state;
	struct vhost_queue *queue = queue_at(device, state->index);

	bool packed = device->shared.features & BIT(VIRTIO_F_RING_PACKED);

	if (!queue || state->number == 0 ||
	    state->number > VIRTQUEUE_SIZE_MAX ||
	    (!packed && (state->number & (state->number - 1)) != 0))
		return -EINVAL;
	if (queue->started)
		return -EBUSY;
	queue->ring.size = (uint16_t)state->number;
	return 0;
}

static int set_vring_addr(struct vhost_device *device,
			  struct vhost_message *message)
{
	const struct vhost_user_vring_address *address =
		&message->payload.vring_address;
	struct vhost_queue *queue = queue_at(device, address->index);

	if (!queue || address->flags & ~VHOST_USER_VRING_LOG)
		return -EINVAL;
	/* QEMU switches logging on and off while they run. */
	if (queue->started &&
	    (queue->descriptors_address != address->descriptor ||
	     queue->available_address != address->available ||
	     queue->used_address != address->used))
		return -EBUSY;
	queue->descriptors_address = address->descriptor;
	queue->available_address = address->available;
	queue->used_address = address->used;
	queue->user_address_set = true;
	queue->log_ring = address->flags & VHOST_USER_VRING_LOG;
	queue->log_address = address->log;
	return logging_decide(device);
}

/*
 * A split queue doesn't need it: the used ring in memory says the same, and is
 * right after a crash too.
 */
static int set_vring_base(struct vhost_device *device,
			  struct vhost_message *message)
{
	const struct vhost_user_vring_state *state =
		&message->payload.vring_state;
	struct vhost_queue *queue = queue_at(device, state->index);

	if (!queue)
		return -EINVAL;
	if (queue->started)
		return -EBUSY;
	queue->base = state->number;
	queue->base_set = true;
	return 0;
}

static int get_vring_base(struct vhost_device *device,
			  struct vhost_message *message)
{
	struct vhost_user_vring_state *state = &message->payload.vring_state;
	struct vhost_queue *queue = queue_at(device, state->index);

	if (!queue)
		return -EINVAL;
	state->number = vhost_queue_stop(queue);
	message->header.bytes = sizeof(*state);
	return 0;
}

static int set_vring_enable(struct vhost_device *device,
			    struct vhost_message *message)
{
	const struct vhost_user_vring_state *state =
		&message->payload.vring_state;
	struct vhost_queue *queue = queue_at(device, state->index);

	if (!queue || state->number > 1)
		return -EINVAL;
	vhost_queue_enable(queue, state->number == 1);
	return 0;
}

/*
 * An eventfd has no type of file. One that was opened by O_PATH alone can't be
 * waited for, and one that lets its writer wait would stop the disk when its
 * counter is full.
 */
static bool event_prepare(int fd, bool written)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat status;

	if (flags < 0 || flags & O_PATH || fstat(fd, &status) < 0 ||
	    (status.st_mode & S_IFMT) != 0)
		return false;
	return !written || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

/*
 * Returns: the queue that a message about an eventfd is for, or NULL. *ret_fd
 * is the caller's in either case.
 */
static struct vhost_queue *vring_event(struct vhost_device *device,
				       struct vhost_message *message,
				       int *ret_fd)
{
	uint64_t number = message->payload.number;
	bool has_fd = !(number & VHOST_USER_VRING_NO_FD);

	if (message->fd_count != has_fd)
		return NULL;
	*ret_fd = vhost_message_take_fd(message, 0);
	if (has_fd &&
	    !event_prepare(*ret_fd,
			   message->header.type != VHOST_USER_SET_VRING_KICK))
		return NULL;
	return queue_at(device, number & VHOST_USER_VRING_INDEX_MASK);
}

static int set_vring_kick(struct vhost_device *device,
			  struct vhost_message *message)
{
	int fd = -1;
	struct vhost_queue *queue = vring_event(device, message, &fd);

	if (!queue || fd < 0) { /* busy polling for ever isn't offered */
		if (fd >= 0)
			close(fd);
		return -EINVAL;
	}
	/* Without protocol features there is no message that enables it. */
	if (!(device->shared.features & BIT(VHOST_USER_F_PROTOCOL_FEATURES)))
		vhost_queue_enable(queue, true);
	return vhost_queue_set_kick(queue, fd);
}

static int set_vring_call(struct vhost_device *device,
			  struct vhost_message *message)
{
	int fd = -1;
	struct vhost_queue *queue = vring_event(device, message, &fd);

	if (queue)
		vhost_queue_set_call(queue, fd);
	else if (fd >= 0)
		close(fd);
	return queue ? 0 : -EINVAL;
}

static int set_vring_err(struct vhost_device *device,
			 struct vhost_message *message)
{
	int fd = -1;
	struct vhost_queue *queue = vring_event(device, message, &fd);

	if (queue)
		vhost_queue_set_error(queue, fd);
	else if (fd >= 0)
		close(fd);
	return queue ? 0 : -EINVAL;
}

static int set_backend_req_fd(struct vhost_device *device,
			      struct vhost_message *message)
{
	if (message->fd_count != 1)
		return -EINVAL;
	if (device->backend_fd >= 0)
		close(device->backend_fd);
	device->backend_fd = vhost_message_take_fd(message, 0);
	return 0;
}

/* All that the messages can reach, with zeros behind what there is. */
static void config_bytes(const struct vhost_device *device,
			 uint8_t ret_bytes[VHOST_USER_CONFIG_BYTES_MAX])
{
	const struct virtio_blk_facts facts = {
		.model = device->shared.model,
		.size_bytes = device->size_bytes,
		.queue_count = (uint16_t)device->queue_count,
		.writeback = device->shared.writeback,
	};
	struct virtio_blk_config config;

	static_assert(sizeof(config) <= VHOST_USER_CONFIG_BYTES_MAX,
		      "config space fits");
	virtio_blk_config_fill(&facts, &config);
	memset(ret_bytes, 0, VHOST_USER_CONFIG_BYTES_MAX);
	memcpy(ret_bytes, &config, sizeof(config));
}

static bool config_range_valid(const struct vhost_user_config *config)
{
	return config->bytes <= VHOST_USER_CONFIG_BYTES_MAX &&
	       config->offset <= VHOST_USER_CONFIG_BYTES_MAX - config->bytes;
}

static int get_config(struct vhost_device *device,
		      struct vhost_message *message)
{
	struct vhost_user_config *asked = &message->payload.config;
	uint8_t bytes[VHOST_USER_CONFIG_BYTES_MAX];

	if (!config_range_valid(asked)) {
		message->header.bytes = 0; /* the specified refusal */
		return 0;
	}
	config_bytes(device, bytes);
	memcpy(asked->region, bytes + asked->offset, asked->bytes);
	message->header.bytes =
		(uint32_t)VHOST_USER_CONFIG_HEADER_BYTES + asked->bytes;
	return 0;
}

#define WRITEBACK_OFFSET (uint32_t) offsetof(struct virtio_blk_config, wce)

/*
 * Which value of `writeback` a SET_CONFIG wants, -1 if it leaves it alone, or a
 * negative errno below that. A driver may write that byte and no other; a VMM
 * that restores a migrated device may send all of them, if they are ours.
 */
static int config_parse(const struct vhost_device *device,
			const struct vhost_user_config *asked)
{
	uint8_t bytes[VHOST_USER_CONFIG_BYTES_MAX];
	uint32_t at = WRITEBACK_OFFSET - asked->offset;
	int wanted = -1;

	config_bytes(device, bytes);
	if (asked->offset <= WRITEBACK_OFFSET && at < asked->bytes) {
		wanted = asked->region[at];
		bytes[WRITEBACK_OFFSET] = asked->region[at];
	}
	if (wanted > 1)
		return -EINVAL;
	if (asked->flags == VHOST_USER_CONFIG_WRITABLE)
		return wanted >= 0 && asked->bytes == 1 ? wanted : -EROFS;
	if (asked->flags > VHOST_USER_CONFIG_MIGRATION_RUST ||
	    memcmp(asked->region, bytes + asked->offset, asked->bytes) != 0)
		return -EINVAL;
	return wanted;
}

/*
 * QEMU sends this before SET_FEATURES when the driver writes before it starts
 * the device, so it counts what is offered; what is accepted decides whether
 * the byte has an effect.
 */
static int set_config(struct vhost_device *device,
		      struct vhost_message *message)
{
	const struct vhost_user_config *asked = &message->payload.config;
	int wanted;

	if (!(device->features_offered & BIT(VIRTIO_BLK_F_CONFIG_WCE)))
		return -EROFS;
	if (!config_range_valid(asked) ||
	    message->header.bytes <
		    VHOST_USER_CONFIG_HEADER_BYTES + asked->bytes)
		return -EINVAL;
	wanted = config_parse(device, asked);
	if (wanted < -1)
		return wanted;
	if (wanted >= 0)
		device->shared.writeback = wanted == 1;
	durability_decide(device);
	return 0;
}

static int get_inflight_fd(struct vhost_device *device,
			   struct vhost_message *message)
{
	struct vhost_user_inflight *shape = &message->payload.inflight;
	uint64_t bytes = 0;
	int fd;

	if (shape->queue_count > device->queue_count)
		return -EINVAL;
	fd = inflight_file_create(shape->queue_count, shape->queue_size,
				  &bytes);
	if (fd < 0)
		return fd;
	shape->mmap_bytes = bytes;
	shape->mmap_offset = 0;
	vhost_message_close_fds(message);
	message->fds[0] = fd;
	message->fd_count = 1;
	return 0;
}

/*
 * A VMM that comes back after this process was killed doesn't send again what
 * the driver has set, and shows the driver what it has kept.
 */
static void cache_mode_restore(struct vhost_device *device)
{
	enum inflight_cache_mode mode =
		inflight_file_cache_mode(&device->inflight);

	if (mode != INFLIGHT_CACHE_UNKNOWN)
		device->shared.writeback = mode == INFLIGHT_CACHE_WRITEBACK;
	durability_decide(device);
}

static int set_inflight_fd(struct vhost_device *device,
			   struct vhost_message *message)
{
	const struct vhost_user_inflight *shape = &message->payload.inflight;
	struct inflight_file file;
	int result;

	if (message->fd_count != 1 || shape->queue_count > device->queue_count)
		return -EINVAL;
	if (vhost_device_started_queues(device) > 0)
		return -EBUSY;
	file.queue_count = shape->queue_count;
	file.queue_size = shape->queue_size;
	file.packed = device->shared.features & BIT(VIRTIO_F_RING_PACKED);
	result = inflight_file_map(&file, message->fds[0], shape->mmap_offset,
				   shape->mmap_bytes);
	if (result < 0)
		return result;
	inflight_file_unmap(&device->inflight);
	device->inflight = file;
	vhost_trial_find(&device->shared.trial, file.device);
	cache_mode_restore(device);
	for (unsigned int i = 0; i < device->queue_count; i++) {
		device->queues[i].inflight_region =
			inflight_file_region(&device->inflight, i);
		device->queues[i].inflight_size = shape->queue_size;
		device->queues[i].inflight_packed = file.packed;
	}
	return 0;
}

#define NUMBER_BYTES (uint32_t)sizeof(uint64_t)
#define STATE_BYTES (uint32_t)sizeof(struct vhost_user_vring_state)
#define LOG_BYTES (uint32_t)sizeof(struct vhost_user_log)
#define SLOT_BYTES (uint32_t)sizeof(struct vhost_user_memory_slot)
/* Some front-ends leave the padding at its end out. */
#define INFLIGHT_BYTES (uint32_t) offsetof(struct vhost_user_inflight, padding)

static const struct vhost_handling handlings[] = {
	[VHOST_USER_GET_FEATURES] = {get_features, .answers = true},
	[VHOST_USER_SET_FEATURES] = {set_features, NUMBER_BYTES},
	[VHOST_USER_SET_OWNER] = {do_nothing},
	[VHOST_USER_RESET_OWNER] = {reset_device, 0, VHOST_HOLD_ALL},
	[VHOST_USER_SET_MEM_TABLE] = {set_mem_table, 2 * sizeof(uint32_t),
				      VHOST_HOLD_ALL},
	[VHOST_USER_SET_LOG_BASE] = {set_log_base, LOG_BYTES, .answers = true},
	/* An event for each change of the log would only cost. */
	[VHOST_USER_SET_LOG_FD] = {do_nothing},
	[VHOST_USER_SET_VRING_NUM] = {set_vring_num, STATE_BYTES},
	[VHOST_USER_SET_VRING_ADDR] = {set_vring_addr,
				       sizeof(struct vhost_user_vring_address)},
	[VHOST_USER_SET_VRING_BASE] = {set_vring_base, STATE_BYTES},
	[VHOST_USER_GET_VRING_BASE] = {get_vring_base, STATE_BYTES,
				       VHOST_HOLD_ONE, .answers = true},
	[VHOST_USER_SET_VRING_KICK] = {set_vring_kick, NUMBER_BYTES},
	[VHOST_USER_SET_VRING_CALL] = {set_vring_call, NUMBER_BYTES},
	[VHOST_USER_SET_VRING_ERR] = {set_vring_err, NUMBER_BYTES},
	[VHOST_USER_GET_PROTOCOL_FEATURES] = {get_protocol_features,
					      .answers = true},
	[VHOST_USER_SET_PROTOCOL_FEATURES] = {set_protocol_features,
					      NUMBER_BYTES},
	[VHOST_USER_GET_QUEUE_NUM] = {get_queue_num, .answers = true},
	[VHOST_USER_SET_VRING_ENABLE] = {set_vring_enable, STATE_BYTES},
	[VHOST_USER_SET_BACKEND_REQ_FD] = {set_backend_req_fd},
	[VHOST_USER_GET_CONFIG] = {get_config,
				   (uint32_t)VHOST_USER_CONFIG_HEADER_BYTES,
				   .answers = true},
	[VHOST_USER_SET_CONFIG] = {set_config,
				   (uint32_t)VHOST_USER_CONFIG_HEADER_BYTES},
	[VHOST_USER_GET_INFLIGHT_FD] = {get_inflight_fd, INFLIGHT_BYTES,
					.answers = true},
	[VHOST_USER_SET_INFLIGHT_FD] = {set_inflight_fd, INFLIGHT_BYTES},
	[VHOST_USER_RESET_DEVICE] = {reset_device, 0, VHOST_HOLD_ALL},
	[VHOST_USER_SET_STATUS] = {set_status, NUMBER_BYTES, VHOST_HOLD_RESET},
	[VHOST_USER_GET_STATUS] = {get_status, .answers = true},
	[VHOST_USER_GET_MAX_MEM_SLOTS] = {get_max_mem_slots, .answers = true},
	[VHOST_USER_ADD_MEM_REG] = {add_mem_reg, SLOT_BYTES},
	[VHOST_USER_REM_MEM_REG] = {rem_mem_reg, SLOT_BYTES, VHOST_HOLD_ALL},
};

const struct vhost_handling *vhost_handling_of(
	const struct vhost_message *message)
{
	uint32_t type = message->header.type;

	if (type >= sizeof(handlings) / sizeof(handlings[0]) ||
	    !handlings[type].handle ||
	    message->header.bytes < handlings[type].bytes_min)
		return NULL;
	return &handlings[type];
}
