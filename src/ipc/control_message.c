// SPDX-License-Identifier: Apache-2.0
/*
 * control_message.c - the client's half of the words in control.h.
 *
 * Answers come from another process: nothing of them is believed before its
 * type has been looked at.
 */
#include "control_message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"

int control_message_request(uint64_t id, const char *method, json_t *params,
			    char **ret_text, struct error *error)
{
	json_t *request =
		json_pack("{s:I, s:s, s:o}", "id", (json_int_t)id, "method",
			  method, "params", params ? params : json_object());
	char *text = json_dumps(request, JSON_COMPACT);

	json_decref(request);
	if (!text)
		return error_set(error, -ENOMEM, "%s: can't be put into words",
				 method);
	if (strlen(text) > CHANNEL_BYTES_MAX) {
		free(text);
		return error_set(error, -EMSGSIZE,
				 "%s: the request is larger than a packet",
				 method);
	}
	*ret_text = text;
	return 0;
}

/* Returns: the errno that an error object states; never 0. */
static int parse_error(const json_t *object, struct error *error)
{
	json_int_t code = json_integer_value(json_object_get(object, "errno"));
	const char *message =
		json_string_value(json_object_get(object, "message"));

	if (code >= 0 || code < -4095)
		code = -EBADMSG;
	return error_set(error, (int)code, "%s",
			 message ? message : strerror((int)-code));
}

int control_message_parse_answer(const void *bytes, size_t count,
				 uint64_t *ret_id, json_t **ret_result,
				 struct error *error)
{
	json_t *answer = json_loadb(bytes, count, JSON_REJECT_DUPLICATES, NULL);
	const json_t *id = json_object_get(answer, "id");
	json_t *result = json_object_get(answer, "result");
	const json_t *failure = json_object_get(answer, "error");
	int status = 0;

	*ret_id = json_is_integer(id) ? (uint64_t)json_integer_value(id) : 0;
	if (json_is_object(failure))
		status = parse_error(failure, error);
	else if (json_is_object(result))
		*ret_result = json_incref(result);
	else
		status = error_set(error, -EBADMSG,
				   "the answer is not in the form agreed on");
	json_decref(answer);
	return status;
}
