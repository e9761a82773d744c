/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - forebay, the command line of forebayd's REST API.
 *
 * It holds no state and decides nothing that the API decides: it turns a
 * command into requests and answers into text. Failures arrive here as one
 * line, which is printed once.
 */
#include <curl/curl.h>
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "client.h"
#include "error.h"
#include "exit_code.h"
#include "help.h"

static int run(struct invocation *invocation, struct error *error)
{
	const char *environment_root = getenv("FOREBAY_ROOT");
	struct client *client = NULL;
	int ret;

	if (!invocation->flags[FLAG_ROOT] && environment_root &&
	    *environment_root)
		invocation->flags[FLAG_ROOT] = environment_root;
	ret = client_open(invocation->flags[FLAG_ROOT], &client, error);
	if (ret < 0)
		return ret;
	ret = invocation->verb->run(invocation, client, error);
	client_close(client);
	return ret;
}

static int act(struct invocation *invocation, struct error *error)
{
	switch (invocation->intent) {
	case INTENT_RUN:
		return run(invocation, error);
	case INTENT_HELP:
		help_print(stdout, invocation->noun, invocation->verb);
		return 0;
	case INTENT_VERSION:
		(void)puts("forebay " FOREBAY_VERSION);
		return 0;
	case INTENT_INCOMPLETE:
		help_print(stderr, invocation->noun, NULL);
		return error_set(error, -EINVAL, "%s: needs a %s",
				 invocation->noun ? invocation->noun->name
						  : "command",
				 invocation->noun ? "verb" : "noun and a verb");
	}
	return -EINVAL;
}

int main(int argc, char **argv)
{
	struct invocation invocation;
	struct error error = {0};
	int ret;

	(void)setlocale(LC_CTYPE, "");
	ret = arguments_parse(argc, argv, &invocation, &error);
	if (ret == 0)
		ret = act(&invocation, &error);
	if ((fflush(stdout) == EOF || ferror(stdout)) && ret == 0)
		ret = error_set(&error, -EIO,
				"standard output: cannot be written: %s; the "
				"command itself went through",
				strerror(errno));
	curl_global_cleanup();
	if (ret < 0)
		(void)fprintf(stderr, "forebay: %s\n", error.message);
	return exit_code_from_errno(ret);
}
