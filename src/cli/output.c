/* SPDX-License-Identifier: Apache-2.0 */
/* output.c - the one place that looks at --output. */
#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arguments.h"
#include "client.h"
#include "error.h"
#include "yaml_write.h"

static int print_bytes(const struct client_answer *answer)
{
	size_t count = answer->byte_count;

	if (fwrite(answer->bytes, 1, count, stdout) != count)
		return -EIO;
	if (count > 0 && answer->bytes[count - 1] != '\n' &&
	    putchar('\n') == EOF)
		return -EIO;
	return 0;
}

int output_answer(const struct invocation *invocation,
		  const struct client_answer *answer, output_present_fn present,
		  struct error *error)
{
	const char *form = invocation->flags[FLAG_OUTPUT];
	int ret;

	if (!answer->json)
		return error_set(error, -EPROTO,
				 "forebayd: answered something that isn't "
				 "JSON; look in its log");
	if (form && strcmp(form, "json") == 0)
		ret = print_bytes(answer);
	else if (form && strcmp(form, "yaml") == 0)
		ret = yaml_write(stdout, answer->json);
	else
		ret = present(answer->json);
	if (ret < 0)
		return error_set(error, ret,
				 "standard output: cannot be written: %s",
				 strerror(-ret));
	return 0;
}

int output_get(const struct invocation *invocation, struct client *client,
	       const char *path, output_present_fn present, struct error *error)
{
	struct client_request request = {.method = CLIENT_GET, .path = path};
	struct client_answer answer;
	int ret = client_call(client, &request, &answer, error);

	if (ret < 0)
		return ret;
	ret = output_answer(invocation, &answer, present, error);
	client_answer_release(&answer);
	return ret;
}
