/* SPDX-License-Identifier: Apache-2.0 */
/*
 * medium.h - a modelled SSD or backend with a volatile write cache.
 *
 * A finished write is visible at once and durable after a flush that was
 * started later has finished. A power failure keeps any subset of the writes
 * that are not durable, each whole or torn at its 512-byte sectors.
 */
#ifndef FOREBAY_SIM_MEDIUM_H
#define FOREBAY_SIM_MEDIUM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "random.h"

struct medium_write {
	uint64_t offset;
	uint64_t bytes;
	uint8_t *data;
};

struct medium {
	uint64_t bytes;
	uint8_t *visible; /* what reads see */
	uint8_t *durable; /* what a power failure leaves at least */
	struct medium_write *writes; /* finished, not durable, in order */
	size_t write_count;
	size_t write_capacity;
};

void medium_init(struct medium *medium, uint64_t bytes);
void medium_free(struct medium *medium);
/* @to takes the state of @from; both have the same size. */
void medium_copy(struct medium *to, const struct medium *from);

void medium_read(const struct medium *medium, uint64_t offset,
		 const struct iovec *iov, uint32_t iov_count);
void medium_write(struct medium *medium, uint64_t offset,
		  const struct iovec *iov, uint32_t iov_count);
/* The first @count writes that aren't durable become so. */
void medium_flush(struct medium *medium, size_t count);
/* A flush that failed: of the first @count writes some never become durable. */
void medium_flush_failed(struct medium *medium, struct random *random,
			 size_t count);
/* A write that was under way: some of it may have arrived, some not. */
void medium_write_torn(struct medium *medium, struct random *random,
		       uint64_t offset, const struct iovec *iov,
		       uint32_t iov_count);
/* Power fails: what isn't durable survives as chance decides. */
void medium_power_failure(struct medium *medium, struct random *random);

#endif
