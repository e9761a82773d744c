/* SPDX-License-Identifier: Apache-2.0 */
/*
 * socket_peer.c - who is at the other end of a unix socket.
 *
 * The kernel notes the listener's pid when it calls listen(). When in doubt
 * (another pid namespace, no /proc) the peer counts as alive: a start that is
 * refused can be repeated, a living server's socket must not be taken.
 */
#include "socket_peer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd.h"

/* A process that nobody has waited for yet still has its pid. */
static bool is_zombie(pid_t pid)
{
	char path[64], text[512];
	_cleanup_fd_ int fd = -1;
	const char *name_end;
	ssize_t count;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	count = read(fd, text, sizeof(text) - 1);
	if (count <= 0)
		return false;
	text[count] = '\0';
	/* "pid (name) state ...": the name may hold anything but the end. */
	name_end = strrchr(text, ')');
	return name_end && (strncmp(name_end, ") Z", 3) == 0 ||
			    strncmp(name_end, ") X", 3) == 0);
}

bool socket_peer_is_dead(int fd)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0 ||
	    peer.pid <= 0)
		return false;
	if (kill(peer.pid, 0) < 0 && errno == ESRCH)
		return true;
	return is_zombie(peer.pid);
}
