// SPDX-License-Identifier: Apache-2.0
/*
 * sandbox_files.c - Landlock: no file but the process's own sockets.
 *
 * By the kernel's numbers, because the headers of Debian 12 know only the
 * first of Landlock's versions. A kernel is asked which it has, and gets no
 * more than it knows.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fd.h"
#include "sandbox_private.h"

/* Rights on files by version of the ABI: 1 has 13, each then adds its own. */
#define FILES_V1 ((UINT64_C(1) << 13) - 1)
#define FILES_V2_REFER (UINT64_C(1) << 13)
#define FILES_V3_TRUNCATE (UINT64_C(1) << 14)
#define FILES_V5_IOCTL_DEVICE (UINT64_C(1) << 15)
/* Version 4: to bind and to connect TCP sockets. */
#define NETWORK_TCP UINT64_C(3)
/* Version 6: abstract unix sockets of others, and signals to others. */
#define SCOPED_ALL UINT64_C(3)

struct ruleset {
	uint64_t files;
	uint64_t network;
	uint64_t scoped;
};

/* Returns: how many bytes of it the kernel of this version knows. */
static size_t choose_rules(long version, struct ruleset *ret_ruleset)
{
	*ret_ruleset = (struct ruleset){.files = FILES_V1};
	if (version >= 2)
		ret_ruleset->files |= FILES_V2_REFER;
	if (version >= 3)
		ret_ruleset->files |= FILES_V3_TRUNCATE;
	if (version >= 5)
		ret_ruleset->files |= FILES_V5_IOCTL_DEVICE;
	if (version >= 4)
		ret_ruleset->network = NETWORK_TCP;
	if (version >= 6)
		ret_ruleset->scoped = SCOPED_ALL;
	if (version >= 6)
		return sizeof(*ret_ruleset);
	return version >= 4 ? offsetof(struct ruleset, scoped)
			    : offsetof(struct ruleset, network);
}

/* Where the dynamic loader looks; what a system lacks is left out. */
static const char *const library_places[] = {
	"/lib",	      "/lib64",		"/usr/lib",
	"/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache",
};

static int allow_libraries(int ruleset_fd)
{
	for (size_t i = 0; i < sizeof(library_places) / sizeof(*library_places);
	     i++) {
		_cleanup_fd_ int fd =
			open(library_places[i], O_PATH | O_CLOEXEC);
		struct landlock_path_beneath_attr rule = {
			.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE,
			.parent_fd = fd,
		};

		if (fd >= 0 &&
		    syscall(SYS_landlock_add_rule, ruleset_fd,
			    LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
			return -errno;
	}
	return 0;
}

static int allow_sockets(int ruleset_fd, const char *folder)
{
	_cleanup_fd_ int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = {
		.allowed_access = LANDLOCK_ACCESS_FS_MAKE_SOCK |
				  LANDLOCK_ACCESS_FS_REMOVE_FILE,
		.parent_fd = fd,
	};

	if (fd < 0 || syscall(SYS_landlock_add_rule, ruleset_fd,
			      LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return -errno;
	return 0;
}

int sandbox_limit_files(const struct sandbox_spec *spec)
{
	_cleanup_fd_ int fd = -1;
	struct ruleset ruleset;
	size_t bytes;
	long version;
	int status = 0;

	if (SANDBOX_SANITIZED)
		return -ENOSYS;
	version = syscall(SYS_landlock_create_ruleset, NULL, 0,
			  LANDLOCK_CREATE_RULESET_VERSION);
	if (version < 0)
		return -errno;
	bytes = choose_rules(version, &ruleset);
	fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, bytes, 0);
	if (fd < 0)
		return -errno;
	for (unsigned int i = 0; i < SANDBOX_FOLDERS_MAX && status == 0; i++)
		if (spec->folders[i])
			status = allow_sockets(fd, spec->folders[i]);
	if (status == 0 && spec->purpose == SANDBOX_LOAD)
		status = allow_libraries(fd);
	if (status == 0 && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		status = -errno;
	return status;
}
