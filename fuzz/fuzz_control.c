/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_control.c - answers on a control socket, as a hostile process sends
 * them: each is a result, or an error with an errno and one line of words.
 */
#include <assert.h>
#include <jansson.h>
#include <string.h>

#include "control_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	struct error error = {0};
	json_t *result = NULL;
	uint64_t id;
	int status;

	status = control_message_parse_answer(bytes, count, &id, &result,
					      &error);
	assert((status == 0) == json_is_object(result));
	assert(status <= 0 && status >= -4095 && error.code == status);
	assert(!strpbrk(error.message, "\n\r\x1b"));
	json_decref(result);
	return 0;
}
