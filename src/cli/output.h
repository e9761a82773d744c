/* SPDX-License-Identifier: Apache-2.0 */
/*
 * output.h - an answer of the API in the form that --output asks for.
 */
#ifndef FOREBAY_CLI_OUTPUT_H
#define FOREBAY_CLI_OUTPUT_H

#include <jansson.h>

struct client;
struct client_answer;
struct error;
struct invocation;

/* Shows @document for people. Returns: 0 or a negative errno. */
typedef int (*output_present_fn)(const json_t *document);

/*
 * json: the answer's bytes as they came. yaml: the same value. table, or
 * nothing asked for: @present.
 * Returns: 0 or a negative errno with @error filled.
 */
int output_answer(const struct invocation *invocation,
		  const struct client_answer *answer, output_present_fn present,
		  struct error *error);

/* GETs @path and shows the answer. */
int output_get(const struct invocation *invocation, struct client *client,
	       const char *path, output_present_fn present,
	       struct error *error);

#endif
