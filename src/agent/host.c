/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.c - paths, folders, and the lock that keeps a second forebayd away.
 */
#include "host.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "file.h"
#include "log.h"
#include "text.h"
#include "unix_address.h"
#include "uuid_draw.h"

/* The longest path of a socket under run/. */
#define LONGEST_SOCKET \
	"/disks/00000000-0000-0000-0000-000000000000/vhost-user-blk.sock"

static struct host_path join(const char *folder, const char *format,
			     va_list arguments)
{
	struct host_path path;
	int length = snprintf(path.text, sizeof(path.text), "%s/", folder);
	size_t left = sizeof(path.text) - (size_t)length;

	length = vsnprintf(path.text + length, left, format, arguments);
	assert(length >= 0 && (size_t)length < left);
	return path;
}

struct host_path host_run(const struct host *host, const char *format, ...)
{
	struct host_path path;
	va_list arguments;

	va_start(arguments, format);
	path = join(host->run, format, arguments);
	va_end(arguments);
	return path;
}

struct host_path host_lib(const struct host *host, const char *format, ...)
{
	struct host_path path;
	va_list arguments;

	va_start(arguments, format);
	path = join(host->lib, format, arguments);
	va_end(arguments);
	return path;
}

struct host_path host_log(const struct host *host, const char *format, ...)
{
	struct host_path path;
	va_list arguments;

	va_start(arguments, format);
	path = join(host->log, format, arguments);
	va_end(arguments);
	return path;
}

static int make_all_folders(struct host *host, struct error *error)
{
	struct host_path folders[] = {
		host_run(host, "disks"),   host_run(host, "cached"),
		host_lib(host, "disks"),   host_lib(host, "sidecars"),
		host_lib(host, "filters"), host_lib(host, "trusted-keys"),
		host_log(host, "%s", ""),
	};

	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		size_t length = strlen(folders[i].text);
		int result;

		if (folders[i].text[length - 1] == '/')
			folders[i].text[length - 1] = '\0';
		result = file_make_directory(folders[i].text, 0755);
		if (result < 0)
			return error_set(error, result,
					 "folder %s can't be made: %s",
					 folders[i].text, strerror(-result));
	}
	/* The store and logs are nobody else's business; sockets are. */
	chmod(host->lib, 0750);
	chmod(host->log, 0750);
	return 0;
}

