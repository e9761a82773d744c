/* SPDX-License-Identifier: Apache-2.0 */
/* bundle_file.c - through a memory file, so that no half of it is anywhere. */
#include "bundle_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "file.h"
#include "packing.h"

#define BUNDLE_MODE 0644

int bundle_file_refuse(const char *path, const struct bundle_refusal *refusal,
		       struct error *error)
{
	return error_set(error, -EINVAL, "%s: %s: %s; %s", path,
			 bundle_issue_code(refusal->issue), refusal->detail,
			 bundle_issue_advice(refusal->issue));
}

static int read_all(int fd, uint8_t **ret_bytes, size_t *ret_count)
{
	struct stat facts;
	uint8_t *bytes;
	size_t done = 0;

	if (fstat(fd, &facts) < 0)
		return -errno;
	bytes = malloc((size_t)facts.st_size + 1);
	if (!bytes)
		return -ENOMEM;
	while (done < (size_t)facts.st_size) {
		ssize_t count =
			pread(fd, bytes + done, (size_t)facts.st_size - done,
			      (off_t)done);

		if (count <= 0) {
			free(bytes);
			return count < 0 ? -errno : -EIO;
		}
		done += (size_t)count;
	}
	*ret_bytes = bytes;
	*ret_count = done;
	return 0;
}

static int unpack(const char *path, struct bundle_file *file,
		  struct bundle_refusal *refusal)
{
	_cleanup_fd_ int in_fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_fd_ int out_fd = memfd_create("archive", MFD_CLOEXEC);
	int status;

	if (in_fd < 0 || out_fd < 0)
		return -errno;
	status = packing_unpack(in_fd, out_fd, refusal);
	return status < 0 ? status
			  : read_all(out_fd, &file->archive, &file->bytes);
}

int bundle_file_read(const char *path, struct bundle_file *ret_file,
		     struct error *error)
{
	struct bundle_file file = {0};
	struct bundle_refusal refusal;
	struct bundle_span archive;
	int status = unpack(path, &file, &refusal);

	archive = (struct bundle_span){file.archive, file.bytes};
	if (status == 0)
		status = bundle_read_head(archive, &file.head, &refusal);
	if (status == 0)
		status = manifest_parse(file.head.manifest, &file.manifest,
					&refusal);
	if (status == 0)
		status = bundle_read_files(archive, &file.head, &file.manifest,
					   file.files, &refusal);
	if (status == 0) {
		*ret_file = file;
		return 0;
	}
	bundle_file_release(&file);
	if (status == -EBADMSG)
		return bundle_file_refuse(path, &refusal, error);
	return error_set(error, status, "%s: cannot be read: %s", path,
			 strerror(-status));
}

void bundle_file_release(struct bundle_file *file)
{
	manifest_release(&file->manifest);
	free(file->archive);
	file->archive = NULL;
}

int bundle_file_write(const char *path, const struct bundle_file *file,
		      const struct signature *signature, struct error *error)
{
	uint8_t *archive = NULL, *packed = NULL;
	size_t bytes, packed_bytes;
	int status =
		bundle_write(file->head.manifest, signature, &file->manifest,
			     file->files, &archive, &bytes);

	if (status == 0)
		status = packing_pack((struct bundle_span){archive, bytes},
				      &packed, &packed_bytes);
	if (status == 0)
		status = file_write_atomically(path, packed, packed_bytes,
					       BUNDLE_MODE);
	free(archive);
	free(packed);
	return status < 0
		       ? error_set(error, status, "%s: cannot be written: %s",
				   path, strerror(-status))
		       : 0;
}
