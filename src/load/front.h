/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front.h - a vhost-user-blk front-end: the VMM and the guest's driver in one,
 * without a guest.
 *
 * A front is a machine: memory (one memfd), queues in it, eventfds, and a
 * region that the back-end keeps its in-flight requests in. It outlives its
 * connection, as a VM does: after front_disconnect(), or when the back-end was
 * killed, front_connect() brings the same machine to the next back-end and
 * requests under way are answered by that one.
 *
 * Memory of the machine, in guest-physical order:
 *
 *   each queue: descriptors, available ring, used ring; or, if it is packed,
 *               descriptor ring, driver's and device's event suppression
 *   each slot:  header, status, indirect table      (one request at a time)
 *   data:       the caller's, front_data()
 *
 * Everything is synchronous and belongs to one thread. Calls return 0 or a
 * negative errno.
 */
#ifndef FOREBAY_LOAD_FRONT_H
#define FOREBAY_LOAD_FRONT_H

#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vhost_user_protocol.h"

#define FRONT_QUEUES_MAX 64u
/* Data segments of one request. */
#define FRONT_SEGMENTS_MAX 126u
/* Where the guest's memory begins. */
#define FRONT_GUEST_BASE UINT64_C(0x40000000)

struct front_options {
	const char *socket_path;
	unsigned int queue_count;
	uint16_t queue_size; /* a power of two */
	size_t data_bytes;
	/* What a real VMM and driver would also be able to leave out: */
	bool no_event_index;
	bool no_indirect;
	bool no_flush; /* the driver doesn't know FLUSH */
	bool discards; /* it knows DISCARD and WRITE_ZEROES */
	bool cache_mode; /* it may write `writeback`: CONFIG_WCE */
	bool no_inflight;
	bool memory_table; /* SET_MEM_TABLE, not ADD_MEM_REG */
	bool packed; /* packed virtqueues; -EOPNOTSUPP if there are none */
	bool log; /* a log of pages that the back-end writes: front_log_... */
	bool two_regions; /* memory in two adjacent ones, cut in the data */
	unsigned int timeout_ms; /* for an answer; 0: 10 s */
};

/* Room for one request of a queue. */
struct front_slot {
	struct virtio_blk_outhdr *header;
	uint8_t *status;
	struct vring_desc *table; /* indirect */
	void *owner; /* the caller's */
	uint64_t submitted_ns; /* the caller's */
	uint16_t number; /* in its queue */
	uint16_t descriptor; /* split: the first of its own, its head */
	uint16_t count; /* packed: descriptors that it has in the ring */
	bool busy;
};

/*
 * In a split queue the places are free-running indexes; in a packed one they
 * count descriptors modulo twice the size, with wrap counter 1 in the first
 * half.
 */
struct front_queue {
	struct vring_desc *descriptors; /* split */
	struct vring_avail *available;
	struct vring_used *used;
	struct vring_packed_desc *ring; /* packed */
	struct vring_packed_desc_event *driver_event;
	struct vring_packed_desc_event *device_event;
	bool packed;
	uint16_t first_flags; /* of the first that isn't published yet */
	uint16_t size;
	uint16_t available_next; /* includes what isn't published yet */
	uint16_t available_published;
	uint16_t used_next;
	uint64_t reaped; /* completions since the last reset */
	bool event_index; /* as negotiated */
	int kick_fd;
	int call_fd;
	unsigned int slot_count;
	unsigned int free_count;
	uint16_t *free; /* numbers of free slots, a stack */
	struct front_slot *slots;
	uint64_t kicks;
};

struct front {
	struct front_options options;
	int socket;
	int memory_fd;
	uint8_t *memory;
	size_t memory_bytes;
	size_t data_offset;
	size_t cut; /* where the second region begins, or 0 */
	uint64_t features;
	uint64_t protocol_features;
	struct virtio_blk_config config;
	bool memory_given; /* on this connection */
	int inflight_fd; /* kept from one connection to the next */
	struct vhost_user_inflight inflight;
	int log_fd;
	uint8_t *log; /* a bit for each page of the guest, from address 0 */
	size_t log_bytes;
	bool logging;
	struct front_queue queues[FRONT_QUEUES_MAX];
};

