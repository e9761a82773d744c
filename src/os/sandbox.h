/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox.h - what a process gives up before it listens to strangers.
 *
 * It is entered once and never left. From then on the process has the
 * descriptors that it had, makes and removes sockets in the folders that were
 * named, connects to unix sockets that its user may connect to, and does I/O;
 * it opens no file, runs no program, has no child and reaches no other process.
 *
 * Layers that a kernel or a user can't have are missing and reported, not
 * fatal; a change of user that was asked for and fails is.
 */
#ifndef FOREBAY_OS_SANDBOX_H
#define FOREBAY_OS_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"

#define SANDBOX_FOLDERS_MAX 4u

enum sandbox_purpose {
	/* As above. */
	SANDBOX_SERVE = 0,
	/* Reads and writes the descriptors that it has; no socket, no name of
	 * a file. */
	SANDBOX_COMPUTE,
	/* The same, and loads a library: it maps code, and reads the system's
	 * libraries. */
	SANDBOX_LOAD,
};

struct sandbox_spec {
	enum sandbox_purpose purpose;
	bool change_user; /* to these; needs root */
	uid_t uid;
	gid_t gid;
	/* Another group that it stays in, so that sockets can have it; 0: none.
	 */
	gid_t socket_gid;
	/*
	 * Private memory that it may take from now on, on top of what it has;
	 * 0: as much as there is.
	 */
	uint64_t memory_bytes_max;
	/* Sockets may be made and removed in them; NULL where there is none. */
	const char *folders[SANDBOX_FOLDERS_MAX];
};

/* What is in force. */
struct sandbox {
	bool entered;
	bool own_user; /* one that nobody else has */
	bool no_capabilities;
	bool no_new_privileges;
	bool no_dump;
	bool system_calls; /* allow-list */
	bool files; /* Landlock */
	bool memory_limit;
};

/*
 * Order: everything that is loaded later, such as a filter, is loaded.
 * Thread: the only one that there is.
 * Returns: 0, or the change of user's -errno.
 */
int sandbox_enter(const struct sandbox_spec *spec, struct sandbox *ret_sandbox,
		  struct error *error);

#endif
