// SPDX-License-Identifier: Apache-2.0
/*
 * test_vhost_orders.c - the orders in which VMMs send their messages, replayed.
 *
 * A table for each VMM: steps that are one message each (for each queue where
 * it is about one), and requests in between that must succeed. What a VMM
 * doesn't send isn't sent here.
 */
#include "vhost_server.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define BIT(number) (UINT64_C(1) << (number))
#define QUEUES 2u
#define STEPS_MAX 64u
/* What cloud-hypervisor and QEMU ask for: the configuration up to here. */
#define CONFIG_BYTES 0x3cu

enum step {
	END,
	SET_OWNER,
	GET_FEATURES,
	SET_FEATURES,
	GET_PROTOCOL,
	SET_PROTOCOL,
	GET_QUEUES,
	GET_SLOTS,
	GET_CONFIG,
	GET_STATUS,
	STATUS_STARTED,
	STATUS_RESET,
	MEMORY_TABLE,
	MEMORY_SLOT,
	GET_INFLIGHT,
	SET_INFLIGHT,
	NUM,
	ADDR,
	BASE,
	CALL,
	ERR,
	KICK,
	QUEUES_BEGIN, /* all up to QUEUES_END for one queue, then the next */
	QUEUES_END,
	ENABLE,
	DISABLE,
	STOP, /* GET_VRING_BASE */
	RESET_OWNER,
	RESET_DEVICE,
	DRIVER_RESET, /* the guest's: empty rings */
	REQUESTS,
};

struct vmm {
	const char *name;
	uint64_t features; /* that it accepts, of the transport and beyond */
	uint64_t protocol_features;
	bool acknowledged; /* it asks for an answer to each message */
	enum step steps[STEPS_MAX];
};

#define BASIC_FEATURES                                               \
	(BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_BLK_F_FLUSH) |         \
	 BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_BLK_SIZE) |    \
	 BIT(VIRTIO_BLK_F_TOPOLOGY) | BIT(VIRTIO_BLK_F_CONFIG_WCE) | \
	 BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES))
#define WITH_PROTOCOL BIT(VHOST_USER_F_PROTOCOL_FEATURES)

/*
 * QEMU stops a device in two ways. Until 7.2 it resets the status first and
 * asks then where the rings were; later versions do it in the order of the
 * specification.
 */
#define QEMU_FEATURES                                                \
	(BASIC_FEATURES | WITH_PROTOCOL | BIT(VIRTIO_BLK_F_MQ) |     \
	 BIT(VIRTIO_BLK_F_SIZE_MAX) | BIT(VIRTIO_RING_F_EVENT_IDX) | \
	 BIT(VIRTIO_RING_F_INDIRECT_DESC))
#define QEMU_PROTOCOL_FEATURES                            \
	(BIT(VHOST_USER_PROTOCOL_F_MQ) |                  \
	 BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |           \
	 BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) |         \
	 BIT(VHOST_USER_PROTOCOL_F_CONFIG) |              \
	 BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD) |      \
	 BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | \
	 BIT(VHOST_USER_PROTOCOL_F_STATUS))
#define QEMU_BEGIN                                                       \
	GET_FEATURES, GET_PROTOCOL, SET_PROTOCOL, GET_QUEUES, GET_SLOTS, \
		SET_OWNER, GET_FEATURES, CALL, ERR, GET_CONFIG
#define QEMU_START SET_FEATURES, GET_INFLIGHT, SET_INFLIGHT, CALL, SET_FEATURES
#define QEMU_RUN                                                             \
	QUEUES_BEGIN, NUM, BASE, ADDR, KICK, QUEUES_END, ENABLE, GET_STATUS, \
		STATUS_STARTED, REQUESTS

