/* SPDX-License-Identifier: Apache-2.0 */
/* policy_file.h - a policy as people write it, as the API takes it. */
#ifndef FOREBAY_CLI_POLICY_FILE_H
#define FOREBAY_CLI_POLICY_FILE_H

#include <jansson.h>

struct error;

/*
 * Reads @path ("-": standard input) and checks the policy's form; whether its
 * filters and properties exist is for forebayd to say.
 * Returns: 0, or a negative errno with @error "FILE:LINE: what; what to do".
 * Owns: the caller releases *@ret_policy.
 */
int policy_file_read(const char *path, json_t **ret_policy,
		     struct error *error);

#endif
