/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtqueue_chain.h - what the two kinds of rings check alike (inside
 * virtqueue*.c only).
 */
#ifndef FOREBAY_EXPORT_VIRTQUEUE_CHAIN_H
#define FOREBAY_EXPORT_VIRTQUEUE_CHAIN_H

#include "virtqueue.h"

/*
 * Adds the buffer of a descriptor, with its own copy of length and flags.
 * Returns: 0 or -EPROTO.
 */
int virtqueue_chain_add(struct virtqueue_chain *chain, uint64_t address,
			uint32_t bytes, uint16_t flags);
/*
 * Finds an indirect table, which must be in one piece.
 * Returns: its number of descriptors or -EPROTO.
 */
int virtqueue_indirect_table(struct guest_memory *memory, uint64_t address,
			     uint32_t bytes, const void **ret_table);

#endif