/* One request. Data lie in front_data(), in @segment_count pieces. */
struct front_request {
	uint32_t type; /* VIRTIO_BLK_T_... */
	uint64_t sector;
	const struct iovec *segments;
	unsigned int segment_count;
};

struct front_completion {
	struct front_slot *slot;
	uint32_t written; /* used.len */
	uint16_t head;
	uint8_t status;
};

int front_create(const struct front_options *options, struct front **ret_front);
/* NULL is fine. */
void front_destroy(struct front *front);

/* Connects, negotiates and starts all queues. */
int front_connect(struct front *front);
/* The parts of that, for tests of the protocol. -ENODEV: no block device. */
int front_dial(struct front *front);
int front_negotiate(struct front *front);
int front_start(struct front *front);
/* As a driver's reset or a VM's stop: returns when all is answered. */
int front_stop(struct front *front);
/* Drops the connection, as a VMM that dies does. */
void front_disconnect(struct front *front);
/* Returns: false once the back-end has hung up. */
bool front_connected(const struct front *front);
/* The driver starts afresh: empty rings, and no in-flight region. */
void front_reset(struct front *front);

/*
 * Sends one message and, if @ret_answer isn't NULL, waits for its answer.
 * Returns: descriptors in the answer go to @ret_fd (may be NULL).
 */
struct front_message {
	uint32_t type;
	uint32_t flags; /* VHOST_USER_NEED_REPLY */
	const void *payload;
	uint32_t bytes;
	const int *fds;
	unsigned int fd_count;
};
int front_send(struct front *front, const struct front_message *message);
int front_receive(struct front *front, uint32_t type,
		  union vhost_user_payload *ret_payload, uint32_t *ret_bytes,
		  int *ret_fd);
/* Sends a message that is acknowledged. Returns: 0, or -EREMOTEIO if refused.
 */
int front_acknowledged(struct front *front,
		       const struct front_message *message);

/* Begins and ends the logging of written pages, as a migration does. */
int front_log_start(struct front *front);
int front_log_stop(struct front *front);
/* Whether the page at @address has been logged since it was last asked. */
bool front_log_take(struct front *front, uint64_t address);

uint8_t *front_data(const struct front *front);
uint64_t front_guest_address(const struct front *front, const void *address);

/* The slot that the next request gets; NULL if all are busy. */
struct front_slot *front_next_slot(const struct front_queue *queue);
/*
 * Puts a request into a free slot. The back-end sees it with the next
 * front_kick(). Returns: -EAGAIN if no slot is free.
 */
int front_submit(struct front *front, unsigned int queue,
		 const struct front_request *request,
		 struct front_slot **ret_slot);
/* Makes @head available, whatever the descriptors say: for tests. */
void front_offer(struct front_queue *queue, uint16_t head);
/*
 * Puts a descriptor into the next place of a packed ring, with AVAIL and USED
 * for that place changed by @wrong_flags: for tests.
 */
void front_offer_packed(struct front_queue *queue,
			const struct vring_packed_desc *descriptor,
			uint16_t wrong_flags);
/* Completions since the last reset, those not reaped yet included. */
uint64_t front_returned(const struct front_queue *queue);
/* What SET_VRING_BASE carries, as far as the rings in memory show it. */
uint32_t front_base(const struct front_queue *queue);
/* Publishes, and kicks the back-end if it wants that. */
void front_kick(struct front_queue *queue);
/* Returns: how many completions there were, at most @count. */
unsigned int front_reap(struct front_queue *queue,
			struct front_completion *ret_completions,
			unsigned int count);
/*
 * Asks for an interrupt at the next completion. Returns: true if there is one
 * already, so that sleeping would be wrong.
 */
bool front_arm(struct front_queue *queue);
/* Asks for no interrupts. */
void front_disarm(struct front_queue *queue);
/* Sleeps until a completion of @queue. Returns: 0, -ETIMEDOUT or -EPIPE. */
int front_wait(struct front *front, unsigned int queue, int timeout_ms);

/* Submits one request on @queue and waits. Returns: its status, or -errno. */
int front_run(struct front *front, unsigned int queue,
	      const struct front_request *request, uint32_t *ret_written);

#endif
