/* SPDX-License-Identifier: Apache-2.0 */
/* control_message.h - requests and answers as text; for this folder only. */
#ifndef FOREBAY_IPC_CONTROL_MESSAGE_H
#define FOREBAY_IPC_CONTROL_MESSAGE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/*
 * Owns: takes @params (NULL: none), gives *ret_text, to be freed.
 * Returns: 0, -EMSGSIZE or -ENOMEM, with words in @error.
 */
int control_message_request(uint64_t id, const char *method, json_t *params,
			    char **ret_text, struct error *error);

/*
 * What an answer says. Owns: gives *ret_result, an object.
 * Returns: 0, or the server's errno with its words in @error; -EBADMSG if it
 * isn't an answer at all, and then *ret_id is 0.
 */
int control_message_parse_answer(const void *bytes, size_t count,
				 uint64_t *ret_id, json_t **ret_result,
				 struct error *error);

#endif
