// SPDX-License-Identifier: Apache-2.0
/*
 * sidecar.c - the two slots, and the table of files that are kept open.
 *
 *   slot    forebay-sidecar 1\n
 *           serial 0000000000000007 length 000123 crc 0a1b2c3d\n
 *           text ...
 *           zeros up to 4096 bytes
 *
 * The CRC is over "serial ... length ...", as it stands there, and the text.
 */
#include "sidecar.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crc32c.h"
#include "failpoint.h"
#include "fd.h"
#include "file.h"
#include "sidecar_file.h"

#define SLOTS 2u
#define KEPT_MAX 4u
/* Nobody writes so often: it is no serial number of ours. */
#define SERIAL_MAX (UINT64_C(1) << 62)
#define FIRST_LINE "forebay-sidecar 1\n"
#define FIRST_LINE_BYTES (sizeof(FIRST_LINE) - 1)
/* "serial 0000000000000007 length 000123" */
#define CHECKED_BYTES 37u
/* " crc 0a1b2c3d\n" */
#define CRC_BYTES 14u
#define TEXT_OFFSET (FIRST_LINE_BYTES + CHECKED_BYTES + CRC_BYTES)

_Static_assert(TEXT_OFFSET + SIDECAR_TEXT_BYTES <= SIDECAR_SLOT_BYTES,
	       "the longest text fits into a slot");

/* What an open came to, for good. */
struct kept {
	char *folder;
	bool writable;
	int fd; /* -1: and why */
	struct error error;
};

static struct kept kept[KEPT_MAX];
static unsigned int kept_count;

static int fail(const char *path, int code, const char *what,
		struct error *error)
{
	return error_set(error, code, "sidecar %s: %s: %s", path, what,
			 strerror(-code));
}

static uint32_t slot_crc(const char *checked, const char *text, size_t length)
{
	return crc32c(crc32c(0, checked, CHECKED_BYTES), text, length);
}

/* Returns: the slot's serial number, 0 if it isn't right. */
static uint64_t slot_parse(const char slot[SIDECAR_SLOT_BYTES],
			   char ret_text[SIDECAR_TEXT_BYTES])
{
	const char *checked = slot + FIRST_LINE_BYTES;
	const char *text = slot + TEXT_OFFSET;
	char head[CHECKED_BYTES + CRC_BYTES + 1];
	uint64_t serial;
	unsigned int length;
	uint32_t crc;

	memcpy(head, checked, sizeof(head) - 1);
	head[sizeof(head) - 1] = '\0';
	if (memcmp(slot, FIRST_LINE, FIRST_LINE_BYTES) != 0 ||
	    sscanf(head, "serial %16" SCNx64 " length %6u crc %8" SCNx32,
		   &serial, &length, &crc) != 3 ||
	    length >= SIDECAR_TEXT_BYTES ||
	    slot_crc(checked, text, length) != crc)
		return 0;
	memcpy(ret_text, text, length);
	ret_text[length] = '\0';
	return serial;
}

static void slot_format(char slot[SIDECAR_SLOT_BYTES], uint64_t serial,
			const char *text)
{
	size_t length = strlen(text);
	char checked[CHECKED_BYTES + 1];
	uint32_t crc;

	memset(slot, 0, SIDECAR_SLOT_BYTES);
	snprintf(checked, sizeof(checked), "serial %016" PRIx64 " length %06zu",
		 serial, length);
	crc = slot_crc(checked, text, length);
	snprintf(slot, SIDECAR_SLOT_BYTES, "%s%s crc %08" PRIx32 "\n%s",
		 FIRST_LINE, checked, crc, text);
}

/* Returns: the newest serial number, 0 if no slot is right, or -errno. */
static int64_t read_slots(const struct sidecar *sidecar,
			  char ret_text[SIDECAR_TEXT_BYTES], bool *ret_blank)
{
	char slot[SIDECAR_SLOT_BYTES], text[SIDECAR_TEXT_BYTES];
	static const char zeros[SIDECAR_SLOT_BYTES];
	uint64_t newest = 0;

	*ret_blank = true;
	for (unsigned int i = 0; i < SLOTS; i++) {
		ssize_t count = pread(sidecar->fd, slot, sizeof(slot),
				      (off_t)i * SIDECAR_SLOT_BYTES);
		uint64_t serial;

		if (count < 0)
			return -errno;
		memset(slot + count, 0, sizeof(slot) - (size_t)count);
		*ret_blank &= memcmp(slot, zeros, sizeof(slot)) == 0;
		serial = slot_parse(slot, text);
		if (serial <= newest || serial > SERIAL_MAX)
			continue;
		newest = serial;
		memcpy(ret_text, text, sizeof(text));
	}
	return (int64_t)newest;
}

