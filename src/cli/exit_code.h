/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exit_code.h - what the shell learns; documented in forebay(1) and stable.
 *
 * Inside, a failure is a negative errno with a message (error.h); only main()
 * turns it into one of these.
 */
#ifndef FOREBAY_CLI_EXIT_CODE_H
#define FOREBAY_CLI_EXIT_CODE_H

enum exit_code {
	EXIT_CODE_OK = 0,
	EXIT_CODE_FAILED = 1,
	EXIT_CODE_USAGE = 2, /* the command line, a file or a value is wrong */
	EXIT_CODE_NOT_FOUND = 3,
	EXIT_CODE_REFUSED = 4, /* in the object's present state */
	EXIT_CODE_UNREACHABLE = 5, /* no forebayd behind the socket */
	EXIT_CODE_TIMEOUT = 6 /* the work may still be under way */
};

/* @code: a negative errno, as functions of this program return it; or 0. */
enum exit_code exit_code_from_errno(int code);
/* The negative errno that stands for a status >= 400 of the API. */
int exit_code_errno_from_http(long status);

#endif