/* Firmware first, then a kernel; as traced. */
static const struct vmm qemu_7_2 = {
	.name = "QEMU 7.2",
	.features = QEMU_FEATURES,
	.protocol_features = QEMU_PROTOCOL_FEATURES,
	.steps = {QEMU_BEGIN, QEMU_START, MEMORY_SLOT, QEMU_RUN,
		  /* stop, and the guest's reset */
		  STATUS_RESET, DISABLE, STOP, DRIVER_RESET,
		  /* start again: the memory isn't given again */
		  QEMU_START, QEMU_RUN,
		  /* the VM stops and goes on: rings as they are */
		  STATUS_RESET, DISABLE, STOP, SET_FEATURES, SET_INFLIGHT, CALL,
		  QEMU_RUN, END},
};

static const struct vmm qemu = {
	.name = "QEMU",
	.features = QEMU_FEATURES,
	.protocol_features = QEMU_PROTOCOL_FEATURES,
	.steps = {QEMU_BEGIN, QEMU_START, MEMORY_SLOT, QEMU_RUN, DISABLE, STOP,
		  STATUS_RESET, DRIVER_RESET, QEMU_START, QEMU_RUN, DISABLE,
		  STOP, STATUS_RESET, SET_FEATURES, SET_INFLIGHT, CALL,
		  QEMU_RUN, END},
};

static const struct vmm cloud_hypervisor = {
	.name = "cloud-hypervisor",
	.features = BASIC_FEATURES | WITH_PROTOCOL | BIT(VIRTIO_BLK_F_MQ) |
		    BIT(VIRTIO_RING_F_EVENT_IDX),
	.protocol_features = BIT(VHOST_USER_PROTOCOL_F_MQ) |
			     BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |
			     BIT(VHOST_USER_PROTOCOL_F_CONFIG) |
			     BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD) |
			     BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS),
	.acknowledged = true,
	.steps = {SET_OWNER, GET_FEATURES, GET_PROTOCOL, SET_PROTOCOL,
		  GET_QUEUES, GET_CONFIG,
		  /* activate: the memory before the features */
		  MEMORY_TABLE, SET_FEATURES, GET_INFLIGHT, SET_INFLIGHT,
		  QUEUES_BEGIN, NUM, ADDR, BASE, CALL, KICK, QUEUES_END, ENABLE,
		  REQUESTS,
		  /* pause and resume */
		  DISABLE, ENABLE, REQUESTS,
		  /* reset: no GET_VRING_BASE */
		  DISABLE, RESET_OWNER, DRIVER_RESET, SET_OWNER, MEMORY_TABLE,
		  SET_FEATURES, GET_INFLIGHT, SET_INFLIGHT, QUEUES_BEGIN, NUM,
		  ADDR, BASE, CALL, KICK, QUEUES_END, ENABLE, REQUESTS, END},
};

/* One queue, so no MQ; no region of requests in flight. */
static const struct vmm crosvm = {
	.name = "crosvm",
	.features =
		BASIC_FEATURES | WITH_PROTOCOL | BIT(VIRTIO_RING_F_EVENT_IDX),
	.protocol_features = BIT(VHOST_USER_PROTOCOL_F_CONFIG) |
			     BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) |
			     BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK),
	.acknowledged = true,
	.steps = {SET_OWNER, GET_FEATURES, GET_PROTOCOL, SET_PROTOCOL,
		  SET_FEATURES, GET_CONFIG,
		  /* activate: enabled before it is kicked */
		  MEMORY_TABLE, QUEUES_BEGIN, NUM, ADDR, BASE, CALL, ENABLE,
		  KICK, QUEUES_END, REQUESTS,
		  /* sleep and wake */
		  QUEUES_BEGIN, DISABLE, STOP, QUEUES_END, MEMORY_TABLE,
		  QUEUES_BEGIN, NUM, ADDR, BASE, CALL, KICK, ENABLE, QUEUES_END,
		  REQUESTS,
		  /* reset */
		  DISABLE, STOP, DRIVER_RESET, MEMORY_TABLE, QUEUES_BEGIN, NUM,
		  ADDR, BASE, CALL, KICK, ENABLE, QUEUES_END, REQUESTS, END},
};

