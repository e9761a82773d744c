/* SPDX-License-Identifier: Apache-2.0 */
/*
 * human.h - numbers for a person's eye: rounded, with a unit.
 *
 * base's quantity.h writes sizes exactly, for files and flags; here "1.4 GiB"
 * is worth more than "1503238553".
 */
#ifndef FOREBAY_CLI_HUMAN_H
#define FOREBAY_CLI_HUMAN_H

#include <stddef.h>
#include <stdint.h>

#define HUMAN_BYTES 32u

/* All return @buffer. */
char *human_size(uint64_t bytes, char buffer[HUMAN_BYTES]);
char *human_latency(double microseconds, char buffer[HUMAN_BYTES]);
char *human_percent(double ratio, char buffer[HUMAN_BYTES]);
/* "2.41 times" */
char *human_factor(double factor, char buffer[HUMAN_BYTES]);
/* "12 345 678" */
char *human_count(uint64_t count, char buffer[HUMAN_BYTES]);

#endif