int sidecar_read(const struct sidecar *sidecar,
		 char ret_text[SIDECAR_TEXT_BYTES], struct error *error)
{
	char text[SIDECAR_TEXT_BYTES] = "";
	bool blank;
	int64_t serial = read_slots(sidecar, text, &blank);

	if (serial < 0)
		return fail(sidecar->path, (int)serial, "can't be read", error);
	if (serial == 0 && !blank)
		return error_set(
			error, -EUCLEAN,
			"sidecar %s: is damaged, or of a newer Forebay: it "
			"can't be seen whether a host has data that the "
			"backend lacks; if you know that none has, move it "
			"away",
			sidecar->path);
	memcpy(ret_text, text, sizeof(text));
	return 0;
}

int sidecar_write(const struct sidecar *sidecar, const char *text,
		  struct error *error)
{
	char slot[SIDECAR_SLOT_BYTES], before[SIDECAR_TEXT_BYTES];
	bool blank;
	int64_t serial = read_slots(sidecar, before, &blank);
	ssize_t count;

	if (strlen(text) >= SIDECAR_TEXT_BYTES)
		return fail(sidecar->path, -EMSGSIZE, "can't be written",
			    error);
	if (serial < 0)
		return fail(sidecar->path, (int)serial, "can't be read", error);
	if (serial == (int64_t)SERIAL_MAX)
		return fail(sidecar->path, -EOVERFLOW, "can't be written",
			    error);
	serial++;
	slot_format(slot, (uint64_t)serial, text);
	failpoint(FAILPOINT_SIDECAR_BEGIN);
	count = pwrite(sidecar->fd, slot, sizeof(slot),
		       serial % SLOTS * SIDECAR_SLOT_BYTES);
	if (count >= 0 && count < (ssize_t)sizeof(slot))
		return fail(sidecar->path, -ENOSPC, "can't be written", error);
	failpoint(FAILPOINT_SIDECAR_WRITTEN);
	if (count < 0 || fsync(sidecar->fd) < 0)
		return fail(sidecar->path, -errno, "can't be written", error);
	failpoint(FAILPOINT_SIDECAR_SYNCED);
	return 0;
}