/* Knows nothing of protocol features: a kick enables. */
static const struct vmm plain = {
	.name = "a front-end without protocol features",
	.features = BASIC_FEATURES,
	.steps = {SET_OWNER,	GET_FEATURES, SET_FEATURES, MEMORY_TABLE,
		  QUEUES_BEGIN, NUM,	      BASE,	    ADDR,
		  KICK,		CALL,	      QUEUES_END,   REQUESTS,
		  STOP,		DRIVER_RESET, QUEUES_BEGIN, NUM,
		  BASE,		ADDR,	      KICK,	    CALL,
		  QUEUES_END,	REQUESTS,     END},
};

/* The messages that a reset may be, where a VMM has them. */
static const struct vmm resetting = {
	.name = "a front-end that resets the device",
	.features = BASIC_FEATURES | WITH_PROTOCOL,
	.protocol_features = BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE) |
			     BIT(VHOST_USER_PROTOCOL_F_STATUS) |
			     BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK),
	.acknowledged = true,
	.steps = {SET_OWNER,	GET_FEATURES, GET_PROTOCOL,   SET_PROTOCOL,
		  SET_FEATURES, MEMORY_TABLE, QUEUES_BEGIN,   NUM,
		  BASE,		ADDR,	      CALL,	      KICK,
		  ENABLE,	QUEUES_END,   STATUS_STARTED, GET_STATUS,
		  REQUESTS,	RESET_DEVICE, DRIVER_RESET,   SET_FEATURES,
		  QUEUES_BEGIN, NUM,	      BASE,	      ADDR,
		  CALL,		KICK,	      ENABLE,	      QUEUES_END,
		  REQUESTS,	STATUS_RESET, DRIVER_RESET,   SET_FEATURES,
		  QUEUES_BEGIN, NUM,	      BASE,	      ADDR,
		  CALL,		KICK,	      ENABLE,	      QUEUES_END,
		  REQUESTS,	END},
};

struct replay {
	const struct vmm *vmm;
	struct front *front;
	unsigned int queue_count;
	uint8_t status; /* as it should be */
};

static bool has(const struct replay *replay, unsigned int protocol_feature)
{
	return replay->vmm->protocol_features & BIT(protocol_feature);
}

/* A message without an answer of its own. */
static void tell(struct replay *replay, uint32_t type, const void *payload,
		 uint32_t bytes, int fd)
{
	const struct front_message message = {
		.type = type,
		.payload = payload,
		.bytes = bytes,
		.fds = &fd,
		.fd_count = fd >= 0,
	};
	struct front_message acknowledged = message;

	acknowledged.flags = VHOST_USER_NEED_REPLY;
	if (replay->vmm->acknowledged &&
	    has(replay, VHOST_USER_PROTOCOL_F_REPLY_ACK) &&
	    replay->front->protocol_features)
		assert_int_equal(
			front_acknowledged(replay->front, &acknowledged), 0);
	else
		assert_int_equal(front_send(replay->front, &message), 0);
}

static void ask(struct replay *replay, uint32_t type, const void *payload,
		uint32_t bytes, union vhost_user_payload *ret_answer,
		int *ret_fd)
{
	assert_int_equal(front_send(replay->front,
				    &(struct front_message){
					    .type = type,
					    .payload = payload,
					    .bytes = bytes,
				    }),
			 0);
	assert_int_equal(
		front_receive(replay->front, type, ret_answer, NULL, ret_fd),
		0);
}

static void tell_number(struct replay *replay, uint32_t type, uint64_t number)
{
	tell(replay, type, &number, sizeof(number), -1);
}

static void tell_state(struct replay *replay, uint32_t type, unsigned int queue,
		       unsigned int number)
{
	struct vhost_user_vring_state state = {queue, number};

	tell(replay, type, &state, sizeof(state), -1);
}

