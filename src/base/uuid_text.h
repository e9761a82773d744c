/* SPDX-License-Identifier: Apache-2.0 */
/* uuid_text.h - a UUID as 36 characters and back. */
#ifndef FOREBAY_BASE_UUID_TEXT_H
#define FOREBAY_BASE_UUID_TEXT_H

#include <stdint.h>

#define UUID_BYTES 16u
#define UUID_TEXT_BYTES 37u /* with the NUL */

void uuid_format(const uint8_t uuid[UUID_BYTES],
		 char ret_text[UUID_TEXT_BYTES]);
/* Returns: 0 or -EINVAL. */
int uuid_parse(const char *text, uint8_t ret_uuid[UUID_BYTES]);

#endif
