/* SPDX-License-Identifier: Apache-2.0 */
/*
 * problem.c - the table of codes, and the documents made of them.
 */
#include "problem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

static const struct {
	const char *code;
	int http_status;
	const char *title;
} kinds[PROBLEM_COUNT] = {
	[PROBLEM_BAD_JSON] = {"bad-json", 400, "The body is not JSON"},
	[PROBLEM_BAD_REQUEST] = {"bad-request", 400,
				 "The request is not understood"},
	[PROBLEM_BAD_NAME] = {"bad-name", 400, "Not a name"},
	[PROBLEM_BAD_SIZE] = {"bad-size", 400, "Not a disk's size"},
	[PROBLEM_BAD_BACKEND] = {"bad-backend", 400, "Not a usable backend"},
	[PROBLEM_BAD_PATH] = {"bad-path", 400, "Not a usable path"},
	[PROBLEM_BAD_PROPERTY] = {"bad-property", 400,
				  "A property has a wrong value"},
	[PROBLEM_UNKNOWN_POLICY] = {"unknown-policy", 400,
				    "No policy has this name"},
	[PROBLEM_UNKNOWN_FILTER] = {"unknown-filter", 400,
				    "No installed filter has this name"},
	[PROBLEM_UNKNOWN_PROPERTY] = {"unknown-property", 400,
				      "The filter has no such property"},
	[PROBLEM_BROKEN_FILTER] = {"broken-filter", 400,
				   "The filter can't be used"},
	[PROBLEM_TOO_LARGE] = {"too-large", 413, "The request is too large"},
	[PROBLEM_METHOD_NOT_ALLOWED] = {"method-not-allowed", 405,
					"The resource has no such method"},
	[PROBLEM_NO_SUCH_ROUTE] = {"no-such-route", 404,
				   "The API has no such resource"},
	[PROBLEM_NO_SUCH_POOL] = {"no-such-pool", 404, "No pool has this name"},
	[PROBLEM_NO_SUCH_POLICY] = {"no-such-policy", 404,
				    "No policy has this name"},
	[PROBLEM_NO_SUCH_FILTER] = {"no-such-filter", 404,
				    "No installed filter has this name"},
	[PROBLEM_NO_SUCH_DISK] = {"no-such-disk", 404,
				  "No disk has this name or id"},
	[PROBLEM_NO_SUCH_ACTION] = {"no-such-action", 404,
				    "No filter of the disk has this action"},
	[PROBLEM_NO_SUCH_KEY] = {"no-such-key", 404,
				 "No trusted key has this name"},
	[PROBLEM_POOL_EXISTS] = {"pool-exists", 409,
				 "A pool has this name already"},
	[PROBLEM_POLICY_EXISTS] = {"policy-exists", 409,
				   "A policy has this name already"},
	[PROBLEM_DISK_EXISTS] = {"disk-exists", 409,
				 "A disk has this name already"},
	[PROBLEM_PATH_IN_USE] = {"path-in-use", 409,
				 "The directory belongs to a pool already"},
	[PROBLEM_BACKEND_IN_USE] = {"backend-in-use", 409,
				    "The backend belongs to a disk already"},
	[PROBLEM_BACKEND_MISSING] = {"backend-missing", 409,
				     "The backend does not exist"},
	[PROBLEM_BACKEND_EXISTS] = {"backend-exists", 409,
				    "The backend exists already"},
	[PROBLEM_SIZE_MISMATCH] = {"size-mismatch", 409,
				   "The backend has another size"},
	[PROBLEM_NO_SUCH_EXPORT] = {"no-such-export", 409,
				    "The disk has no such export"},
	[PROBLEM_NO_CACHE] = {"no-cache", 409, "The disk has no cache"},
	[PROBLEM_DISK_OPEN] = {"disk-open", 409, "The disk is open"},
	[PROBLEM_DISK_NOT_OPEN] = {"disk-not-open", 409,
				   "The disk is not open"},
	[PROBLEM_DISK_DIRTY] = {"disk-dirty", 409, "The disk is dirty"},
	[PROBLEM_DISK_BUSY] = {"disk-busy", 409,
			       "The disk is being changed by someone else"},
	[PROBLEM_DISK_HELD] = {"disk-held", 409,
			       "The disk's backend is held for a backup"},
	[PROBLEM_DISK_NOT_HELD] = {"disk-not-held", 409,
				   "The disk's backend is not held"},
	[PROBLEM_DELETE_REFUSED] = {"delete-refused", 409,
				    "A filter does not let the disk go"},
	[PROBLEM_HOLD_REFUSED] = {"hold-refused", 409,
				  "The disk's backend can't be held"},
	[PROBLEM_HOLD_ENDED] = {"hold-ended", 409,
				"The backend did not stay as it was"},
	[PROBLEM_FILTER_IN_USE] = {"filter-in-use", 409,
				   "The filter is in use"},
	[PROBLEM_KEY_EXISTS] = {"key-exists", 409,
				"A trusted key has this name already"},
	[PROBLEM_BUNDLE_REFUSED] = {"bundle-refused", 422,
				    "The filter bundle is refused"},
	[PROBLEM_NO_SPACE] = {"no-space", 507, "There is not enough space"},
	[PROBLEM_OPEN_FAILED] = {"open-failed", 502,
				 "The disk could not be opened"},
	[PROBLEM_CLOSE_FAILED] = {"close-failed", 502,
				  "The disk could not be closed cleanly"},
	[PROBLEM_FLUSH_FAILED] = {"flush-failed", 502,
				  "The disk could not be flushed"},
	[PROBLEM_RESIZE_FAILED] = {"resize-failed", 502,
				   "The disk could not be resized"},
	[PROBLEM_CALL_FAILED] = {"call-failed", 502,
				 "The filter's action failed"},
	[PROBLEM_POOL_REFUSED] = {"pool-refused", 502,
				  "The cache daemon refused the pool"},
	[PROBLEM_DATA_PLANE_DOWN] = {"data-plane-down", 503,
				     "A process is not running"},
	[PROBLEM_DATA_PLANE_TIMEOUT] = {"data-plane-timeout", 504,
					"A process does not answer"},
	[PROBLEM_STOPPING] = {"stopping", 503, "forebayd is stopping"},
	[PROBLEM_INTERNAL] = {"internal", 500, "forebayd failed"},
};

