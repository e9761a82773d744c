/* SPDX-License-Identifier: Apache-2.0 */
/* uuid_draw.h - a new random UUID. */
#ifndef FOREBAY_AGENT_UUID_DRAW_H
#define FOREBAY_AGENT_UUID_DRAW_H

#include <stdint.h>

#include "uuid_text.h"

/* Returns: 0 or -EIO. */
int uuid_draw(uint8_t ret_uuid[UUID_BYTES]);

#endif
