/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_farewell.c - the filters of a closed disk are asked whether it may be
 * deleted, by a process that opens it for that alone.
 *
 * Request threads. Only where a filter of its policy wants to be told of
 * `delete` or `detach`: nobody else's deletion depends on a backend that opens.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "disk.h"
#include "disk_config.h"
#include "documents.h"
#include "fd.h"
#include "log.h"
#include "process.h"
#include "text.h"

/* It opens the disk, and each filter has ten seconds twice. */
#define FAREWELL_TIMEOUT_MS 60000
#define STATUS_BYTES_MAX 65536u

static const char *text(const json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member));
}

static bool wants(const json_t *filter)
{
	const json_t *event;
	size_t index;

	json_array_foreach(json_object_get(filter, "events"), index, event)
	{
		const char *name = json_string_value(event);

		if (name && (strcmp(name, "delete") == 0 ||
			     strcmp(name, "detach") == 0))
			return true;
	}
	return false;
}

/* Whether a filter of the disk wants to be told. A broken one can't. */
static bool is_anybody_asked(struct agent *agent, const struct disk *disk)
{
	const char *name =
		text(json_object_get(disk->document, "policy"), "name");
	json_auto_t *policy = NULL;
	const json_t *entry;
	size_t index;

	if (!name ||
	    documents_get(agent->store, &policy, NULL, "policies/%s", name) < 0)
		return false;
	json_array_foreach(json_object_get(policy, "filters"), index, entry)
	{
		json_auto_t *filter = NULL;
		struct problem ignored;

		if (filters_find(agent->filters, text(entry, "filter"), &filter,
				 &ignored) == 0 &&
		    wants(filter))
			return true;
	}
	return false;
}

static int start(struct agent *agent, const struct disk *disk, int status_fd,
		 pid_t *ret_pid, int *ret_pidfd)
{
	struct host_path program = host_program(&agent->host, "forebay-disk");
	struct host_path config =
		host_lib(&agent->host, "disks/%s.json", disk->id);
	struct host_path log =
		host_log(&agent->host, "disk-%s.log", disk->name);
	_cleanup_fd_ int log_fd =
		open(log.text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	char status_number[16];
	const char *const arguments[] = {
		program.text,  "--config",   config.text, "--status-fd",
		status_number, "--deleting", NULL,
	};
	const struct process_spec spec = {
		.path = program.text,
		.arguments = arguments,
		.fds = &status_fd,
		.fd_count = 1,
		.output_fd = log_fd,
	};

	snprintf(status_number, sizeof(status_number), "%d", PROCESS_FIRST_FD);
	if (log_fd < 0)
		return -errno;
	return process_start(&spec, ret_pid, ret_pidfd);
}

/* Returns: its exit code, or minus what happened to it instead. */
static int wait_for(int pidfd)
{
	struct pollfd ended = {.fd = pidfd, .events = POLLIN};
	bool late = poll(&ended, 1, FAREWELL_TIMEOUT_MS) <= 0;
	int code = 0;

	if (late) {
		process_signal(pidfd, SIGKILL);
		poll(&ended, 1, FAREWELL_TIMEOUT_MS);
	}
	if (process_reap(pidfd, &code) < 0 || late)
		return -ETIMEDOUT;
	return code < 0 ? -ECONNRESET : code;
}

/* The words of its last line that has some. */
static void read_reason(int status_fd, char ret_reason[ERROR_MESSAGE_BYTES])
{
	static const char words[] = "it has not said why";
	char *all = malloc(STATUS_BYTES_MAX);
	ssize_t bytes =
		all ? pread(status_fd, all, STATUS_BYTES_MAX - 1, 0) : 0;

	snprintf(ret_reason, ERROR_MESSAGE_BYTES, "%s", words);
	if (bytes > 0)
		all[bytes] = '\0';
	for (char *line = bytes > 0 ? all : NULL; line;) {
		char *end = strchr(line, '\n');
		json_auto_t *said = NULL;

		if (end)
			*end = '\0';
		said = json_loads(line, 0, NULL);
		if (text(said, "message"))
			snprintf(ret_reason, ERROR_MESSAGE_BYTES, "%s",
				 text(said, "message"));
		line = end ? end + 1 : NULL;
	}
	text_clean(ret_reason);
	free(all);
}

static int refuse(struct problem *problem, const struct disk *disk,
		  const char *reason)
{
	problem_set(problem, PROBLEM_DELETE_REFUSED,
		    "disk %s can't be deleted: %s", disk->name, reason);
	problem_about(problem, "disk", disk->name);
	return problem_hint(problem,
			    "a filter of its policy wants to be asked: "
			    "give it what it needs, or take it out "
			    "of the policy");
}

int disk_farewell(struct agent *agent, const struct disk *disk,
		  struct problem *problem)
{
	_cleanup_fd_ int status_fd = -1, pidfd = -1;
	char reason[ERROR_MESSAGE_BYTES];
	bool caches;
	pid_t pid;
	int result;

	if (!is_anybody_asked(agent, disk))
		return 0;
	result = disk_config_write(agent, disk, &caches, problem);
	if (result < 0)
		return result;
	status_fd = memfd_create("status", MFD_CLOEXEC);
	if (status_fd < 0)
		return problem_internal(problem, "disk", -errno);
	result = start(agent, disk, status_fd, &pid, &pidfd);
	if (result < 0)
		return problem_internal(problem, "forebay-disk", result);
	result = wait_for(pidfd);
	if (result == 0)
		return 0;
	if (result == -ETIMEDOUT)
		return refuse(problem, disk, "its filters don't answer");
	read_reason(status_fd, reason);
	return refuse(problem, disk, reason);
}