int problem_set(struct problem *problem, enum problem_code code,
		const char *detail, ...)
{
	va_list arguments;

	*problem = (struct problem){.code = code};
	va_start(arguments, detail);
	vsnprintf(problem->detail, sizeof(problem->detail), detail, arguments);
	va_end(arguments);
	return -EPROTO;
}

int problem_about(struct problem *problem, const char *kind, const char *name)
{
	snprintf(problem->object, sizeof(problem->object), "%s %s", kind, name);
	return -EPROTO;
}

int problem_hint(struct problem *problem, const char *hint, ...)
{
	va_list arguments;

	va_start(arguments, hint);
	vsnprintf(problem->hint, sizeof(problem->hint), hint, arguments);
	va_end(arguments);
	return -EPROTO;
}

int problem_inside(struct problem *problem, const char *step)
{
	char pointer[sizeof(problem->pointer)] = "/";
	size_t length = 1;

	/* Room for "~1" and the NUL. */
	for (; *step && length + 3 < sizeof(pointer); step++) {
		if (*step == '~' || *step == '/')
			pointer[length++] = '~';
		pointer[length++] = *step == '~'   ? '0'
				    : *step == '/' ? '1'
						   : *step;
	}
	/* What doesn't fit is pointed at by what is around it. */
	if (*step || length + strlen(problem->pointer) >= sizeof(pointer)) {
		problem->pointer[0] = '\0';
		return -EPROTO;
	}
	memcpy(pointer + length, problem->pointer,
	       strlen(problem->pointer) + 1);
	memcpy(problem->pointer, pointer, sizeof(pointer));
	return -EPROTO;
}

int problem_internal(struct problem *problem, const char *what, int result)
{
	problem_set(problem, PROBLEM_INTERNAL, "%s: %s", what,
		    strerror(-result));
	if (result == -ENOSPC)
		problem_hint(problem, "make space on the file system of "
				      "forebayd's state");
	else if (result == -EROFS)
		problem_hint(problem, "make forebayd's state writable");
	return -EPROTO;
}

int problem_http_status(enum problem_code code)
{
	return kinds[code].http_status;
}

const char *problem_code_text(enum problem_code code)
{
	return kinds[code].code;
}

json_t *problem_document(const struct problem *problem)
{
	const char *code = kinds[problem->code].code;
	/* Words of the request are in it, and cut off where it's full. */
	struct problem clean = *problem;
	char type[64];

	text_clean(clean.detail);
	text_clean(clean.object);
	text_clean(clean.hint);
	snprintf(type, sizeof(type), "urn:forebay:problem:%s", code);
	return json_pack(
		"{s:s, s:s, s:i, s:s, s:s, s:s?, s:s?, s:s*, s:s*}", "type",
		type, "title", kinds[problem->code].title, "status",
		kinds[problem->code].http_status, "code", code, "detail",
		clean.detail, "object", clean.object[0] ? clean.object : NULL,
		"hint", clean.hint[0] ? clean.hint : NULL, "pointer",
		clean.pointer[0] ? clean.pointer : NULL, "issue", clean.issue);
}
