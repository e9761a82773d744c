// SPDX-License-Identifier: Apache-2.0
/*
 * trace_file.c - blocks are looked for at each multiple of their alignment.
 *
 * The file is mapped, and somebody may write to it meanwhile: what was read
 * once is checked by its sum, and a block that changes under our eyes is one
 * that fails it or reads as nonsense.
 */
#include "trace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"

static int map(const char *path, struct trace_file *file, struct error *error)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	void *bytes;

	if (fd < 0 || fstat(fd, &status) < 0)
		return error_set(error, -errno, "%s can't be read: %s", path,
				 strerror(errno));
	if (!S_ISREG(status.st_mode) || status.st_size == 0)
		return error_set(error, -EINVAL,
				 "%s isn't a trace: it is no file, or empty",
				 path);
	bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd,
		     0);
	if (bytes == MAP_FAILED)
		return error_set(error, -errno, "%s can't be read: %s", path,
				 strerror(errno));
	file->bytes = bytes;
	file->byte_count = (size_t)status.st_size;
	return 0;
}

static void enter_block(struct trace_file *file)
{
	const struct forebay_trace_head *head = &file->block.head;

	file->block_count++;
	if (file->first_unix_ns == 0)
		file->first_unix_ns = head->begin_unix_ns;
	if (head->disk_bytes > file->disk_bytes)
		file->disk_bytes = head->disk_bytes;
	if (head->begin_unix_ns != file->begin_here)
		file->lost_here = 0;
	file->begin_here = head->begin_unix_ns;
	if (head->lost_count > file->lost_here) {
		file->lost_count += head->lost_count - file->lost_here;
		file->lost_here = head->lost_count;
	}
}

/* Returns: whether there is one. */
static bool next_block(struct trace_file *file)
{
	while (file->at < file->byte_count) {
		size_t left = file->byte_count - file->at;
		size_t taken = trace_block_parse(file->bytes + file->at, left,
						 &file->block);

		if (taken > 0) {
			file->at += taken;
			enter_block(file);
			return true;
		}
		taken = left < FOREBAY_TRACE_ALIGNMENT
				? left
				: FOREBAY_TRACE_ALIGNMENT;
		file->at += taken;
		file->damaged_bytes += taken;
	}
	return false;
}

void trace_file_rewind(struct trace_file *file)
{
	*file = (struct trace_file){
		.bytes = file->bytes,
		.byte_count = file->byte_count,
	};
}

int trace_file_open(const char *path, struct trace_file *ret_file,
		    struct error *error)
{
	struct trace_file file = {0};
	int status = map(path, &file, error);

	if (status < 0)
		return status;
	if (!next_block(&file)) {
		trace_file_close(&file);
		return error_set(error, -EINVAL,
				 "%s isn't a trace: there is no block in it",
				 path);
	}
	trace_file_rewind(&file);
	*ret_file = file;
	return 0;
}

void trace_file_close(struct trace_file *file)
{
	if (!file || !file->bytes)
		return;
	munmap(file->bytes, file->byte_count);
	file->bytes = NULL;
}

bool trace_file_next(struct trace_file *file, struct trace_record *ret_record)
{
	for (;;) {
		int status = trace_block_next(&file->block, ret_record);

		if (status == 1)
			break;
		if (status < 0)
			file->damaged_bytes += file->block.head.used_bytes;
		if (!next_block(file))
			return false;
	}
	file->record_count++;
	/* A clock that went back leaves traces that overlap. */
	if (file->begin_here > file->first_unix_ns)
		ret_record->begin_ns += file->begin_here - file->first_unix_ns;
	return true;
}