static void tell_event(struct replay *replay, uint32_t type, unsigned int queue,
		       int fd)
{
	uint64_t number = queue;

	tell(replay, type, &number, sizeof(number), fd);
}

static struct vhost_user_region region_of(const struct front *front)
{
	return (struct vhost_user_region){
		.guest_address = FRONT_GUEST_BASE,
		.bytes = front->memory_bytes,
		.user_address = (uintptr_t)front->memory,
	};
}

static void tell_address(struct replay *replay, unsigned int index)
{
	const struct front_queue *queue = &replay->front->queues[index];
	struct vhost_user_vring_address address = {
		.index = index,
		.descriptor = (uintptr_t)queue->descriptors,
		.used = (uintptr_t)queue->used,
		.available = (uintptr_t)queue->available,
	};

	tell(replay, VHOST_USER_SET_VRING_ADDR, &address, sizeof(address), -1);
}

static void stop_queue(struct replay *replay, unsigned int index)
{
	struct vhost_user_vring_state state = {index, 0};
	union vhost_user_payload answer;

	ask(replay, VHOST_USER_GET_VRING_BASE, &state, sizeof(state), &answer,
	    NULL);
	assert_int_equal(answer.vring_state.index, index);
	assert_int_equal(answer.vring_state.number,
			 replay->front->queues[index].used->idx);
}

/* A step that is about one queue. */
static void queue_step(struct replay *replay, enum step step,
		       unsigned int index)
{
	const struct front_queue *queue = &replay->front->queues[index];
	int fd;

	if (step == NUM)
		tell_state(replay, VHOST_USER_SET_VRING_NUM, index,
			   queue->size);
	else if (step == BASE)
		tell_state(replay, VHOST_USER_SET_VRING_BASE, index,
			   queue->used->idx);
	else if (step == ADDR)
		tell_address(replay, index);
	else if (step == CALL)
		tell_event(replay, VHOST_USER_SET_VRING_CALL, index,
			   queue->call_fd);
	else if (step == KICK)
		tell_event(replay, VHOST_USER_SET_VRING_KICK, index,
			   queue->kick_fd);
	else if (step == ENABLE || step == DISABLE)
		tell_state(replay, VHOST_USER_SET_VRING_ENABLE, index,
			   step == ENABLE);
	else if (step == STOP)
		stop_queue(replay, index);
	else if (step == ERR) {
		fd = eventfd(0, EFD_CLOEXEC);
		tell_event(replay, VHOST_USER_SET_VRING_ERR, index, fd);
		close(fd);
	}
}

static bool is_queue_step(enum step step)
{
	return step == NUM || step == BASE || step == ADDR || step == CALL ||
	       step == ERR || step == KICK || step == ENABLE ||
	       step == DISABLE || step == STOP;
}

static void memory_step(struct replay *replay, enum step step)
{
	struct front *front = replay->front;
	struct vhost_user_memory_table table = {.count = 1};
	struct vhost_user_memory_slot slot = {.region = region_of(front)};

	table.regions[0] = slot.region;
	if (step == MEMORY_SLOT)
		tell(replay, VHOST_USER_ADD_MEM_REG, &slot, sizeof(slot),
		     front->memory_fd);
	else /* only as many regions as there are */
		tell(replay, VHOST_USER_SET_MEM_TABLE, &table,
		     offsetof(struct vhost_user_memory_table, regions) +
			     sizeof(table.regions[0]),
		     front->memory_fd);
}

static void inflight_step(struct replay *replay, enum step step)
{
	struct front *front = replay->front;
	union vhost_user_payload answer;

	if (step == SET_INFLIGHT) {
		tell(replay, VHOST_USER_SET_INFLIGHT_FD, &front->inflight,
		     sizeof(front->inflight), front->inflight_fd);
		return;
	}
	if (front->inflight_fd >= 0)
		close(front->inflight_fd);
	front->inflight = (struct vhost_user_inflight){
		.queue_count = (uint16_t)replay->queue_count,
		.queue_size = front->options.queue_size,
	};
	ask(replay, VHOST_USER_GET_INFLIGHT_FD, &front->inflight,
	    sizeof(front->inflight), &answer, &front->inflight_fd);
	front->inflight = answer.inflight;
	assert_true(front->inflight_fd >= 0);
}

