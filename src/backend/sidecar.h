/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sidecar.h - a small file beside a backend, that whoever opens it reads first.
 *
 * A folder with one file in it, "state": two slots of 4096 bytes, each a text
 * with a serial number and a checksum. A new text goes over the older slot and
 * is durable before the call returns, so after any crash the file holds the
 * text of before or the new one. It is changed in place, because a process
 * behind its doors can't rename, and because a descriptor that was opened
 * before another host wrote must still lead to what that host wrote.
 *
 * The lock is the sidecar's own: one opener that writes, or several that read.
 * It is also what makes a network file system look at the server again.
 *
 * Thread: sidecar_open() is the loop's. All calls block as long as the file
 * system does.
 */
#ifndef FOREBAY_BACKEND_SIDECAR_H
#define FOREBAY_BACKEND_SIDECAR_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

#define SIDECAR_SLOT_BYTES 4096u
/* Longest text, with its NUL. */
#define SIDECAR_TEXT_BYTES 3584u
#define SIDECAR_PATH_BYTES 4096u

struct sidecar {
	int fd; /* kept for the process's life; -1: there is none */
	bool writable;
	char path[SIDECAR_PATH_BYTES]; /* of the file */
};

/*
 * Opens the file of @folder for the rest of the process's life: a later call
 * with the same @folder comes to the same, descriptor or failure. With
 * @writable folder and file are made where there are none; they get the owner
 * of @owner_of (NULL: ours).
 * Returns: 0; -ENOENT (there is none, and none could be made) or another code
 * of @error, which has words for either.
 */
int sidecar_open(const char *folder, const char *owner_of, bool writable,
		 struct sidecar *ret_sidecar, struct error *error);
/*
 * One that is there, for once: no table, any thread. The caller closes
 * ret_sidecar->fd.
 */
int sidecar_open_once(const char *folder, bool writable,
		      struct sidecar *ret_sidecar, struct error *error);
/* Without waiting. Returns: 0, -EBUSY (somebody has it) or -errno. */
int sidecar_lock(const struct sidecar *sidecar);
void sidecar_unlock(const struct sidecar *sidecar);

/*
 * The newest text; "" in a new file.
 * Returns: 0, -EUCLEAN (neither slot is right) or another code of @error.
 */
int sidecar_read(const struct sidecar *sidecar,
		 char ret_text[SIDECAR_TEXT_BYTES], struct error *error);
/* Order: the lock is held. Returns: 0 or @error's code. */
int sidecar_write(const struct sidecar *sidecar, const char *text,
		  struct error *error);

/*
 * The folder itself, made if @make says so. Returns: a descriptor or -errno.
 */
int sidecar_folder(const char *folder, const char *owner_of, bool make);
/* @fd gets the owner of @owner_of, if that can be done. */
void sidecar_give(int fd, const char *owner_of);

/*
 * Removes the files of it and of filters, and the folder if nothing else is in
 * it. Returns: 0 or -errno.
 */
int sidecar_remove(const char *folder);
/* Closes what is kept. For tests. */
void sidecar_forget(void);

#endif
