/* SPDX-License-Identifier: Apache-2.0 */
/* quantity_word.h - numbers of a rule, from a whole word or not at all. */
#ifndef FOREBAY_FAULT_QUANTITY_WORD_H
#define FOREBAY_FAULT_QUANTITY_WORD_H

#include <stdint.h>

/* All return 0 or -EINVAL; a number that is too large is wrong, too. */

/* Digits. */
int quantity_word_number(const char *word, uint64_t *ret_number);
/* Digits and B, KiB, MiB, GiB, TiB or nothing: bytes. */
int quantity_word_size(const char *word, uint64_t *ret_bytes);
/* Digits and ns, us, ms, s or min. */
int quantity_word_time(const char *word, uint64_t *ret_ns);
/* Above 0% and at most 100%, with four decimals at most: parts per million. */
int quantity_word_percent(const char *word, uint32_t *ret_ppm);

#endif
