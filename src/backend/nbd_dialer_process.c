// SPDX-License-Identifier: Apache-2.0
/* nbd_dialer_process.c - the forked side: waits to be asked, and connects. */
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd.h"
#include "nbd_dialer_wire.h"
#include "passed_fds.h"

/* Returns: whether there is still somebody there. */
static bool answer_with(int socket_fd, struct nbd_dialer_answer *answer, int fd)
{
	struct iovec part = {.iov_base = answer, .iov_len = sizeof(*answer)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	_Alignas(struct cmsghdr) char control[PASSED_FDS_BYTES(1)];

	passed_fds_put(&message, control, &fd, fd >= 0);
	return sendmsg(socket_fd, &message, MSG_NOSIGNAL) >= 0;
}

void nbd_dialer_serve(int socket_fd, const struct nbd_uri *address)
{
	struct nbd_dialer_answer answer;
	bool wanted = true;
	char question;

	prctl(PR_SET_NAME, "forebay-dialer");
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	while (wanted && recv(socket_fd, &question, 1, 0) == 1) {
		int fd;

		answer = (struct nbd_dialer_answer){0};
		fd = nbd_dial(address, answer.reason);
		wanted = answer_with(socket_fd, &answer, fd);
		fd_close(fd);
	}
	_exit(0);
}