static int take_lock(struct host *host, struct error *error)
{
	struct host_path path = host_run(host, "forebayd.lock");
	_cleanup_fd_ int fd =
		open(path.text, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	char text[16] = "";

	if (fd < 0)
		return error_set(error, -errno, "%s: %s", path.text,
				 strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (read(fd, text, sizeof(text) - 1) < 0)
			text[0] = '\0';
		return error_set(error, -EBUSY,
				 "another forebayd (pid %d) runs on %s: stop "
				 "it first, or use another --root",
				 atoi(text), host->run);
	}
	snprintf(text, sizeof(text), "%d\n", getpid());
	if (ftruncate(fd, 0) < 0 || write(fd, text, strlen(text)) < 0)
		return error_set(error, -errno, "%s: %s", path.text,
				 strerror(errno));
	host->lock_fd = take_fd(&fd);
	return 0;
}

static void choose_filters(const struct host_options *options,
			   struct host *host)
{
	const char *directory = options->filter_directory;

	if (!directory)
		directory = getenv("FOREBAY_FILTER_DIR");
	if (!directory)
		directory = FOREBAY_FILTERDIR;
	if (!realpath(directory, host->filters))
		snprintf(host->filters, sizeof(host->filters), "%s", directory);
}

/* Whom other hosts find named beside a backend. */
static int make_id(struct host *host, struct error *error)
{
	struct host_path path = host_lib(host, "host-id");
	uint8_t uuid[UUID_BYTES];
	char *text = NULL;
	int result = file_read(path.text, UUID_TEXT_BYTES, &text, NULL);

	if (result == 0) {
		text[strcspn(text, "\n")] = '\0';
		result = uuid_parse(text, uuid);
		free(text);
	} else if (result == -ENOENT) {
		result = uuid_draw(uuid);
		uuid_format(uuid, host->id);
		if (result == 0)
			result = file_write_atomically(path.text, host->id,
						       strlen(host->id), 0644);
	}
	if (result < 0)
		return error_set(error, result,
				 "%s, the id of this host, can't be read or "
				 "made: %s",
				 path.text, strerror(-result));
	uuid_format(uuid, host->id);
	return 0;
}

static int choose_folders(const char *root, struct host *host,
			  struct error *error)
{
	char whole[PATH_MAX];
	int result;

	if (!root) {
		strcpy(host->run, "/run/forebay");
		strcpy(host->lib, "/var/lib/forebay");
		strcpy(host->log, "/var/log/forebay");
		return 0;
	}
	if (strlen(root) >= HOST_PATH_BYTES / 2)
		return error_set(error, -ENAMETOOLONG, "--root %s: too long",
				 root);
	result = file_make_directory(root, 0755);
	if (result < 0 || !realpath(root, whole))
		return error_set(error, result < 0 ? result : -errno,
				 "--root %s can't be made: %s", root,
				 strerror(result < 0 ? -result : errno));
	if (!text_is_clean(whole))
		return error_set(error, -EILSEQ,
				 "--root: its path is not plain text");
	if (strlen(whole) + strlen("/run" LONGEST_SOCKET) >
	    UNIX_PATH_LENGTH_MAX)
		return error_set(error, -ENAMETOOLONG,
				 "--root %s: sockets under it would have paths "
				 "over %u bytes: use one of at most %zu bytes",
				 whole, UNIX_PATH_LENGTH_MAX,
				 (size_t)UNIX_PATH_LENGTH_MAX -
					 strlen("/run" LONGEST_SOCKET));
	snprintf(host->run, sizeof(host->run), "%.256s/run", whole);
	snprintf(host->lib, sizeof(host->lib), "%.256s/lib", whole);
	snprintf(host->log, sizeof(host->log), "%.256s/log", whole);
	return 0;
}

/* A user that is new to this host can only reach what all can reach. */
static bool others_can_enter(const char *folder)
{
	char path[HOST_PATH_BYTES];
	struct stat facts;
	char *slash;

	snprintf(path, sizeof(path), "%s", folder);
	do {
		if (stat(path[0] ? path : "/", &facts) < 0 ||
		    !(facts.st_mode & S_IXOTH))
			return false;
		slash = strrchr(path, '/');
		if (slash)
			*slash = '\0';
	} while (slash);
	return true;
}

static int choose_users(const struct host_options *options, struct host *host,
			struct error *error)
{
	const char *word = options->disk_user ? options->disk_user : "per-disk";
	const struct group *group;

	if (strcmp(word, "per-disk") != 0 && strcmp(word, "none") != 0)
		return error_set(error, -EINVAL,
				 "--disk-user %s: write per-disk or none",
				 word);
	host->disk_users = geteuid() == 0 && strcmp(word, "per-disk") == 0;
	if (host->disk_users && !others_can_enter(host->run)) {
		log_warning("%s can't be entered by other users: the disks' "
			    "processes run as root, without its privileges",
			    host->run);
		host->disk_users = false;
	}
	if (!options->socket_group)
		return 0;
	group = getgrnam(options->socket_group);
	if (!group)
		return error_set(error, -ENOENT,
				 "--socket-group %s: there is no such group",
				 options->socket_group);
	host->socket_gid = group->gr_gid;
	return 0;
}

int host_open(const struct host_options *options, struct host *ret_host,
	      struct error *error)
{
	struct host host = {.lock_fd = -1};
	int result;

	result = choose_folders(options->root, &host, error);
	if (result < 0)
		return result;
	choose_filters(options, &host);
	if (options->program_directory)
		snprintf(host.programs, sizeof(host.programs), "%.256s",
			 options->program_directory);
	if (gethostname(host.name, sizeof(host.name) - 1) < 0)
		strcpy(host.name, "localhost");
	result = make_all_folders(&host, error);
	if (result == 0)
		result = choose_users(options, &host, error);
	if (result == 0)
		result = take_lock(&host, error);
	if (result == 0)
		result = make_id(&host, error);
	if (result == 0)
		*ret_host = host;
	return result;
}

void host_close(struct host *host)
{
	host->lock_fd = fd_close(host->lock_fd);
}

static struct host_path path_in(const char *folder, const char *name)
{
	struct host_path path;

	snprintf(path.text, sizeof(path.text), "%.400s/%.100s", folder, name);
	return path;
}

struct host_path host_program(const struct host *host, const char *name)
{
	char own[HOST_PATH_BYTES] = "";
	struct host_path path;
	char *slash;

	if (host->programs[0])
		return path_in(host->programs, name);
	if (readlink("/proc/self/exe", own, sizeof(own) - 1) > 0) {
		slash = strrchr(own, '/');
		*slash = '\0';
		path = path_in(own, name);
		if (access(path.text, X_OK) == 0)
			return path;
	}
	return path_in(FOREBAY_LIBEXECDIR, name);
}
