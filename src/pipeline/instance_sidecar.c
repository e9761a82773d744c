// SPDX-License-Identifier: Apache-2.0
/*
 * instance_sidecar.c - see instance_sidecar.h.
 *
 * The stores are state machines; here are their files, and the loop that runs
 * what they ask for. Files are read and written through the page cache.
 */
#include "instance_sidecar.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "instance.h"
#include "log.h"
#include "loop.h"
#include "sidecar_file.h"

#define FIRST_HANDLE (FOREBAY_BELOW - 1)
#define FILE_NAME_BYTES 64u

/* One of a store's ios, by its number. */
struct store_io {
	struct instance_sidecar *sidecar;
	const struct sidecar_io *io;
	struct loop_io loop_io;
	struct loop_deferred resized;
	int result;
};

struct instance_sidecar {
	const struct forebay_sidecar *declared;
	struct forebay_instance *instance;
	struct sidecar_store *store; /* NULL: of a read-only disk, never made */
	int fd; /* kept for the process's life; -1: none */
	bool locked;
	bool open;
	bool accepted; /* the filter has dealt with its state */
	enum forebay_sidecar_state state;
	struct sidecar_label label; /* as it stands there */
	char last_version[SIDECAR_TEXT_FIELD_BYTES];
	struct store_io ios[SIDECAR_STORE_IOS];
};

/* Calls that block. */

