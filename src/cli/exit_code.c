/* SPDX-License-Identifier: Apache-2.0 */
/* exit_code.c - one table in each direction, so that no verb decides alone. */
#include "exit_code.h"

#include <errno.h>

enum exit_code exit_code_from_errno(int code)
{
	switch (-code) {
	case 0:
		return EXIT_CODE_OK;
	case EINVAL:
	case ERANGE:
		return EXIT_CODE_USAGE;
	case ENOENT:
		return EXIT_CODE_NOT_FOUND;
	case EEXIST:
	case EBUSY:
		return EXIT_CODE_REFUSED;
	case ECONNREFUSED:
		return EXIT_CODE_UNREACHABLE;
	case ETIMEDOUT:
		return EXIT_CODE_TIMEOUT;
	}
	return EXIT_CODE_FAILED;
}

int exit_code_errno_from_http(long status)
{
	switch (status) {
	case 400:
	case 413:
	case 422:
		return -EINVAL;
	case 404:
		return -ENOENT;
	case 409:
	case 412:
	case 423:
		return -EBUSY;
	case 408:
	case 504:
		return -ETIMEDOUT;
	}
	return -EIO;
}
