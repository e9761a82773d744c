/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.h - where everything of one host lies.
 *
 * With --root DIR all is under DIR, so that several hosts fit on one machine:
 *
 *	DIR/run   sockets, locks (without a root: /run/forebay)
 *	DIR/lib   the store, the disks' configurations (/var/lib/forebay)
 *	DIR/log   logs (/var/log/forebay)
 *
 * host_open() refuses a root under which a socket's path would be too long, so
 * no path made here is ever cut off.
 */
#ifndef FOREBAY_AGENT_HOST_H
#define FOREBAY_AGENT_HOST_H

#include <stdbool.h>

#include "error.h"
#include "uuid_text.h"

#define HOST_PATH_BYTES 512u
#define HOST_NAME_BYTES 65u

struct host_path {
	char text[HOST_PATH_BYTES];
};

struct host {
	char run[HOST_PATH_BYTES];
	char lib[HOST_PATH_BYTES];
	char log[HOST_PATH_BYTES];
	char filters[HOST_PATH_BYTES]; /* where NAME.so are */
	char programs[HOST_PATH_BYTES]; /* given, or "" = look for them */
	char name[HOST_NAME_BYTES]; /* for people */
	char id[UUID_TEXT_BYTES]; /* drawn once, in lib/host-id */
	bool disk_users; /* each disk's process has a user of its own */
	unsigned int socket_gid; /* of the exports' sockets; 0: ours */
	int lock_fd; /* locked as long as we run */
};

/* What the command line says; NULL where it says nothing. */
struct host_options {
	const char *root;
	const char *filter_directory;
	const char *program_directory;
	const char *disk_user; /* "per-disk" or "none" */
	const char *socket_group;
};

/*
 * Makes the folders and takes the host's lock.
 * Returns: 0, -EBUSY if another forebayd has it, or another -errno.
 */
int host_open(const struct host_options *options, struct host *ret_host,
	      struct error *error);
void host_close(struct host *host);

/* A file in run/, lib/ or log/, by a format. */
struct host_path host_run(const struct host *host, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
struct host_path host_lib(const struct host *host, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
struct host_path host_log(const struct host *host, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Finds an executable of Forebay's: in the given directory, else beside our
 * own, else where it's installed. The last place if it's nowhere.
 */
struct host_path host_program(const struct host *host, const char *name);

#endif