static int file_read_at(void *owner, uint64_t offset, void *bytes, size_t count)
{
	const struct instance_sidecar *sidecar = owner;
	uint8_t *to = bytes;

	while (count > 0) {
		ssize_t got = pread(sidecar->fd, to, count, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		to += got;
		offset += (uint64_t)got;
		count -= (size_t)got;
	}
	memset(to, 0, count);
	return 0;
}

static int file_write_at(void *owner, uint64_t offset, const void *bytes,
			 size_t count)
{
	const struct instance_sidecar *sidecar = owner;
	ssize_t put = pwrite(sidecar->fd, bytes, count, (off_t)offset);

	if (put < 0)
		return -errno;
	return (size_t)put < count ? -ENOSPC : 0;
}

static int file_sync(void *owner)
{
	const struct instance_sidecar *sidecar = owner;

	return fdatasync(sidecar->fd) < 0 ? -errno : 0;
}

static int file_resize(void *owner, uint64_t bytes)
{
	const struct instance_sidecar *sidecar = owner;

	return ftruncate(sidecar->fd, (off_t)bytes) < 0 ? -errno : 0;
}

static struct sidecar_medium medium_of(struct instance_sidecar *sidecar)
{
	return (struct sidecar_medium){
		.read = file_read_at,
		.write = file_write_at,
		.sync = file_sync,
		.resize = file_resize,
		.owner = sidecar,
	};
}

/* Ios of the store. */

static struct loop *loop_of(const struct instance_sidecar *sidecar)
{
	return sidecar->instance->home->loop;
}

static void io_ended(struct store_io *entry, int result)
{
	struct forebay_instance *instance = entry->sidecar->instance;

	sidecar_store_io_done(entry->sidecar->store, entry->io->number, result);
	if (instance->sidecars.waited_for && instance_sidecars_quiet(instance))
		instance_end_quietly(instance);
}

/* Behind the end of the file is nothing, and reads as zeros. */
static int end_read(const struct store_io *entry, uint64_t got)
{
	const struct sidecar_io *io = entry->io;
	struct stat facts;

	if (got == io->length)
		return 0;
	if (fstat(entry->sidecar->fd, &facts) < 0 ||
	    io->offset + got < (uint64_t)facts.st_size)
		return -EIO;
	for (uint32_t i = 0; i < io->iov_count; i++) {
		uint64_t bytes = io->iov[i].iov_len;
		uint64_t there = got < bytes ? got : bytes;

		memset((uint8_t *)io->iov[i].iov_base + there, 0,
		       bytes - there);
		got -= there;
	}
	return 0;
}

static void on_io_done(struct loop_io *loop_io, int result)
{
	struct store_io *entry = loop_io->owner;

	if (result >= 0 && entry->io->kind == SIDECAR_IO_READ)
		result = end_read(entry, (uint64_t)result);
	else if (result >= 0 && entry->io->kind == SIDECAR_IO_WRITE)
		result = (uint64_t)result == entry->io->length ? 0 : -ENOSPC;
	io_ended(entry, result);
}

static void on_resized(struct loop_deferred *deferred)
{
	struct store_io *entry = deferred->owner;

	io_ended(entry, entry->result);
}

static void start_io(void *owner, const struct sidecar_io *io)
{
	struct instance_sidecar *sidecar = owner;
	struct store_io *entry = &sidecar->ios[io->number];
	struct loop *loop = loop_of(sidecar);

	entry->sidecar = sidecar;
	entry->io = io;
	entry->loop_io.done = on_io_done;
	entry->loop_io.owner = entry;
	switch (io->kind) {
	case SIDECAR_IO_READ:
		loop_readv(loop, &entry->loop_io, sidecar->fd, io->iov,
			   io->iov_count, io->offset, 0);
		return;
	case SIDECAR_IO_WRITE:
		loop_writev(loop, &entry->loop_io, sidecar->fd, io->iov,
			    io->iov_count, io->offset, 0);
		return;
	case SIDECAR_IO_SYNC:
		loop_fdatasync(loop, &entry->loop_io, sidecar->fd);
		return;
	case SIDECAR_IO_RESIZE:
		entry->result = file_resize(sidecar, io->offset);
		entry->resized.run = on_resized;
		entry->resized.owner = entry;
		loop_defer(loop, &entry->resized);
		return;
	}
}

/* Opening. */

static uint32_t draw_lot(void)
{
	uint32_t lot = 0;

	/* Counting is enough; this is for files that were copied. */
	if (getrandom(&lot, sizeof(lot), 0) != sizeof(lot))
		lot = 0;
	return lot;
}

static struct sidecar_store_spec spec_of(const struct instance_sidecar *sidecar)
{
	return (struct sidecar_store_spec){
		.journal_blocks = SIDECAR_STORE_JOURNAL_BLOCKS,
		.length_bytes_max = sidecar->declared->length_bytes_max,
		.writable = !sidecar->instance->home->disk.read_only,
		.lot = draw_lot(),
	};
}

static int fail(const struct instance_sidecar *sidecar, int status,
		const char *what, struct error *error)
{
	return error_set(
		error, status, "sidecar %s of filter %s on disk %s %s: %s",
		sidecar->declared->name, sidecar->instance->filter->name,
		sidecar->instance->home->disk.name, what, strerror(-status));
}

static void name_file(const char *filter, const char *name,
		      char ret_name[FILE_NAME_BYTES])
{
	snprintf(ret_name, FILE_NAME_BYTES, "%s.%s", filter, name);
}

static int write_label(struct instance_sidecar *sidecar,
		       const struct sidecar_label *label, struct error *error)
{
	const struct sidecar_medium medium = medium_of(sidecar);
	int status = sidecar_label_write(&medium, label);

	if (status < 0)
		return fail(sidecar, status, "can't be labelled", error);
	sidecar->label = *label;
	return 0;
}

/* What all of ours say; the generations are the caller's. */
static void fill_label(const struct instance_sidecar *sidecar,
		       struct sidecar_label *label)
{
	const struct forebay_instance *instance = sidecar->instance;

	memcpy(label->disk_uuid, instance->home->disk.uuid, 16);
	memcpy(label->host_uuid, instance->home->claim.spec->host_uuid, 16);
	snprintf(label->filter, sizeof(label->filter), "%s",
		 instance->filter->name);
	snprintf(label->filter_version, sizeof(label->filter_version), "%.31s",
		 instance->filter->version);
	snprintf(label->name, sizeof(label->name), "%s",
		 sidecar->declared->name);
}

/* Anew as well: one whose filter never opened holds what nobody vouches for. */
static int make(struct instance_sidecar *sidecar, struct error *error)
{
	const struct sidecar_medium medium = medium_of(sidecar);
	const struct sidecar_store_spec spec = spec_of(sidecar);
	struct sidecar_label label = {.pending = SIDECAR_PENDING_NEW};
	uint64_t bytes =
		(uint64_t)(SIDECAR_JOURNAL_BLOCK + spec.journal_blocks) *
		SIDECAR_BLOCK_BYTES;
	int status = sidecar_store_format(&medium, &spec);

	/* A journal that has its room can't run out of it in the middle. */
	if (status == 0 && fallocate(sidecar->fd, 0, 0, (off_t)bytes) < 0 &&
	    errno != EOPNOTSUPP)
		status = -errno;
	if (status < 0)
		return fail(sidecar, status, "can't be made", error);
	fill_label(sidecar, &label);
	return write_label(sidecar, &label, error);
}

static enum forebay_sidecar_state judge(const struct instance_sidecar *sidecar)
{
	const struct forebay_instance *instance = sidecar->instance;
	const struct sidecar_label *label = &sidecar->label;
	struct claim_state claim;

	claim_state(&instance->home->claim, &claim);
	if (label->pending == SIDECAR_PENDING_NEW)
		return FOREBAY_SIDECAR_NEW;
	if (label->pending == SIDECAR_PENDING_FOREIGN ||
	    memcmp(label->disk_uuid, instance->home->disk.uuid, 16) != 0 ||
	    strcmp(label->filter, instance->filter->name) != 0 ||
	    strcmp(label->name, sidecar->declared->name) != 0)
		return FOREBAY_SIDECAR_FOREIGN;
	if (label->pending == SIDECAR_PENDING_BYPASSED || claim.rewritten ||
	    (claim.generation != label->generation &&
	     claim.generation != label->next_generation))
		return FOREBAY_SIDECAR_BYPASSED;
	return FOREBAY_SIDECAR_SAME;
}

static int open_store(struct instance_sidecar *sidecar, struct error *error)
{
	const struct sidecar_medium medium = medium_of(sidecar);
	const struct sidecar_store_spec spec = spec_of(sidecar);
	const struct sidecar_store_host host = {start_io, sidecar};
	int status = sidecar_label_read(&medium, &sidecar->label);

	if (status == 0) {
		sidecar->state = judge(sidecar);
		snprintf(sidecar->last_version, sizeof(sidecar->last_version),
			 "%s", sidecar->label.filter_version);
	}
	if (status == -ENODATA || sidecar->state == FOREBAY_SIDECAR_NEW) {
		sidecar->state = FOREBAY_SIDECAR_NEW;
		sidecar->last_version[0] = '\0';
		if (!spec.writable)
			return 0;
		status = make(sidecar, error);
		if (status < 0)
			return status;
	}
	if (status == 0)
		status = sidecar_store_open(&medium, &spec, &host,
					    &sidecar->store);
	if (status == -EUCLEAN)
		return fail(sidecar, status,
			    "is damaged: its filter can't rely on it", error);
	if (status == -EPROTONOSUPPORT)
		return fail(sidecar, status, "was written by a newer Forebay",
			    error);
	return status < 0 ? fail(sidecar, status, "can't be read", error) : 0;
}

static int open_file(const char *filter, const char *name,
		     const struct claim_spec *claim, int *ret_fd,
		     struct error *error)
{
	char file[FILE_NAME_BYTES];
	int status;

	name_file(filter, name, file);
	status = sidecar_file_open(claim->folder, claim->owner_of, file,
				   !claim->read_only, ret_fd, error);
	if (status != -ENOENT || !claim->read_only)
		return status;
	*ret_fd = -1;
	return 0;
}

static int open_one(struct instance_sidecar *sidecar, struct error *error)
{
	const struct instance_home *home = sidecar->instance->home;
	int status = open_file(sidecar->instance->filter->name,
			       sidecar->declared->name, home->claim.spec,
			       &sidecar->fd, error);

	if (status < 0)
		return status;
	sidecar->state = FOREBAY_SIDECAR_NEW;
	if (sidecar->fd < 0) {
		sidecar->open = true;
		return 0;
	}
	status = sidecar_file_lock(sidecar->fd, !home->disk.read_only);
	if (status < 0)
		return fail(sidecar, status, "can't be locked", error);
	sidecar->locked = true;
	sidecar->state = FOREBAY_SIDECAR_SAME;
	status = open_store(sidecar, error);
	sidecar->open = status == 0;
	return status;
}

static uint32_t count_of(const struct forebay_filter *filter)
{
	uint32_t count = 0;

	while (filter->sidecars && filter->sidecars[count].name)
		count++;
	return count;
}

static int prepare(struct forebay_instance *instance, struct error *error)
{
	struct instance_sidecars *sidecars = &instance->sidecars;
	const struct claim *claim = &instance->home->claim;
	uint32_t count = count_of(instance->filter);

	if (sidecars->list)
		return 0;
	if (!claim->told &&
	    (!claim->spec || !claim->spec->read_only || !claim->spec->folder))
		return error_set(
			error, -ENOENT,
			"filter %s keeps data beside the backend, where disk "
			"%s has no place for it%s%s: name a directory with "
			"--sidecar when the disk is created",
			instance->filter->name, instance->home->disk.name,
			claim->absent.code ? ": " : "",
			claim->absent.code ? claim->absent.message : "");
	sidecars->list = calloc(count, sizeof(*sidecars->list));
	if (!sidecars->list)
		return error_set(error, -ENOMEM, "out of memory");
	sidecars->count = count;
	for (uint32_t i = 0; i < count; i++) {
		sidecars->list[i].declared = &instance->filter->sidecars[i];
		sidecars->list[i].instance = instance;
		sidecars->list[i].fd = -1;
	}
	return 0;
}

int instance_sidecars_open(struct forebay_instance *instance,
			   struct error *error)
{
	struct instance_sidecars *sidecars = &instance->sidecars;
	int status = 0;

	if (count_of(instance->filter) == 0)
		return 0;
	status = prepare(instance, error);
	for (uint32_t i = 0; i < sidecars->count && status == 0; i++)
		if (!sidecars->list[i].open)
			status = open_one(&sidecars->list[i], error);
	return status;
}

static int keep_of(const struct pipeline_filter_spec *spec,
		   const struct claim_spec *claim, struct error *error)
{
	struct filter_library *library;
	int status = filter_library_open(spec->library, &library, error);
	const struct forebay_sidecar *sidecar;
	int fd;

	if (status < 0)
		return status;
	sidecar = library->filter.sidecars;
	for (; sidecar && sidecar->name && status == 0 && claim->folder;
	     sidecar++)
		status = open_file(library->filter.name, sidecar->name, claim,
				   &fd, error);
	filter_library_close(library);
	return status;
}

int instance_sidecars_keep(const struct pipeline_filter_spec *filters,
			   uint32_t count, const struct claim_spec *claim,
			   struct error *error)
{
	int status = 0;

	for (uint32_t i = 0; i < count && status == 0; i++)
		status = keep_of(&filters[i], claim, error);
	return status;
}

/* Labels. */

static uint32_t pending_of(enum forebay_sidecar_state state)
{
	switch (state) {
	case FOREBAY_SIDECAR_SAME:
		return SIDECAR_PENDING_NOTHING;
	case FOREBAY_SIDECAR_BYPASSED:
		return SIDECAR_PENDING_BYPASSED;
	case FOREBAY_SIDECAR_FOREIGN:
		return SIDECAR_PENDING_FOREIGN;
	case FOREBAY_SIDECAR_NEW:
		return SIDECAR_PENDING_NEW;
	}
	return SIDECAR_PENDING_NOTHING;
}

int instance_sidecars_note(struct forebay_instance *instance, uint64_t found,
			   uint64_t next, struct error *error)
{
	int status = 0;

	for (uint32_t i = 0; i < instance->sidecars.count && status == 0; i++) {
		struct instance_sidecar *sidecar = &instance->sidecars.list[i];
		struct sidecar_label label = sidecar->label;

		if (!sidecar->store || instance->home->disk.read_only)
			continue;
		/* Accepted ones are noted again when a generation is void. */
		if (!sidecar->accepted)
			label.pending = pending_of(sidecar->state);
		label.generation = found;
		label.next_generation = next;
		memcpy(label.disk_uuid, instance->home->disk.uuid, 16);
		memcpy(label.host_uuid, instance->home->claim.spec->host_uuid,
		       16);
		status = write_label(sidecar, &label, error);
	}
	return status;
}

int instance_sidecars_accept(struct forebay_instance *instance,
			     struct error *error)
{
	int status = 0;

	for (uint32_t i = 0; i < instance->sidecars.count && status == 0; i++) {
		struct instance_sidecar *sidecar = &instance->sidecars.list[i];
		struct sidecar_label label = sidecar->label;

		sidecar->accepted = true;
		if (!sidecar->store || instance->home->disk.read_only)
			continue;
		fill_label(sidecar, &label);
		label.pending = SIDECAR_PENDING_NOTHING;
		if (memcmp(&label, &sidecar->label, sizeof(label)) != 0)
			status = write_label(sidecar, &label, error);
	}
	return status;
}

/* The end. */

bool instance_sidecars_quiet(const struct forebay_instance *instance)
{
	const struct instance_sidecars *sidecars = &instance->sidecars;

	for (uint32_t i = 0; i < sidecars->count; i++)
		if (sidecars->list[i].store &&
		    !sidecar_store_quiet(sidecars->list[i].store))
			return false;
	return true;
}

void instance_sidecars_close(struct forebay_instance *instance)
{
	struct instance_sidecars *sidecars = &instance->sidecars;

	for (uint32_t i = 0; i < sidecars->count; i++) {
		sidecar_store_close(sidecars->list[i].store);
		if (sidecars->list[i].locked)
			sidecar_file_unlock(sidecars->list[i].fd);
	}
	free(sidecars->list);
	*sidecars = (struct instance_sidecars){0};
}

/* Services. */

static uint64_t length_of(const struct instance_sidecar *sidecar)
{
	struct sidecar_store_figures figures = {0};

	if (sidecar->store)
		sidecar_store_figures(sidecar->store, &figures);
	return figures.length_bytes;
}

int instance_sidecar_file(struct forebay_instance *instance, const char *name,
			  struct forebay_sidecar_file *ret_file)
{
	for (uint32_t i = 0; i < instance->sidecars.count; i++) {
		const struct instance_sidecar *sidecar =
			&instance->sidecars.list[i];
		struct forebay_sidecar_file file = {
			.struct_size = ret_file->struct_size,
			.state = sidecar->state,
			.file = FIRST_HANDLE - (int)i,
			.length_bytes = length_of(sidecar),
			.last_version = sidecar->last_version,
		};

		if (strcmp(sidecar->declared->name, name) != 0)
			continue;
		/* A filter of an older header has less room. */
		memcpy(ret_file, &file,
		       file.struct_size < sizeof(file) ? file.struct_size
						       : sizeof(file));
		return 0;
	}
	return -ENOENT;
}

int instance_sidecar_submit(struct forebay_instance *instance, int file,
			    struct sidecar_request *request)
{
	int64_t index = (int64_t)FIRST_HANDLE - file;

	if (index < 0 || index >= instance->sidecars.count)
		return -EBADF;
	if (!instance->sidecars.list[index].store)
		return -EROFS;
	sidecar_store_submit(instance->sidecars.list[index].store, request);
	return 0;
}

static const char *state_name(enum forebay_sidecar_state state)
{
	switch (state) {
	case FOREBAY_SIDECAR_SAME:
		return "same";
	case FOREBAY_SIDECAR_BYPASSED:
		return "bypassed";
	case FOREBAY_SIDECAR_FOREIGN:
		return "foreign";
	case FOREBAY_SIDECAR_NEW:
		return "new";
	}
	return NULL;
}

json_t *instance_sidecars_document(const struct forebay_instance *instance)
{
	json_t *document = json_array();

	for (uint32_t i = 0; i < instance->sidecars.count; i++) {
		const struct instance_sidecar *sidecar =
			&instance->sidecars.list[i];
		struct sidecar_store_figures figures = {0};

		if (sidecar->store)
			sidecar_store_figures(sidecar->store, &figures);
		json_array_append_new(
			document,
			json_pack("{s:s, s:s, s:I, s:I, s:s}", "name",
				  sidecar->declared->name, "state",
				  state_name(sidecar->state), "bytes",
				  (json_int_t)figures.length_bytes,
				  "journal_bytes",
				  (json_int_t)figures.journal_bytes, "error",
				  figures.failed ? strerror(-figures.failed)
						 : ""));
	}
	return document;
}
