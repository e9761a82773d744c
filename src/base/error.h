/* SPDX-License-Identifier: Apache-2.0 */
/*
 * error.h - a failure in words: which object, what happened, what to do.
 *
 * Functions that can fail for reasons a person must understand take a
 * `struct error *` as their last argument (NULL is fine) and return its code.
 */
#ifndef FOREBAY_BASE_ERROR_H
#define FOREBAY_BASE_ERROR_H

#define ERROR_MESSAGE_BYTES 512u

struct error {
	int code; /* negative errno, 0 when nothing failed */
	char message[ERROR_MESSAGE_BYTES]; /* one line, no full stop, no newline
					    */
};

/* Fills @error and returns @code, so that callers can `return error_set(...)`.
 */
int error_set(struct error *error, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
