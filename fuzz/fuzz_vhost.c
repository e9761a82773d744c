/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_vhost.c - a hostile VMM and its guest against the vhost-user server.
 *
 * Each input is one front-end on a real socket, served by the real loop over a
 * pipeline of memory that asserts what it is handed. The input:
 *
 *   byte 0   bit 0  a good start of one queue comes first
 *            bit 1  ... with an in-flight region, which lies in guest memory
 *            bit 2  ... without event index and indirect descriptors
 *            bit 3  the disk is read-only
 *            bit 4  the pipeline completes later and in reverse order
 *            bit 5  ... the queue is packed
 *            bit 6  ... with a log of dirty pages, which lies in guest memory
 *   byte 1   bytes of messages that follow, in units of 4
 *   messages, each: type, flags (bits 0-1: descriptors beside it; bits 2-3:
 *            what they are; bit 4: an answer is wanted), bytes of payload,
 *            payload
 *   rest     what the guest's memory holds from its beginning
 *
 * In memory lie the descriptors at 0, the available ring at 0x100, the used
 * ring at 0x200 (or a packed ring and its event suppression), the in-flight
 * region at 0x3000 and the log at 0x4000.
 */
#include <assert.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "memory_pipeline.h"
#include "vhost_connection.h"

#define DISK_BYTES (256u << 10)
#define MEMORY_BYTES (64u << 10)
#define USER_BASE UINT64_C(0x700000000000)
#define QUEUE_SIZE 16u
#define AVAILABLE_OFFSET 0x100u
#define USED_OFFSET 0x200u
#define INFLIGHT_OFFSET 0x3000u
#define LOG_OFFSET 0x4000u
/* Turns of the loop that a front-end stays for after its last message. */
#define TURNS 6u
#define BIT(number) (UINT64_C(1) << (number))

enum { FD_MEMORY, FD_EVENT, FD_SOCKET, FD_SMALL, FD_KINDS };

static struct loop *loop;
static struct pipeline *pipelines[2]; /* writable, read-only */
static struct vhost_counters counters;
static uint8_t *memory;
static int fds[FD_KINDS];
static bool connected;

struct front {
	int socket;
	unsigned int turns;
	struct loop_deferred turn;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In place of the log's: its complaints are all that one would see. */
void log_open(const char *program, enum log_level threshold)
{
	(void)program;
	(void)threshold;
}

void log_write(enum log_level level, const char *format, ...)
{
	(void)level;
	(void)format;
}

static int small_file(size_t bytes)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0)
		abort();
	return fd;
}

static void set_up_once(void)
{
	if (loop)
		return;
	/* Complaints are all that one would see. */
	log_open("fuzz_vhost", (enum log_level) - 1);
	if (loop_create(&loop) < 0)
		abort();
	pipelines[0] = memory_pipeline_create(loop, DISK_BYTES, false);
	pipelines[1] = memory_pipeline_create(loop, DISK_BYTES, true);
	fds[FD_MEMORY] = small_file(MEMORY_BYTES);
	fds[FD_SMALL] = small_file(100);
	fds[FD_EVENT] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fds[FD_SOCKET] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		      fds[FD_MEMORY], 0);
	assert(memory != MAP_FAILED);
}