static void config_step(struct replay *replay)
{
	struct vhost_user_config config = {.bytes = CONFIG_BYTES, .flags = 1};
	union vhost_user_payload answer;
	struct virtio_blk_config read;

	ask(replay, VHOST_USER_GET_CONFIG, &config,
	    VHOST_USER_CONFIG_HEADER_BYTES + CONFIG_BYTES, &answer, NULL);
	assert_int_equal(answer.config.bytes, CONFIG_BYTES);
	memcpy(&read, answer.config.region, CONFIG_BYTES);
	assert_int_equal(read.capacity, SERVER_DISK_BYTES / 512);
}

static void number_step(struct replay *replay, enum step step)
{
	struct front *front = replay->front;
	union vhost_user_payload answer;

	if (step == GET_FEATURES) {
		ask(replay, VHOST_USER_GET_FEATURES, NULL, 0, &answer, NULL);
		front->features = answer.number & replay->vmm->features;
		assert_int_equal(front->features, replay->vmm->features);
	} else if (step == GET_PROTOCOL) {
		ask(replay, VHOST_USER_GET_PROTOCOL_FEATURES, NULL, 0, &answer,
		    NULL);
		assert_int_equal(answer.number & replay->vmm->protocol_features,
				 replay->vmm->protocol_features);
	} else if (step == GET_QUEUES) {
		ask(replay, VHOST_USER_GET_QUEUE_NUM, NULL, 0, &answer, NULL);
		assert_in_range(answer.number, replay->queue_count, 64);
	} else if (step == GET_SLOTS) {
		ask(replay, VHOST_USER_GET_MAX_MEM_SLOTS, NULL, 0, &answer,
		    NULL);
		assert_in_range(answer.number, 8, 512);
	} else {
		ask(replay, VHOST_USER_GET_STATUS, NULL, 0, &answer, NULL);
		assert_int_equal(answer.number, replay->status);
	}
}

static void set_status(struct replay *replay, uint8_t status)
{
	tell_number(replay, VHOST_USER_SET_STATUS, status);
	replay->status = status;
}

static void driver_reset(struct replay *replay)
{
	struct front *front = replay->front;
	int fd = front->inflight_fd;

	/* Only the rings: what the VMM keeps is a step of its own. */
	front->inflight_fd = -1;
	front_reset(front);
	front->inflight_fd = fd;
}

static void requests_step(struct replay *replay)
{
	struct front *front = replay->front;
	uint8_t *data = front_data(front);

	for (unsigned int i = 0; i < replay->queue_count * 4; i++) {
		unsigned int queue = i % replay->queue_count;

		front->queues[queue].event_index =
			front->features & BIT(VIRTIO_RING_F_EVENT_IDX);
		memset(data, (int)i + 1, 4096);
		assert_int_equal(transfer(front, queue, VIRTIO_BLK_T_OUT, i * 8,
					  data, 4096),
				 VIRTIO_BLK_S_OK);
		memset(data, 0, 4096);
		assert_int_equal(transfer(front, queue, VIRTIO_BLK_T_IN, i * 8,
					  data, 4096),
				 VIRTIO_BLK_S_OK);
		assert_int_equal(data[4095], i + 1);
	}
}

