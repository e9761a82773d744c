/* SPDX-License-Identifier: Apache-2.0 */
/* policy_file.h - a policy as people write it, as the API takes it. */
#ifndef FOREBAY_CLI_POLICY_FILE_H
#define FOREBAY_CLI_POLICY_FILE_H

struct error;
struct yaml_source;

/*
 * Reads @path ("-": standard input) and checks the policy's form; whether its
 * filters and properties exist is for forebayd to say.
 * Returns: 0, or a negative errno with @error "FILE:LINE: what; what to do".
 * Owns: the caller ends *@ret_policy with yaml_source_close().
 */
int policy_file_read(const char *path, struct yaml_source *ret_policy,
		     struct error *error);

#endif
