/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quantity.h - sizes and durations as people write them, and back.
 *
 * Sizes: digits and KiB, MiB, GiB, TiB (or K, M, G, T, the same powers of 1024;
 * "B" or nothing: bytes). Durations: digits and ns, us, ms, s, min, h. Decimals
 * ("1.5GiB") are taken when they make a whole number of bytes or nanoseconds.
 */
#ifndef FOREBAY_BASE_QUANTITY_H
#define FOREBAY_BASE_QUANTITY_H

#include <stddef.h>
#include <stdint.h>

/* Returns: 0, -EINVAL (not a quantity) or -ERANGE (too large for int64_t). */
int quantity_parse_size(const char *text, uint64_t *ret_bytes);
int quantity_parse_duration(const char *text, uint64_t *ret_ns);
/* Shortest exact form with a unit: "1GiB", "1536MiB", "60s". Returns @buffer.
 */
char *quantity_format_size(uint64_t bytes, char *buffer, size_t buffer_bytes);
char *quantity_format_duration(uint64_t ns, char *buffer, size_t buffer_bytes);

#endif
