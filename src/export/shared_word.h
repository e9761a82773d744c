/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shared_word.h - how words are read that somebody else writes at any time.
 *
 * The guest or the VMM can change a word between two reads of it, so one that
 * decides something is read once, into private memory, and checked there. Two
 * kinds of reads:
 *
 *   load   of what has been handed over: a descriptor, an entry of a ring, a
 *          region at its start. It is read once for each hand-over.
 *   poll   of where hand-overs are announced: an index, the flags of the next
 *          descriptor, an event word. It is read again and again, and each
 *          value decides on its own.
 *
 * tests/export/test_double_fetch.c builds the readers with
 * FOREBAY_SHARED_WORD_HOOK and has every second load return something else.
 */
#ifndef FOREBAY_EXPORT_SHARED_WORD_H
#define FOREBAY_EXPORT_SHARED_WORD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef FOREBAY_SHARED_WORD_HOOK
enum shared_read { SHARED_LOAD, SHARED_POLL };
/* Returns: what the reader shall see instead of @value. */
uint64_t shared_word_hook(enum shared_read kind, const void *place,
			  size_t bytes, uint64_t value);
/* The same for bytes that have been copied to @copy. */
void shared_bytes_hook(const void *place, size_t bytes, uint8_t *copy);
#define SHARED_WORD_SEEN(kind, place, value) \
	((__typeof__(value))shared_word_hook(kind, place, sizeof(value), value))
#define SHARED_BYTES_SEEN(place, bytes, copy) \
	shared_bytes_hook(place, bytes, copy)
#else
#define SHARED_WORD_SEEN(kind, place, value) (value)
#define SHARED_BYTES_SEEN(place, bytes, copy) ((void)0)
#endif

static inline uint8_t shared_load_u8(const uint8_t *place)
{
	uint8_t value = __atomic_load_n(place, __ATOMIC_RELAXED);

	return SHARED_WORD_SEEN(SHARED_LOAD, place, value);
}

static inline uint16_t shared_load_u16(const uint16_t *place)
{
	uint16_t value = __atomic_load_n(place, __ATOMIC_RELAXED);

	return SHARED_WORD_SEEN(SHARED_LOAD, place, value);
}

static inline uint32_t shared_load_u32(const uint32_t *place)
{
	uint32_t value = __atomic_load_n(place, __ATOMIC_RELAXED);

	return SHARED_WORD_SEEN(SHARED_LOAD, place, value);
}

/* Any of the two types of 64 bits. */
static inline uint64_t shared_load_u64(const void *place)
{
	uint64_t value =
		__atomic_load_n((const uint64_t *)place, __ATOMIC_RELAXED);

	return SHARED_WORD_SEEN(SHARED_LOAD, place, value);
}

/* What was stored before the value is seen behind it. */
static inline uint16_t shared_poll_u16(const uint16_t *place)
{
	uint16_t value = __atomic_load_n(place, __ATOMIC_ACQUIRE);

	return SHARED_WORD_SEEN(SHARED_POLL, place, value);
}

static inline uint32_t shared_poll_u32(const uint32_t *place)
{
	uint32_t value = __atomic_load_n(place, __ATOMIC_ACQUIRE);

	return SHARED_WORD_SEEN(SHARED_POLL, place, value);
}

/* Copies @bytes of the guest's memory, which is then looked at no more. */
static inline void shared_copy(void *target, const void *source, size_t bytes)
{
	memcpy(target, source, bytes);
	SHARED_BYTES_SEEN(source, bytes, target);
}

#endif