static void send_message(const struct front *front,
			 const struct vhost_user_header *header,
			 const void *payload, unsigned int fd_count, int fd)
{
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int) * 3)];
	struct iovec iov[2] = {
		{.iov_base = (void *)header, .iov_len = sizeof(*header)},
		{.iov_base = (void *)payload, .iov_len = header->bytes},
	};
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};

	if (fd_count > 0) {
		struct cmsghdr *part = (void *)control;

		memset(control, 0, sizeof(control));
		part->cmsg_level = SOL_SOCKET;
		part->cmsg_type = SCM_RIGHTS;
		part->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		for (unsigned int i = 0; i < fd_count; i++)
			memcpy(CMSG_DATA(part) + sizeof(int) * i, &fd,
			       sizeof(int));
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
	}
	/* A full socket, or one that was hung up on, ends the input early. */
	if (sendmsg(front->socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
}

static void send_good(const struct front *front, enum vhost_user_type type,
		      const void *payload, uint32_t bytes, int fd)
{
	const struct vhost_user_header header = {
		.type = type,
		.flags = VHOST_USER_VERSION,
		.bytes = bytes,
	};

	send_message(front, &header, payload, fd >= 0, fd);
}

static uint64_t good_features(uint8_t how)
{
	uint64_t features = BIT(VIRTIO_F_VERSION_1) |
			    BIT(VIRTIO_BLK_F_DISCARD) |
			    BIT(VIRTIO_BLK_F_WRITE_ZEROES) |
			    BIT(VHOST_USER_F_PROTOCOL_FEATURES);

	if (!(how & 4))
		features |= BIT(VIRTIO_RING_F_EVENT_IDX) |
			    BIT(VIRTIO_RING_F_INDIRECT_DESC);
	if (how & 32)
		features |= BIT(VIRTIO_F_RING_PACKED);
	if (how & 64)
		features |= BIT(VHOST_F_LOG_ALL);
	return features;
}

static void send_good_start(const struct front *front, uint8_t how)
{
	const struct vhost_user_memory_slot slot = {
		.region = {.bytes = MEMORY_BYTES, .user_address = USER_BASE},
	};
	const struct vhost_user_inflight inflight = {
		.mmap_bytes = 4096,
		.mmap_offset = INFLIGHT_OFFSET,
		.queue_count = 1,
		.queue_size = QUEUE_SIZE,
	};
	const struct vhost_user_vring_state size = {.number = QUEUE_SIZE};
	const struct vhost_user_vring_state enable = {.number = 1};
	const struct vhost_user_vring_address address = {
		.descriptor = USER_BASE,
		.available = USER_BASE + AVAILABLE_OFFSET,
		.used = USER_BASE + USED_OFFSET,
		.flags = how & 64 ? VHOST_USER_VRING_LOG : 0,
		.log = USED_OFFSET,
	};
	const uint64_t zero = 0;
	const struct vhost_user_log log = {
		.mmap_bytes = 4096,
		.mmap_offset = LOG_OFFSET,
	};
	const uint64_t features = good_features(how);

	send_good(front, VHOST_USER_SET_FEATURES, &features, sizeof(features),
		  -1);
	if (how & 2)
		send_good(front, VHOST_USER_SET_INFLIGHT_FD, &inflight,
			  sizeof(inflight), fds[FD_MEMORY]);
	if (how & 64)
		send_good(front, VHOST_USER_SET_LOG_BASE, &log, sizeof(log),
			  fds[FD_MEMORY]);
	send_good(front, VHOST_USER_SET_VRING_CALL, &zero, sizeof(zero),
		  fds[FD_EVENT]);
	send_good(front, VHOST_USER_ADD_MEM_REG, &slot, sizeof(slot),
		  fds[FD_MEMORY]);
	send_good(front, VHOST_USER_SET_VRING_NUM, &size, sizeof(size), -1);
	send_good(front, VHOST_USER_SET_VRING_ADDR, &address, sizeof(address),
		  -1);
	send_good(front, VHOST_USER_SET_VRING_KICK, &zero, sizeof(zero),
		  fds[FD_EVENT]);
	send_good(front, VHOST_USER_SET_VRING_ENABLE, &enable, sizeof(enable),
		  -1);
}

static void send_messages(const struct front *front, const uint8_t *data,
			  size_t size)
{
	while (size >= 3) {
		struct vhost_user_header header = {
			.type = data[0],
			.flags = VHOST_USER_VERSION |
				 (data[1] & 16 ? VHOST_USER_NEED_REPLY : 0),
			.bytes = data[2],
		};
		unsigned int fd_count = data[1] & 3;
		int fd = fds[(data[1] >> 2) & 3];

		if (header.bytes > size - 3)
			header.bytes = (uint32_t)(size - 3);
		send_message(front, &header, data + 3, fd_count, fd);
		data += 3 + header.bytes;
		size -= 3 + header.bytes;
	}
}

static void hung_up(void *owner)
{
	(void)owner;
	connected = false;
	loop_stop(loop);
}

/* The front-end's part of every turn of the loop. */
static void take_turn(struct loop_deferred *deferred)
{
	struct front *front = deferred->owner;
	uint8_t answers[1024];

	if (!connected)
		return;
	while (recv(front->socket, answers, sizeof(answers), MSG_DONTWAIT) > 0)
		front->turns = 0;
	if (++front->turns == TURNS)
		shutdown(front->socket, SHUT_RDWR);
	eventfd_write(fds[FD_EVENT], 1);
	loop_defer(loop, &front->turn);
}

static void ignore(void *owner)
{
	(void)owner;
}

static void ignore_migration(void *owner, bool migrating)
{
	(void)owner;
	(void)migrating;
}

/* There is nobody to hand it over to. */
static void hand_over(void *owner)
{
	vhost_connection_handed_over(*(struct vhost_connection **)owner);
}

static void serve(struct pipeline *pipeline, struct front *front, int socket)
{
	const struct vhost_device_setup setup = {
		.loop = loop,
		.pipeline = pipeline,
		.size_bytes = pipeline_size_bytes(pipeline),
		.counters = &counters,
		.queue_count = 2,
		.model = virtio_blk_model(DEVICE_REVISION_NEWEST),
		.stop_deadline_ns = UINT64_C(1000000000),
		.name = "fuzz",
	};
	struct vhost_connection *connection;
	const struct vhost_connection_events events = {
		.closed = hung_up,
		.progressed = ignore,
		.wanted = ignore,
		.hand_over = hand_over,
		.migrating = ignore_migration,
		.owner = &connection,
	};

	if (vhost_connection_create(&setup, socket, &events, &connection) < 0)
		abort();
	connected = true;
	front->turn.run = take_turn;
	front->turn.owner = front;
	loop_defer(loop, &front->turn);
	while (connected)
		loop_run(loop);
	loop_defer_cancel(loop, &front->turn);
	assert(memory_pipeline_counts(pipeline)->in_flight == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct front front = {0};
	struct pipeline *pipeline;
	size_t messages;
	uint8_t how;
	int pair[2];

	if (size < 2)
		return 0;
	set_up_once();
	how = data[0];
	messages = (size_t)data[1] * 4;
	data += 2;
	size -= 2;
	if (messages > size)
		messages = size;
	memset(memory, 0, MEMORY_BYTES);
	memcpy(memory, data + messages,
	       size - messages < MEMORY_BYTES ? size - messages : MEMORY_BYTES);
	pipeline = pipelines[(how >> 3) & 1];
	memory_pipeline_set_order(pipeline,
				  how & 16 ? MEMORY_PIPELINE_LATER_REVERSED
					   : MEMORY_PIPELINE_AT_ONCE);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	front.socket = pair[1];
	if (how & 1)
		send_good_start(&front, how);
	send_messages(&front, data, messages);
	serve(pipeline, &front, pair[0]);
	close(pair[1]);
	return 0;
}
