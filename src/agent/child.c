/* SPDX-License-Identifier: Apache-2.0 */
/*
 * child.c - the lock that a process inherits, and who holds it.
 *
 * The lock is on the open file description, which the process gets from us and
 * keeps when we die. If we die before its pid is in the file, the next forebayd
 * learns it from the control socket, whose listener the kernel knows.
 */
#include "child.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd.h"
#include "file.h"
#include "process.h"
#include "unix_address.h"

#define PATH_BYTES 512u
#define REPORT_BYTES_MAX 4096u
#define LOCK_TEXT_BYTES 64u

static int open_in(const char *folder, const char *name, int flags)
{
	char path[PATH_BYTES];
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	/* The process may make files here: a link of its making leads nowhere.
	 */
	fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? -errno : fd;
}

/* -- starting ----------------------------------------------------------- */

/* Takes the folder's lock for the process that is to come. */
static int open_locked(const char *folder, int *ret_fd)
{
	_cleanup_fd_ int fd = open_in(folder, "lock", O_RDWR | O_CREAT);

	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	/* No pid is better than an old one. */
	if (ftruncate(fd, 0) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* A failure to write costs the next forebayd a look at the control socket. */
static void write_identity(int lock_fd, pid_t pid)
{
	char text[LOCK_TEXT_BYTES];
	uint64_t ticks;

	if (process_start_time(pid, &ticks) < 0)
		return;
	snprintf(text, sizeof(text), "%d %" PRIu64 "\n", pid, ticks);
	file_write_all(lock_fd, text, strlen(text));
}

static int run(const struct child_spec *spec, const struct unit *unit,
	       const int fds[2], int log_fd, struct child *ret_child)
{
	static const char *const duties[] = {
		[UNIT_SERVES] = NULL,
		[UNIT_EXPECTS] = "--incoming",
		[UNIT_HAS_LEFT] = "--handed-over",
		[UNIT_DRAINS] = "--drain",
	};
	const char *arguments[CHILD_ARGUMENTS_MAX + 7];
	char status_fd[16];
	unsigned int count = 0;
	const struct process_spec process = {
		.path = spec->arguments[0],
		.arguments = arguments,
		.fds = fds,
		.fd_count = 2,
		.output_fd = log_fd,
	};

	for (; spec->arguments[count]; count++) {
		assert(count < CHILD_ARGUMENTS_MAX);
		arguments[count] = spec->arguments[count];
	}
	snprintf(status_fd, sizeof(status_fd), "%d", PROCESS_FIRST_FD);
	arguments[count++] = "--status-fd";
	arguments[count++] = status_fd;
	if (duties[unit->duty])
		arguments[count++] = duties[unit->duty];
	/* forebay-cached has nothing to believe. */
	if (unit->drains && unit->warm)
		arguments[count++] = "--warm";
	if (unit->drains && unit_is_suspicious(unit))
		arguments[count++] = "--one-by-one";
	if (unit->bypasses)
		arguments[count++] = "--bypass";
	arguments[count] = NULL;
	return process_start(&process, &ret_child->pid, &ret_child->pidfd);
}

int child_start(const struct child_spec *spec, const struct unit *unit,
		struct child *ret_child, struct error *error)
{
	static const char *const duties[] = {
		[UNIT_SERVES] = "",
		[UNIT_EXPECTS] = "{\"state\":\"parking\"}\n",
		[UNIT_HAS_LEFT] = "{\"state\":\"parking\",\"left\":true}\n",
		[UNIT_DRAINS] = "{\"state\":\"draining\"}\n",
	};
	_cleanup_fd_ int lock_fd = -1, status_fd = -1, log_fd = -1;
	struct child child;
	int result;

	result = open_locked(spec->folder, &lock_fd);
	if (result == -EBUSY)
		return result;
	if (result < 0)
		return error_set(error, result, "%s/lock: %s", spec->folder,
				 strerror(-result));
	status_fd = open_in(spec->folder, "status",
			    O_WRONLY | O_CREAT | O_TRUNC | O_APPEND);
	if (status_fd < 0)
		return error_set(error, status_fd, "%s/status: %s",
				 spec->folder, strerror(-status_fd));
	/* Even if it dies at once, who comes next must not take the locks. */
	file_write_all(status_fd, duties[unit->duty],
		       strlen(duties[unit->duty]));
	log_fd = open(spec->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
		      0640);
	if (log_fd < 0)
		return error_set(error, -errno, "log file %s: %s",
				 spec->log_path, strerror(errno));
	result = run(spec, unit, (const int[]){status_fd, lock_fd}, log_fd,
		     &child);
	if (result < 0)
		return error_set(error, result, "%s can't be run: %s",
				 spec->arguments[0], strerror(-result));
	write_identity(lock_fd, child.pid);
	*ret_child = child;
	return 0;
}

/* -- finding ------------------------------------------------------------ */

static bool is_held(int lock_fd)
{
	if (flock(lock_fd, LOCK_SH | LOCK_NB) < 0)
		return true;
	flock(lock_fd, LOCK_UN);
	return false;
}

/* Returns: a pidfd, or -ESRCH if the file doesn't say. */
static int open_written(int lock_fd, pid_t *ret_pid)
{
	char text[LOCK_TEXT_BYTES] = "";
	uint64_t ticks;
	int pid, fd;

	if (pread(lock_fd, text, sizeof(text) - 1, 0) <= 0 ||
	    sscanf(text, "%d %" SCNu64, &pid, &ticks) != 2)
		return -ESRCH;
	fd = process_open(pid, ticks);
	if (fd >= 0)
		*ret_pid = pid;
	return fd;
}

/* The process that listens on the control socket. */
static int open_listener(const char *socket_path, pid_t *ret_pid)
{
	_cleanup_fd_ int fd = -1;
	struct sockaddr_un address;
	struct ucred peer;
	socklen_t length = sizeof(peer);
	uint64_t ticks;
	int pidfd;

	if (unix_address(socket_path, &address) < 0)
		return -ESRCH;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0 ||
	    process_start_time(peer.pid, &ticks) < 0)
		return -ESRCH;
	pidfd = process_open(peer.pid, ticks);
	if (pidfd >= 0)
		*ret_pid = peer.pid;
	return pidfd;
}

int child_adopt(const struct child_spec *spec, struct child *ret_child)
{
	_cleanup_fd_ int fd = open_in(spec->folder, "lock", O_RDWR);
	pid_t pid;
	int pidfd;

	if (fd < 0)
		return -ENOENT;
	if (!is_held(fd))
		return -ENOENT;
	pidfd = open_written(fd, &pid);
	if (pidfd < 0)
		pidfd = open_listener(spec->control_socket, &pid);
	if (pidfd < 0)
		return -EAGAIN;
	*ret_child = (struct child){.pid = pid, .pidfd = pidfd};
	return 0;
}

/* -- ending ------------------------------------------------------------- */

struct unit_end child_reap(struct child *child)
{
	struct unit_end end = {0};
	int code = 0;

	/* One that another forebayd started is somebody else's to reap. */
	if (process_reap(child->pidfd, &code) == 0) {
		end.known = true;
		end.exit_status = code >= 0 ? code : 0;
		end.signal = code < 0 ? -code : 0;
	}
	child_release(child);
	return end;
}

void child_release(struct child *child)
{
	if (child->pid > 0)
		fd_close(child->pidfd);
	*child = (struct child){0};
}

/* -- what it says ------------------------------------------------------- */

static enum child_report_state parse_state(const char *state)
{
	if (!state)
		return CHILD_REPORT_NONE;
	if (strcmp(state, "opening") == 0)
		return CHILD_REPORT_OPENING;
	if (strcmp(state, "ready") == 0)
		return CHILD_REPORT_READY;
	if (strcmp(state, "parking") == 0)
		return CHILD_REPORT_PARKING;
	if (strcmp(state, "incoming") == 0 || strcmp(state, "handed-over") == 0)
		return CHILD_REPORT_PARKED;
	if (strcmp(state, "draining") == 0)
		return CHILD_REPORT_DRAINING;
	if (strcmp(state, "failed") == 0)
		return CHILD_REPORT_FAILED;
	if (strcmp(state, "closed") == 0)
		return CHILD_REPORT_CLOSED;
	return CHILD_REPORT_NONE;
}

/* One line of the status file. */
static void parse_report(const char *line, struct child_report *ret_report)
{
	json_auto_t *root = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	const char *text = json_string_value(json_object_get(root, "message"));
	const char *state = json_string_value(json_object_get(root, "state"));

	if (!text)
		text = json_string_value(json_object_get(root, "reason"));
	ret_report->state = parse_state(state);
	if (ret_report->state == CHILD_REPORT_PARKING ||
	    ret_report->state == CHILD_REPORT_PARKED)
		ret_report->duty =
			json_is_true(json_object_get(root, "left")) ||
					strcmp(state, "handed-over") == 0
				? UNIT_HAS_LEFT
				: UNIT_EXPECTS;
	snprintf(ret_report->message, sizeof(ret_report->message), "%s",
		 text ? text : "");
}

void child_read_report(const struct child_spec *spec,
		       struct child_report *ret_report)
{
	char bytes[REPORT_BYTES_MAX + 1];
	_cleanup_fd_ int fd = open_in(spec->folder, "status", O_RDONLY);
	char *line, *end, *rest = NULL;
	bool was_ready = false;
	ssize_t count;
	off_t size;

	*ret_report = (struct child_report){0};
	if (fd < 0)
		return;
	size = lseek(fd, 0, SEEK_END);
	count = pread(fd, bytes, REPORT_BYTES_MAX,
		      size > REPORT_BYTES_MAX ? size - REPORT_BYTES_MAX : 0);
	if (count <= 0)
		return;
	bytes[count] = '\0';
	/* A line without its end is still being written. */
	end = strrchr(bytes, '\n');
	if (!end)
		return;
	*end = '\0';
	/* The last one holds. */
	for (line = strtok_r(bytes, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		*ret_report = (struct child_report){0};
		parse_report(line, ret_report);
		was_ready |= ret_report->state == CHILD_REPORT_READY;
	}
	ret_report->was_ready = was_ready;
}
