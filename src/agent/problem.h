/* SPDX-License-Identifier: Apache-2.0 */
/*
 * problem.h - a refused or failed request in words: RFC 7807 with a stable
 * code.
 *
 * The codes and their HTTP statuses are part of the API (api/openapi.yaml).
 * Functions that can fail for the caller's reasons take a `struct problem` last
 * and return what problem_set() returns.
 */
#ifndef FOREBAY_AGENT_PROBLEM_H
#define FOREBAY_AGENT_PROBLEM_H

#include <jansson.h>

#include "error.h"

enum problem_code {
	/* The request itself. */
	PROBLEM_BAD_JSON,
	PROBLEM_BAD_REQUEST,
	PROBLEM_BAD_NAME,
	PROBLEM_BAD_SIZE,
	PROBLEM_BAD_BACKEND,
	PROBLEM_BAD_PATH,
	PROBLEM_BAD_PROPERTY,
	PROBLEM_UNKNOWN_POLICY,
	PROBLEM_UNKNOWN_FILTER,
	PROBLEM_UNKNOWN_PROPERTY,
	PROBLEM_BROKEN_FILTER,
	PROBLEM_TOO_LARGE,
	PROBLEM_METHOD_NOT_ALLOWED,
	/* No such object. */
	PROBLEM_NO_SUCH_ROUTE,
	PROBLEM_NO_SUCH_POOL,
	PROBLEM_NO_SUCH_POLICY,
	PROBLEM_NO_SUCH_DISK,
	PROBLEM_NO_SUCH_KEY,
	PROBLEM_NO_SUCH_FILTER,
	PROBLEM_NO_SUCH_ACTION,
	/* In conflict with what is there. */
	PROBLEM_POOL_EXISTS,
	PROBLEM_POLICY_EXISTS,
	PROBLEM_DISK_EXISTS,
	PROBLEM_PATH_IN_USE,
	PROBLEM_BACKEND_IN_USE,
	PROBLEM_BACKEND_MISSING,
	PROBLEM_BACKEND_EXISTS,
	PROBLEM_SIZE_MISMATCH,
	PROBLEM_NO_SUCH_EXPORT,
	PROBLEM_NO_CACHE,
	PROBLEM_DISK_OPEN,
	PROBLEM_DISK_NOT_OPEN,
	PROBLEM_DISK_DIRTY,
	PROBLEM_DISK_BUSY,
	PROBLEM_DISK_HELD,
	PROBLEM_DISK_NOT_HELD,
	PROBLEM_DELETE_REFUSED,
	PROBLEM_HOLD_REFUSED,
	PROBLEM_HOLD_ENDED,
	PROBLEM_FILTER_IN_USE,
	PROBLEM_KEY_EXISTS,
	PROBLEM_BUNDLE_REFUSED,
	PROBLEM_NO_SPACE,
	/* The data plane. */
	PROBLEM_OPEN_FAILED,
	PROBLEM_CLOSE_FAILED,
	PROBLEM_FLUSH_FAILED,
	PROBLEM_RESIZE_FAILED,
	PROBLEM_CALL_FAILED,
	PROBLEM_POOL_REFUSED,
	PROBLEM_DATA_PLANE_DOWN,
	PROBLEM_DATA_PLANE_TIMEOUT,
	/* forebayd itself. */
	PROBLEM_STOPPING,
	PROBLEM_INTERNAL,
	PROBLEM_COUNT, /* not one */
};

struct problem {
	enum problem_code code;
	char detail[ERROR_MESSAGE_BYTES];
	char object[128]; /* "disk d1"; may be empty */
	char hint[256]; /* may be empty */
	char pointer[256]; /* where in the body; may be empty */
	const char *issue; /* of a bundle: bundle_issue.h; may be NULL */
};

/* Returns: -EPROTO, always; never success. */
int problem_set(struct problem *problem, enum problem_code code,
		const char *detail, ...) __attribute__((format(printf, 3, 4)));
/* Names the object, e.g. ("disk", "d1"), and returns -EPROTO. */
int problem_about(struct problem *problem, const char *kind, const char *name);
/* Says what to do, and returns -EPROTO. */
int problem_hint(struct problem *problem, const char *hint, ...)
	__attribute__((format(printf, 2, 3)));
/* The fault is in member or item @step of what was looked at: called from the
 * inside out, it makes a JSON pointer (RFC 6901). Returns -EPROTO. */
int problem_inside(struct problem *problem, const char *step);
/* A failure that isn't the caller's: out of memory, store ... */
int problem_internal(struct problem *problem, const char *what, int result);

int problem_http_status(enum problem_code code);
const char *problem_code_text(enum problem_code code);
/* Returns: a new document, or NULL if out of memory. */
json_t *problem_document(const struct problem *problem);

#endif
