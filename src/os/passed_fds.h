/* SPDX-License-Identifier: Apache-2.0 */
/* passed_fds.h - descriptors that go with a message on a unix socket. */
#ifndef FOREBAY_OS_PASSED_FDS_H
#define FOREBAY_OS_PASSED_FDS_H

#include <sys/socket.h>

/* Room for @count of them; aligned as struct cmsghdr. */
#define PASSED_FDS_BYTES(count) CMSG_SPACE(sizeof(int) * (count))

/*
 * @message takes @count copies of @fds along; none is fine.
 * @control: PASSED_FDS_BYTES(@count), lives until the message is sent.
 */
void passed_fds_put(struct msghdr *message, void *control, const int *fds,
		    unsigned int count);
/*
 * What came with @message, as recvmsg() left it. Those beyond @room are closed.
 * Owns: the caller has those in @ret_fds. Returns: how many came.
 */
unsigned int passed_fds_take(struct msghdr *message, int *ret_fds,
			     unsigned int room);

#endif
