/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bounce.h - one aligned buffer for the requests whose own memory isn't.
 *
 * Firmware and exotic guests place data at any byte; O_DIRECT wants 512. Such
 * requests are rare, so a device has one buffer, as large as the largest
 * request, and they use it one after the other. Its pages exist only while it
 * is in use.
 */
#ifndef FOREBAY_EXPORT_BOUNCE_H
#define FOREBAY_EXPORT_BOUNCE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct bounce {
	uint8_t *buffer;
	uint64_t bytes;
	bool busy;
};

int bounce_create(struct bounce *bounce, uint64_t bytes);
void bounce_destroy(struct bounce *bounce);

/* Whether any of the pieces can't be given to O_DIRECT as it is. */
bool bounce_needed(const struct iovec *iov, unsigned int count);

/* Returns: false if another request has it. */
bool bounce_take(struct bounce *bounce);
void bounce_give_back(struct bounce *bounce, uint64_t used_bytes);
void bounce_gather(struct bounce *bounce, const struct iovec *iov,
		   unsigned int count);
void bounce_scatter(const struct bounce *bounce, const struct iovec *iov,
		    unsigned int count);

#endif
