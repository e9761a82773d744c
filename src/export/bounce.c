// SPDX-License-Identifier: Apache-2.0
/* bounce.c - copies between a guest's pieces and the aligned buffer. */
#include "bounce.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGNMENT_MASK 511u
/* More than this is given back to the kernel after use. */
#define KEEP_BYTES (128u << 10)

int bounce_create(struct bounce *bounce, uint64_t bytes)
{
	void *buffer = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (buffer == MAP_FAILED)
		return -errno;
	madvise(buffer, bytes, MADV_DONTDUMP);
	*bounce = (struct bounce){.buffer = buffer, .bytes = bytes};
	return 0;
}

void bounce_destroy(struct bounce *bounce)
{
	assert(!bounce->busy);
	if (bounce->buffer)
		munmap(bounce->buffer, bounce->bytes);
	bounce->buffer = NULL;
}

bool bounce_needed(const struct iovec *iov, unsigned int count)
{
	uintptr_t bits = 0;

	for (unsigned int i = 0; i < count; i++)
		bits |= (uintptr_t)iov[i].iov_base | iov[i].iov_len;
	return bits & ALIGNMENT_MASK;
}

bool bounce_take(struct bounce *bounce)
{
	if (bounce->busy)
		return false;
	bounce->busy = true;
	return true;
}

void bounce_give_back(struct bounce *bounce, uint64_t used_bytes)
{
	assert(bounce->busy);
	bounce->busy = false;
	if (used_bytes > KEEP_BYTES)
		madvise(bounce->buffer, bounce->bytes, MADV_DONTNEED);
}

void bounce_gather(struct bounce *bounce, const struct iovec *iov,
		   unsigned int count)
{
	uint8_t *target = bounce->buffer;

	for (unsigned int i = 0; i < count; i++) {
		memcpy(target, iov[i].iov_base, iov[i].iov_len);
		target += iov[i].iov_len;
	}
}

void bounce_scatter(const struct bounce *bounce, const struct iovec *iov,
		    unsigned int count)
{
	const uint8_t *source = bounce->buffer;

	for (unsigned int i = 0; i < count; i++) {
		memcpy(iov[i].iov_base, source, iov[i].iov_len);
		source += iov[i].iov_len;
	}
}
