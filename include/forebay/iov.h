/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forebay/iov.h - pieces of iovecs, for filters that split and merge requests.
 *
 * Static inline functions without state: they need nothing of the host. An
 * iovec is a list of memory, whose pieces are taken in order as one run of
 * bytes.
 */
#ifndef FOREBAY_IOV_H
#define FOREBAY_IOV_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Returns: the bytes of all pieces. */
static inline uint64_t forebay_iov_length(const struct iovec *iov,
					  uint32_t count)
{
	uint64_t length = 0;

	for (uint32_t i = 0; i < count; i++)
		length += iov[i].iov_len;
	return length;
}

/*
 * Makes @ret_slice the part of @iov of @length bytes from @offset on: pieces of
 * the same memory. Returns: how many entries it takes, 0 if it takes more than
 * @capacity or if @iov is shorter.
 */
static inline uint32_t forebay_iov_slice(const struct iovec *iov,
					 uint32_t count, uint64_t offset,
					 uint64_t length,
					 struct iovec *ret_slice,
					 uint32_t capacity)
{
	uint32_t taken = 0;

	for (uint32_t i = 0; i < count && length > 0; i++) {
		uint64_t bytes = iov[i].iov_len;

		if (offset >= bytes) {
			offset -= bytes;
			continue;
		}
		bytes -= offset;
		if (bytes > length)
			bytes = length;
		if (taken == capacity)
			return 0;
		ret_slice[taken].iov_base =
			(unsigned char *)iov[i].iov_base + offset;
		ret_slice[taken].iov_len = (size_t)bytes;
		taken++;
		length -= bytes;
		offset = 0;
	}
	return length == 0 ? taken : 0;
}

/*
 * Puts @iov behind the @used entries of @list, so that one request stands for
 * several. What follows in memory too makes the last entry longer. Returns: how
 * many entries there are then, 0 if they are more than @capacity.
 */
static inline uint32_t forebay_iov_append(struct iovec *list, uint32_t used,
					  uint32_t capacity,
					  const struct iovec *iov,
					  uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct iovec *last = used > 0 ? &list[used - 1] : NULL;

		if (last && (unsigned char *)last->iov_base + last->iov_len ==
				    (unsigned char *)iov[i].iov_base) {
			last->iov_len += iov[i].iov_len;
			continue;
		}
		if (used == capacity)
			return 0;
		list[used++] = iov[i];
	}
	return used;
}

/* Copies @length bytes at @offset of @iov. Returns: how many there were. */
static inline uint64_t forebay_iov_read(const struct iovec *iov, uint32_t count,
					uint64_t offset, void *to,
					uint64_t length)
{
	uint64_t done = 0;

	for (uint32_t i = 0; i < count && done < length; i++) {
		uint64_t bytes = iov[i].iov_len;

		if (offset >= bytes) {
			offset -= bytes;
			continue;
		}
		bytes -= offset;
		if (bytes > length - done)
			bytes = length - done;
		memcpy((unsigned char *)to + done,
		       (const unsigned char *)iov[i].iov_base + offset,
		       (size_t)bytes);
		done += bytes;
		offset = 0;
	}
	return done;
}

/* The other way round: into the memory that @iov names. */
static inline uint64_t forebay_iov_write(const struct iovec *iov,
					 uint32_t count, uint64_t offset,
					 const void *from, uint64_t length)
{
	uint64_t done = 0;

	for (uint32_t i = 0; i < count && done < length; i++) {
		uint64_t bytes = iov[i].iov_len;

		if (offset >= bytes) {
			offset -= bytes;
			continue;
		}
		bytes -= offset;
		if (bytes > length - done)
			bytes = length - done;
		memcpy((unsigned char *)iov[i].iov_base + offset,
		       (const unsigned char *)from + done, (size_t)bytes);
		done += bytes;
		offset = 0;
	}
	return done;
}

#ifdef __cplusplus
}
#endif

#endif