static int set_lock(const struct sidecar *sidecar, short type)
{
	struct flock lock = {
		.l_type = type,
		.l_whence = SEEK_SET,
	};

	if (fcntl(sidecar->fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

int sidecar_lock(const struct sidecar *sidecar)
{
	return set_lock(sidecar, sidecar->writable ? F_WRLCK : F_RDLCK);
}

void sidecar_unlock(const struct sidecar *sidecar)
{
	set_lock(sidecar, F_UNLCK);
}

/* To whom the image belongs: who may write it shall be able to write this. */
void sidecar_give(int fd, const char *owner_of)
{
	struct stat facts;

	/* Without the right to do so it stays ours, who may write the image. */
	if (owner_of && stat(owner_of, &facts) == 0 &&
	    fchown(fd, facts.st_uid, facts.st_gid) < 0)
		return;
}

/* Two openers may make it at the same time: one file is left. */
static int make_file(int folder_fd, const char *owner_of)
{
	char source[sizeof("/proc/self/fd/") + 11];
	_cleanup_fd_ int fd =
		openat(folder_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	/* A file system without nameless files: an empty one reads as new. */
	if (fd < 0) {
		fd = openat(folder_fd, "state", O_RDWR | O_CREAT | O_CLOEXEC,
			    0600);
		if (fd < 0)
			return -errno;
	}
	sidecar_give(fd, owner_of);
	failpoint(FAILPOINT_SIDECAR_OPENED);
	if (ftruncate(fd, SLOTS * SIDECAR_SLOT_BYTES) < 0 || fsync(fd) < 0)
		return -errno;
	failpoint(FAILPOINT_SIDECAR_SIZED);
	snprintf(source, sizeof(source), "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, source, folder_fd, "state", AT_SYMLINK_FOLLOW) <
		    0 &&
	    errno != EEXIST)
		return -errno;
	failpoint(FAILPOINT_SIDECAR_NAMED);
	return fsync(folder_fd) < 0 ? -errno : 0;
}

int sidecar_folder(const char *folder, const char *owner_of, bool make)
{
	bool made = make && mkdir(folder, 0700) == 0;
	int fd;

	if (make && !made && errno != EEXIST)
		return -errno;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (made) {
		sidecar_give(fd, owner_of);
		file_sync_directory_of(folder);
	}
	return fd;
}

static int open_file(const char *folder, const char *owner_of, bool writable,
		     bool make)
{
	int flags = (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW;
	_cleanup_fd_ int folder_fd = sidecar_folder(folder, owner_of, make);
	int fd, status;

	if (folder_fd < 0)
		return folder_fd;
	fd = openat(folder_fd, "state", flags);
	if (fd < 0 && errno == ENOENT && make) {
		status = make_file(folder_fd, owner_of);
		if (status < 0)
			return status;
		fd = openat(folder_fd, "state", flags);
	}
	return fd < 0 ? -errno : fd;
}

static int keep(const char *folder, bool writable, int fd,
		const struct error *error)
{
	struct kept *entry = &kept[kept_count];

	if (kept_count == KEPT_MAX)
		return -ENOSPC;
	entry->folder = strdup(folder);
	if (!entry->folder)
		return -ENOMEM;
	entry->writable = writable;
	entry->fd = fd;
	entry->error = *error;
	kept_count++;
	return 0;
}

static const struct kept *find(const char *folder, bool writable)
{
	for (unsigned int i = 0; i < kept_count; i++)
		if (kept[i].writable == writable &&
		    strcmp(kept[i].folder, folder) == 0)
			return &kept[i];
	return NULL;
}

/* Returns: a descriptor, or the code of @error. */
static int open_or_explain(const char *folder, const char *owner_of,
			   bool writable, struct error *error)
{
	int fd = open_file(folder, owner_of, writable, writable);
	int existing;

	if (fd >= 0 || !writable)
		return fd < 0 ? fail(folder, fd, "can't be opened", error) : fd;
	fail(folder, fd, "can't be made or written", error);
	existing = open_file(folder, NULL, false, false);
	/* One that nobody could make so far has nothing to say. */
	if (existing == -ENOENT)
		error->code = -ENOENT;
	fd_close(existing);
	return error->code;
}

static int name(const char *folder, bool writable, struct sidecar *sidecar,
		struct error *error)
{
	sidecar->writable = writable;
	sidecar->fd = -1;
	if ((size_t)snprintf(sidecar->path, sizeof(sidecar->path), "%s/state",
			     folder) < sizeof(sidecar->path))
		return 0;
	return fail(folder, -ENAMETOOLONG, "can't be opened", error);
}

int sidecar_open_once(const char *folder, bool writable,
		      struct sidecar *ret_sidecar, struct error *error)
{
	int status = name(folder, writable, ret_sidecar, error);

	if (status < 0)
		return status;
	ret_sidecar->fd = open_file(folder, NULL, writable, false);
	return ret_sidecar->fd < 0
		       ? fail(folder, ret_sidecar->fd, "can't be opened", error)
		       : 0;
}

int sidecar_open(const char *folder, const char *owner_of, bool writable,
		 struct sidecar *ret_sidecar, struct error *error)
{
	int status = name(folder, writable, ret_sidecar, error);
	const struct kept *entry;
	_cleanup_fd_ int fd = -1;

	if (status < 0)
		return status;
	entry = find(folder, writable);
	if (entry) {
		ret_sidecar->fd = entry->fd;
		*error = entry->error;
		return entry->error.code;
	}
	*error = (struct error){0};
	fd = open_or_explain(folder, owner_of, writable, error);
	status = keep(folder, writable, fd < 0 ? -1 : fd, error);
	if (status < 0)
		return fail(folder, status, "can't be kept", error);
	ret_sidecar->fd = take_fd(&fd);
	return error->code;
}

int sidecar_remove(const char *folder)
{
	char path[SIDECAR_PATH_BYTES];

	if ((size_t)snprintf(path, sizeof(path), "%s/state", folder) >=
	    sizeof(path))
		return -ENAMETOOLONG;
	if (sidecar_file_remove(folder, NULL) < 0 ||
	    (unlink(path) < 0 && errno != ENOENT))
		return -errno;
	return rmdir(folder) < 0 && errno != ENOENT ? -errno : 0;
}

void sidecar_forget(void)
{
	for (unsigned int i = 0; i < kept_count; i++) {
		free(kept[i].folder);
		fd_close(kept[i].fd);
	}
	kept_count = 0;
	sidecar_file_forget();
}
