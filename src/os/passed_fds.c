// SPDX-License-Identifier: Apache-2.0
/* passed_fds.c - SCM_RIGHTS, there and back. */
#include "passed_fds.h"

#include <string.h>

#include "fd.h"

void passed_fds_put(struct msghdr *message, void *control, const int *fds,
		    unsigned int count)
{
	size_t bytes = sizeof(int) * count;
	struct cmsghdr *header = control;

	if (count == 0)
		return;
	memset(control, 0, CMSG_SPACE(bytes));
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(bytes);
	memcpy(CMSG_DATA(header), fds, bytes);
	message->msg_control = control;
	message->msg_controllen = CMSG_SPACE(bytes);
}

unsigned int passed_fds_take(struct msghdr *message, int *ret_fds,
			     unsigned int room)
{
	unsigned int count = 0;

	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
	     header = CMSG_NXTHDR(message, header)) {
		size_t here = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (header->cmsg_level != SOL_SOCKET ||
		    header->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < here; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(header) + sizeof(int) * i,
			       sizeof(int));
			if (count < room)
				ret_fds[count] = fd;
			else
				fd_close(fd);
			count++;
		}
	}
	return count;
}
