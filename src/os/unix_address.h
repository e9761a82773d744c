/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unix_address.h - the address of a unix socket, with the check that everyone
 * forgets: a path has at most UNIX_PATH_LENGTH_MAX characters.
 */
#ifndef FOREBAY_OS_UNIX_ADDRESS_H
#define FOREBAY_OS_UNIX_ADDRESS_H

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* The kernel's field has 108 bytes, one of them for the NUL. */
#define UNIX_PATH_LENGTH_MAX 107u

/* Returns: 0, -EINVAL (empty) or -ENAMETOOLONG. */
static inline int unix_address(const char *path,
			       struct sockaddr_un *ret_address)
{
	size_t length = strlen(path);
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (length == 0)
		return -EINVAL;
	if (length > UNIX_PATH_LENGTH_MAX)
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, length + 1);
	*ret_address = address;
	return 0;
}

#endif