static void one_step(struct replay *replay, enum step step)
{
	struct front *front = replay->front;

	if (step == SET_OWNER)
		tell(replay, VHOST_USER_SET_OWNER, NULL, 0, -1);
	else if (step == RESET_OWNER)
		tell(replay, VHOST_USER_RESET_OWNER, NULL, 0, -1);
	else if (step == RESET_DEVICE)
		tell(replay, VHOST_USER_RESET_DEVICE, NULL, 0, -1);
	else if (step == SET_FEATURES)
		tell_number(replay, VHOST_USER_SET_FEATURES, front->features);
	else if (step == SET_PROTOCOL) {
		tell_number(replay, VHOST_USER_SET_PROTOCOL_FEATURES,
			    replay->vmm->protocol_features);
		front->protocol_features = replay->vmm->protocol_features;
	} else if (step == MEMORY_TABLE || step == MEMORY_SLOT)
		memory_step(replay, step);
	else if (step == GET_INFLIGHT || step == SET_INFLIGHT)
		inflight_step(replay, step);
	else if (step == GET_CONFIG)
		config_step(replay);
	else if (step == STATUS_STARTED)
		set_status(replay, 15);
	else if (step == STATUS_RESET)
		set_status(replay, 0);
	else if (step == DRIVER_RESET)
		driver_reset(replay);
	else if (step == REQUESTS)
		requests_step(replay);
	else
		number_step(replay, step);
}

/* Returns: the step behind QUEUES_END. */
static const enum step *each_queue(struct replay *replay,
				   const enum step *begin)
{
	const enum step *end = begin;

	while (*end != QUEUES_END)
		end++;
	for (unsigned int i = 0; i < replay->queue_count; i++)
		for (const enum step *step = begin; step < end; step++)
			queue_step(replay, *step, i);
	return end + 1;
}

static void run(struct replay *replay)
{
	const enum step *step = replay->vmm->steps;

	while (*step != END) {
		if (*step == QUEUES_BEGIN) {
			step = each_queue(replay, step + 1);
			continue;
		}
		if (is_queue_step(*step))
			for (unsigned int i = 0; i < replay->queue_count; i++)
				queue_step(replay, *step, i);
		else
			one_step(replay, *step);
		step++;
	}
}

static void replay_orders(struct server *server, const struct vmm *vmm)
{
	const bool one = !(vmm->features & BIT(VIRTIO_BLK_F_MQ));
	struct front_options options = {
		.socket_path = server->socket_path,
		.queue_count = one ? 1 : QUEUES,
		.queue_size = 64,
		.data_bytes = 1 << 20,
		.no_indirect =
			!(vmm->features & BIT(VIRTIO_RING_F_INDIRECT_DESC))};
	struct replay replay = {.vmm = vmm, .queue_count = one ? 1 : QUEUES};

	assert_int_equal(front_create(&options, &replay.front), 0);
	assert_int_equal(front_dial(replay.front), 0);
	run(&replay);
	assert_int_equal(server_counts(server).broken_queues, 0);
	front_destroy(replay.front);
	server_stop(server);
}

static int setup(void **state)
{
	static struct server server;

	server_init(&server);
	server_start(&server);
	*state = &server;
	return 0;
}

static int teardown(void **state)
{
	server_cleanup(*state);
	return 0;
}

static void messages_in_the_order_of_qemu_7_2_work(void **state)
{
	replay_orders(*state, &qemu_7_2);
}

static void messages_in_the_order_of_qemu_work(void **state)
{
	replay_orders(*state, &qemu);
}

static void messages_in_the_order_of_cloud_hypervisor_work(void **state)
{
	replay_orders(*state, &cloud_hypervisor);
}

static void messages_in_the_order_of_crosvm_work(void **state)
{
	replay_orders(*state, &crosvm);
}

static void a_kick_enables_without_protocol_features(void **state)
{
	replay_orders(*state, &plain);
}

static void a_reset_may_be_a_message_of_its_own(void **state)
{
	replay_orders(*state, &resetting);
}

