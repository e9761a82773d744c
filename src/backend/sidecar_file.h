/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sidecar_file.h - the files of filters' sidecars, in the folder beside a
 * backend: FILTER.NAME. What is in them is for others to know.
 *
 * They are opened once for the life of the process, before its doors close, and
 * locked for as long as a pipeline uses them: the lock shows that the I/O of a
 * killed predecessor has ended, and has a network file system look at the
 * server again.
 *
 * Thread: the loop's; removal: any. The calls block as the file system does.
 */
#ifndef FOREBAY_BACKEND_SIDECAR_FILE_H
#define FOREBAY_BACKEND_SIDECAR_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "sidecar_format.h"

/*
 * Opens @name of @folder for the rest of the process's life, or finds it. With
 * @writable folder and file are made where there are none, and belong to the
 * owner of @owner_of (NULL: ours).
 * Returns: 0, -ENOENT (there is none, and it isn't made) or another code of
 * @error, which has words for either.
 */
int sidecar_file_open(const char *folder, const char *owner_of,
		      const char *name, bool writable, int *ret_fd,
		      struct error *error);
/* Without waiting. Returns: 0, -EBUSY (somebody has it) or -errno. */
int sidecar_file_lock(int fd, bool writable);
void sidecar_file_unlock(int fd);

/* What can be known of one without opening it for its disk. */
struct sidecar_file_facts {
	char filter[SIDECAR_TEXT_FIELD_BYTES];
	char name[SIDECAR_TEXT_FIELD_BYTES];
	uint64_t bytes; /* that it takes */
	bool labelled; /* and then: */
	uint8_t disk_uuid[16];
	uint8_t host_uuid[16]; /* that opened it last */
	char filter_version[SIDECAR_TEXT_FIELD_BYTES];
};

/*
 * For the control plane: calls @found for each, in any order. Without the
 * folder there are none. Returns: 0 or -errno.
 */
int sidecar_file_list(const char *folder,
		      void (*found)(void *owner,
				    const struct sidecar_file_facts *facts),
		      void *owner);
/*
 * Removes those that @host_uuid was the last to open; NULL: all. One that
 * somebody has open stays. Returns: 0 or -errno.
 */
int sidecar_file_remove(const char *folder, const uint8_t *host_uuid);
/* Closes what is kept. For tests. */
void sidecar_file_forget(void);

#endif
