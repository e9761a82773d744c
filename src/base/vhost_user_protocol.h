/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost_user_protocol.h - the messages of vhost-user as they are on the wire.
 *
 * A message is a header and a payload of `bytes` bytes, both in host byte
 * order; descriptors travel beside the first byte of the header. Only what a
 * block device uses is here. Names follow the vhost-user specification.
 */
#ifndef FOREBAY_BASE_VHOST_USER_PROTOCOL_H
#define FOREBAY_BASE_VHOST_USER_PROTOCOL_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

enum vhost_user_type {
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_RESET_OWNER = 4,
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_LOG_BASE = 6,
	VHOST_USER_SET_LOG_FD = 7,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_GET_VRING_BASE = 11,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_SET_VRING_ERR = 14,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_GET_QUEUE_NUM = 17,
	VHOST_USER_SET_VRING_ENABLE = 18,
	VHOST_USER_SET_BACKEND_REQ_FD = 21,
	VHOST_USER_GET_CONFIG = 24,
	VHOST_USER_SET_CONFIG = 25,
	VHOST_USER_GET_INFLIGHT_FD = 31,
	VHOST_USER_SET_INFLIGHT_FD = 32,
	VHOST_USER_RESET_DEVICE = 34,
	VHOST_USER_GET_MAX_MEM_SLOTS = 36,
	VHOST_USER_ADD_MEM_REG = 37,
	VHOST_USER_REM_MEM_REG = 38,
	VHOST_USER_SET_STATUS = 39,
	VHOST_USER_GET_STATUS = 40,
};

/* Messages of the device to the front-end. */
enum vhost_user_backend_type {
	VHOST_USER_BACKEND_CONFIG_CHANGE_MSG = 2,
};

/* Bits of the device features that the guest doesn't see. */
#define VHOST_F_LOG_ALL 26
#define VHOST_USER_F_PROTOCOL_FEATURES 30

enum vhost_user_protocol_feature {
	VHOST_USER_PROTOCOL_F_MQ = 0,
	VHOST_USER_PROTOCOL_F_LOG_SHMFD = 1,
	VHOST_USER_PROTOCOL_F_REPLY_ACK = 3,
	VHOST_USER_PROTOCOL_F_BACKEND_REQ = 5,
	VHOST_USER_PROTOCOL_F_CONFIG = 9,
	VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD = 12,
	VHOST_USER_PROTOCOL_F_RESET_DEVICE = 13,
	VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15,
	VHOST_USER_PROTOCOL_F_STATUS = 16,
};

#define VHOST_USER_VERSION 1u
#define VHOST_USER_VERSION_MASK 3u
#define VHOST_USER_REPLY (1u << 2)
#define VHOST_USER_NEED_REPLY (1u << 3)

/* In the payload of SET_VRING_KICK, _CALL and _ERR. */
#define VHOST_USER_VRING_INDEX_MASK 0xffu
#define VHOST_USER_VRING_NO_FD (1u << 8)

#define VHOST_USER_TABLE_REGIONS_MAX 8u
#define VHOST_USER_CONFIG_BYTES_MAX 256u

struct vhost_user_header {
	uint32_t type;
	uint32_t flags;
	uint32_t bytes; /* of the payload */
};

struct vhost_user_vring_state {
	uint32_t index;
	uint32_t number;
};

/* Addresses are the VMM's virtual ones. */
struct vhost_user_vring_address {
	uint32_t index;
	uint32_t flags;
	uint64_t descriptor;
	uint64_t used;
	uint64_t available;
	uint64_t log;
};

/* In its flags: writes to the device's part of the ring are logged. */
#define VHOST_USER_VRING_LOG 1u

/* Of the log, where a bit stands for a page of guest-physical memory. */
struct vhost_user_log {
	uint64_t mmap_bytes;
	uint64_t mmap_offset;
};
#define VHOST_USER_LOG_PAGE_BYTES 4096u

struct vhost_user_region {
	uint64_t guest_address;
	uint64_t bytes;
	uint64_t user_address; /* the VMM's virtual address */
	uint64_t mmap_offset;
};

struct vhost_user_memory_table {
	uint32_t count;
	uint32_t padding;
	struct vhost_user_region regions[VHOST_USER_TABLE_REGIONS_MAX];
};

struct vhost_user_memory_slot {
	uint64_t padding;
	struct vhost_user_region region;
};

struct vhost_user_config {
	uint32_t offset;
	uint32_t bytes;
	uint32_t flags;
	uint8_t region[VHOST_USER_CONFIG_BYTES_MAX];
};
/*
 * In its flags: what a driver may write, and what a migration brings. Front-
 * ends in Rust number these from 1, and so say "migration" for a driver's byte.
 */
#define VHOST_USER_CONFIG_WRITABLE 0u
#define VHOST_USER_CONFIG_MIGRATION 1u
#define VHOST_USER_CONFIG_MIGRATION_RUST 2u
#define VHOST_USER_CONFIG_HEADER_BYTES \
	offsetof(struct vhost_user_config, region)

struct vhost_user_inflight {
	uint64_t mmap_bytes;
	uint64_t mmap_offset;
	uint16_t queue_count;
	uint16_t queue_size;
	uint32_t padding;
};

union vhost_user_payload {
	uint64_t number;
	struct vhost_user_vring_state vring_state;
	struct vhost_user_vring_address vring_address;
	struct vhost_user_log log;
	struct vhost_user_memory_table memory_table;
	struct vhost_user_memory_slot memory_slot;
	struct vhost_user_config config;
	struct vhost_user_inflight inflight;
};

static_assert(sizeof(struct vhost_user_header) == 12, "wire format");
static_assert(sizeof(struct vhost_user_vring_state) == 8, "wire format");
static_assert(sizeof(struct vhost_user_vring_address) == 40, "wire format");
static_assert(sizeof(struct vhost_user_log) == 16, "wire format");
static_assert(sizeof(struct vhost_user_region) == 32, "wire format");
static_assert(sizeof(struct vhost_user_memory_table) == 264, "wire format");
static_assert(sizeof(struct vhost_user_memory_slot) == 40, "wire format");
static_assert(VHOST_USER_CONFIG_HEADER_BYTES == 12, "wire format");
static_assert(sizeof(struct vhost_user_inflight) == 24, "wire format");

#endif
