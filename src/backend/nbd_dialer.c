// SPDX-License-Identifier: Apache-2.0
/*
 * nbd_dialer.c - the side of those who want to be connected.
 *
 * The process is asked for one connection at a time. An answer goes to whoever
 * has waited longest: a call that was cancelled leaves its answer to the next.
 */
#include "nbd_dialer.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "nbd_dialer_wire.h"
#include "passed_fds.h"

#define GONE_REASON                                                        \
	"the process that connects this disk to its server is gone; make " \
	"another with `forebay disk restart`"

struct nbd_dialer {
	struct loop *loop;
	struct list calls;
	int fd;
	bool asked; /* an answer is on its way */
	bool receiving;
	bool gone;
	bool ended;
	struct loop_io receive;
	struct loop_deferred gone_told;
	struct nbd_dialer_answer answer;
	struct iovec part;
	struct msghdr message;
	_Alignas(struct cmsghdr) char control[PASSED_FDS_BYTES(1)];
	char uri[];
};

static struct nbd_dialer *kept;

static void destroy(struct nbd_dialer *dialer)
{
	fd_close(dialer->fd);
	free(dialer);
}

static void give(struct nbd_dialer *dialer, int fd, const char *reason)
{
	struct list *first = list_take_first(&dialer->calls);
	struct nbd_call *call;

	if (!first) {
		fd_close(fd);
		return;
	}
	list_init(first);
	call = list_entry(first, struct nbd_call, node);
	call->answered(call, fd, reason);
}

static void tell_gone(struct loop_deferred *deferred)
{
	struct nbd_dialer *dialer = deferred->owner;

	while (!list_is_empty(&dialer->calls))
		give(dialer, -1, GONE_REASON);
}

static void lose(struct nbd_dialer *dialer)
{
	dialer->gone = true;
	loop_defer(dialer->loop, &dialer->gone_told);
}

static void ask(struct nbd_dialer *dialer);

static void on_answer(struct loop_io *io, int result)
{
	struct nbd_dialer *dialer = io->owner;
	struct nbd_dialer_answer *answer = &dialer->answer;
	int fd = -1;

	if (result > 0)
		passed_fds_take(&dialer->message, &fd, 1);
	dialer->receiving = false;
	dialer->asked = false;
	if (dialer->ended) {
		fd_close(fd);
		destroy(dialer);
		return;
	}
	if (result != (int)sizeof(*answer)) {
		fd_close(fd);
		lose(dialer);
		return;
	}
	answer->reason[sizeof(answer->reason) - 1] = '\0';
	give(dialer, fd, answer->reason);
	ask(dialer);
}

static void receive(struct nbd_dialer *dialer)
{
	dialer->part = (struct iovec){
		.iov_base = &dialer->answer,
		.iov_len = sizeof(dialer->answer),
	};
	dialer->message = (struct msghdr){
		.msg_iov = &dialer->part,
		.msg_iovlen = 1,
		.msg_control = dialer->control,
		.msg_controllen = sizeof(dialer->control),
	};
	dialer->receive.done = on_answer;
	dialer->receive.owner = dialer;
	dialer->receiving = true;
	loop_recvmsg(dialer->loop, &dialer->receive, dialer->fd,
		     &dialer->message, MSG_CMSG_CLOEXEC);
}

static void ask(struct nbd_dialer *dialer)
{
	if (dialer->gone || dialer->asked || list_is_empty(&dialer->calls))
		return;
	if (send(dialer->fd, "?", 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1) {
		lose(dialer);
		return;
	}
	dialer->asked = true;
	receive(dialer);
}

void nbd_dialer_call(struct nbd_dialer *dialer, struct loop *loop,
		     struct nbd_call *call)
{
	assert(!dialer->loop || dialer->loop == loop);
	dialer->loop = loop;
	list_append(&dialer->calls, &call->node);
	if (dialer->gone)
		loop_defer(loop, &dialer->gone_told);
	else
		ask(dialer);
}

void nbd_dialer_cancel(struct nbd_call *call)
{
	list_remove(&call->node);
	list_init(&call->node);
}

void nbd_dialer_end(struct nbd_dialer *dialer)
{
	if (!dialer || dialer == kept)
		return;
	assert(list_is_empty(&dialer->calls));
	dialer->ended = true;
	if (dialer->loop)
		loop_defer_cancel(dialer->loop, &dialer->gone_told);
	if (dialer->receiving)
		loop_cancel(dialer->loop, &dialer->receive);
	else
		destroy(dialer);
}

/*
 * The process is its grandparent's no more, so that nobody has to reap it: the
 * sandbox allows no wait. Returns: 0 or a negative errno.
 */
static int fork_process(int fd, const struct nbd_uri *address)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		pid = fork();
		if (pid != 0)
			_exit(pid < 0 ? errno : 0);
		if (dup2(fd, STDIN_FILENO) < 0 || close_range(1, ~0u, 0) < 0)
			_exit(1);
		nbd_dialer_serve(STDIN_FILENO, address);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}

int nbd_dialer_start(const char *uri, const struct nbd_uri *address,
		     struct nbd_dialer **ret_dialer, struct error *error)
{
	_cleanup_fd_ int ours = -1, its = -1;
	struct nbd_dialer *dialer;
	int pair[2];
	int status;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_set(error, -errno, "backend %s: socketpair: %s",
				 uri, strerror(errno));
	ours = pair[0];
	its = pair[1];
	dialer = calloc(1, sizeof(*dialer) + strlen(uri) + 1);
	status = dialer ? fork_process(its, address) : -ENOMEM;
	if (status < 0) {
		free(dialer);
		return error_set(error, status,
				 "backend %s: can't start the process that "
				 "connects to the server: %s",
				 uri, strerror(-status));
	}
	memcpy(dialer->uri, uri, strlen(uri) + 1);
	list_init(&dialer->calls);
	dialer->fd = take_fd(&ours);
	dialer->gone_told.run = tell_gone;
	dialer->gone_told.owner = dialer;
	*ret_dialer = dialer;
	return 0;
}

int nbd_dialer_keep(const char *uri, struct error *error)
{
	struct nbd_uri address;
	int status;

	if (nbd_dialer_kept(uri))
		return 0;
	if (kept)
		return error_set(error, -EBUSY,
				 "backend %s: this process connects to %s", uri,
				 kept->uri);
	status = nbd_uri_parse(uri, &address, error);
	if (status == 0)
		status = nbd_dialer_start(uri, &address, &kept, error);
	nbd_uri_release(&address);
	return status;
}

struct nbd_dialer *nbd_dialer_kept(const char *uri)
{
	return kept && strcmp(kept->uri, uri) == 0 ? kept : NULL;
}