/* Of later versions of the protocol, and of none. */
static void unknown_messages_are_refused_and_nothing_else_happens(void **state)
{
	const uint32_t types[] = {0,  19, 20, 22, 23, 26, 27, 28,
				  29, 35, 41, 42, 43, 44, 45, 1000};
	struct front *front = connect_front(*state, &(struct front_options){0});
	uint64_t payload[32] = {0};

	for (unsigned int i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		assert_int_equal(front_acknowledged(front,
						    &(struct front_message){
							    .type = types[i],
							    .payload = payload,
							    .bytes = i * 8,
						    }),
				 -EREMOTEIO);
		assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_IN, 0,
					  front_data(front), 4096),
				 VIRTIO_BLK_S_OK);
	}
	front_destroy(front);
	server_stop(*state);
}

/* Breaks queue 0 by a head that doesn't exist. */
static void break_queue(struct server *server, struct front *front)
{
	front_offer(&front->queues[0], 60000);
	front_kick(&front->queues[0]);
	for (int i = 0; i < 5000; i++) {
		if (server_counts(server).broken_queues > 0)
			return;
		usleep(1000);
	}
	fail_msg("the queue isn't broken");
}

static void a_reset_brings_a_broken_queue_back(void **state)
{
	const uint64_t zero = 0;
	const struct front_message resets[] = {
		{.type = VHOST_USER_RESET_DEVICE},
		{.type = VHOST_USER_RESET_OWNER},
		{.type = VHOST_USER_SET_STATUS,
		 .payload = &zero,
		 .bytes = sizeof(zero)},
	};

	for (unsigned int i = 0; i < 3; i++) {
		struct server *server = *state;
		struct front *front =
			connect_front(server, &(struct front_options){0});

		break_queue(server, front);
		assert_int_equal(front_acknowledged(front, &resets[i]), 0);
		front_reset(front);
		assert_int_equal(front_start(front), 0);
		assert_int_equal(transfer(front, 0, VIRTIO_BLK_T_IN, 0,
					  front_data(front), 4096),
				 VIRTIO_BLK_S_OK);
		front_destroy(front);
		server_stop(server);
		server_start(server);
	}
}

static void a_reset_waits_for_requests_in_flight(void **state)
{
	struct front *front = connect_front(*state, &(struct front_options){0});
	struct iovec segment = {front_data(front), 4096};
	struct front_request request = {
		.type = VIRTIO_BLK_T_OUT,
		.segments = &segment,
		.segment_count = 1,
	};
	struct front_message reset = {.type = VHOST_USER_RESET_DEVICE,
				      .flags = VHOST_USER_NEED_REPLY};
	union vhost_user_payload answer;
	struct front_slot *slot;

	server_set_order(*state, MEMORY_PIPELINE_HELD);
	assert_int_equal(front_submit(front, 0, &request, &slot), 0);
	front_kick(&front->queues[0]);
	server_wait_in_flight(*state, 1);
	assert_int_equal(front_send(front, &reset), 0);
	assert_int_equal(server_counts(*state).pipeline.in_flight, 1);
	assert_int_equal(
		recv(front->socket, &answer, 1, MSG_DONTWAIT | MSG_PEEK), -1);
	assert_int_equal(server_release(*state, 1), 1);
	assert_int_equal(front_receive(front, reset.type, &answer, NULL, NULL),
			 0);
	assert_int_equal(answer.number, 0);
	assert_int_equal(front->queues[0].used->idx, 1);
	front_destroy(front);
	server_stop(*state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(messages_in_the_order_of_qemu_7_2_work),
		TEST(messages_in_the_order_of_qemu_work),
		TEST(messages_in_the_order_of_cloud_hypervisor_work),
		TEST(messages_in_the_order_of_crosvm_work),
		TEST(a_kick_enables_without_protocol_features),
		TEST(a_reset_may_be_a_message_of_its_own),
		TEST(unknown_messages_are_refused_and_nothing_else_happens),
		TEST(a_reset_brings_a_broken_queue_back),
		TEST(a_reset_waits_for_requests_in_flight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
