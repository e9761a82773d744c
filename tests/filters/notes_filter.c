// SPDX-License-Identifier: Apache-2.0
/*
 * notes_filter.c - a filter that notes each write in a sidecar before it lets
 * it through.
 *
 * Block 0 of the sidecar is a counter. The n-th write puts n there and, in the
 * same group, into the block that stands for its place on the disk, with the
 * first bytes of its data. So whatever a crash leaves, the highest number of
 * all blocks is the counter's.
 *
 * Built twice: NOTES_HOLDS says that it may hold what the backend lacks, as a
 * cache does, and that raises the backend's generation while it opens.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <forebay/filter.h>

#define BLOCK_BYTES 4096u
#define PLACES 1024u
#define LENGTH_BYTES ((uint64_t)(1 + PLACES) * BLOCK_BYTES)

struct notes {
	struct forebay_instance *instance;
	const struct forebay_host *host;
	struct forebay_sidecar_file file;
	uint64_t counter;
	struct forebay_io io;
	struct iovec iov;
	uint64_t block[BLOCK_BYTES / 8];
	/* Of the action that runs. */
	void (*done)(void *context, int status);
	void *context;
};

struct note {
	struct notes *notes;
	struct forebay_request *request;
	struct forebay_io ios[2];
	struct iovec iov[2];
	uint64_t blocks[2][BLOCK_BYTES / 8];
	int left;
	int status;
};

/* Opening. */

static void on_read(struct forebay_io *io, int result)
{
	struct notes *notes = io->owner;

	notes->counter = notes->block[0];
	notes->host->open_done(notes->instance, result);
}

static void read_counter(struct notes *notes)
{
	notes->iov = (struct iovec){notes->block, BLOCK_BYTES};
	notes->io = (struct forebay_io){
		.operation = FOREBAY_READ,
		.file = notes->file.file,
		.iov = &notes->iov,
		.iov_count = 1,
		.length = BLOCK_BYTES,
		.done = on_read,
		.owner = notes,
	};
	notes->host->io_submit(notes->instance, &notes->io);
}

static void on_sized(struct forebay_io *io, int result)
{
	struct notes *notes = io->owner;

	if (result < 0)
		notes->host->open_done(notes->instance, result);
	else
		read_counter(notes);
}

static void notes_open(struct forebay_instance *instance,
		       const struct forebay_host *host,
		       const struct forebay_disk *disk, void **ret_state)
{
	struct notes *notes = calloc(1, sizeof(*notes));
	bool refuse = false;

	if (!notes)
		abort();
	*ret_state = notes;
	notes->instance = instance;
	notes->host = host;
	notes->file.struct_size = sizeof(notes->file);
	if (host->sidecar_file(instance, "notes", &notes->file) < 0 ||
	    host->sidecar_file(instance, "others", &notes->file) != -ENOENT)
		abort();
	if (NOTES_HOLDS && host->below_hold(instance, true) < 0)
		abort();
	host->property_boolean(instance, "refuse", &refuse);
	if (refuse && notes->file.state != FOREBAY_SIDECAR_SAME) {
		free(notes);
		host->explain(instance, "its sidecar isn't what it was");
		host->open_done(instance, -ESTALE);
		return;
	}
	if (disk->read_only && notes->file.length_bytes == 0) {
		host->open_done(instance, 0);
		return;
	}
	if (notes->file.length_bytes > 0) {
		read_counter(notes);
		return;
	}
	notes->io = (struct forebay_io){
		.file = notes->file.file,
		.length = LENGTH_BYTES,
		.done = on_sized,
		.owner = notes,
	};
	host->sidecar_resize(instance, &notes->io);
}

static void notes_close(void *state)
{
	struct notes *notes = state;
	const struct forebay_host *host = notes->host;
	struct forebay_instance *instance = notes->instance;

	free(notes);
	if (NOTES_HOLDS)
		host->below_hold(instance, false);
	host->close_done(instance, 0);
}

/* Requests. */

static void on_noted(struct forebay_io *io, int result)
{
	struct note *note = io->owner;
	const struct forebay_host *host = note->notes->host;
	struct forebay_request *request = note->request;
	int status;

	if (result < 0)
		note->status = result;
	if (--note->left > 0)
		return;
	status = note->status;
	free(note);
	if (status < 0)
		host->request_complete(request, status);
	else
		host->request_forward(request);
}

static void start_note(struct note *note, int number, uint64_t block)
{
	struct notes *notes = note->notes;

	note->left++;
	note->iov[number] = (struct iovec){note->blocks[number], BLOCK_BYTES};
	note->ios[number] = (struct forebay_io){
		.operation = FOREBAY_WRITE,
		.flags = number == 0 ? FOREBAY_MORE : 0,
		.file = notes->file.file,
		.iov = &note->iov[number],
		.iov_count = 1,
		.offset = block * BLOCK_BYTES,
		.length = BLOCK_BYTES,
		.done = on_noted,
		.owner = note,
	};
	notes->host->io_submit(notes->instance, &note->ios[number]);
}

static void on_flushed(struct forebay_io *io, int result)
{
	struct note *note = io->owner;
	const struct forebay_host *host = note->notes->host;
	struct forebay_request *request = note->request;

	free(note);
	if (result < 0)
		host->request_complete(request, result);
	else
		host->request_forward(request);
}

static void flush(struct note *note)
{
	note->ios[0] = (struct forebay_io){
		.operation = FOREBAY_FLUSH,
		.file = note->notes->file.file,
		.done = on_flushed,
		.owner = note,
	};
	note->notes->host->io_submit(note->notes->instance, &note->ios[0]);
}

static void notes_submit(void *state, struct forebay_request *request)
{
	struct notes *notes = state;
	const struct forebay_host *host = notes->host;
	enum forebay_operation operation = host->request_operation(request);
	struct note *note;
	uint32_t count;

	if (operation == FOREBAY_READ) {
		host->request_forward(request);
		return;
	}
	note = calloc(1, sizeof(*note));
	if (!note)
		abort();
	note->notes = notes;
	note->request = request;
	if (operation == FOREBAY_FLUSH) {
		flush(note);
		return;
	}
	note->blocks[0][0] = ++notes->counter;
	note->blocks[1][0] = notes->counter;
	memcpy(&note->blocks[1][1],
	       host->request_iov(request, &count)->iov_base, 8);
	start_note(note, 0, 0);
	start_note(note, 1,
		   1 + host->request_offset(request) / BLOCK_BYTES % PLACES);
}

/* What can't be, by name. */

static void on_tried(struct forebay_io *io, int result)
{
	struct notes *notes = io->owner;

	notes->done(notes->context, result);
}

static void notes_action(void *state, const char *name,
			 void (*done)(void *context, int status), void *context)
{
	struct notes *notes = state;

	notes->done = done;
	notes->context = context;
	notes->iov = (struct iovec){notes->block, BLOCK_BYTES};
	notes->io = (struct forebay_io){
		.operation = FOREBAY_WRITE,
		.file = notes->file.file,
		.iov = &notes->iov,
		.iov_count = 1,
		.length = BLOCK_BYTES,
		.done = on_tried,
		.owner = notes,
	};
	if (strcmp(name, "longer-than-declared") == 0) {
		notes->io.length = 2 * LENGTH_BYTES;
		notes->host->sidecar_resize(notes->instance, &notes->io);
		return;
	}
	if (strcmp(name, "behind-the-end") == 0) {
		notes->io.offset = LENGTH_BYTES;
	} else if (strcmp(name, "part-of-a-block") == 0) {
		notes->io.offset = BLOCK_BYTES / 2;
	} else if (strcmp(name, "unknown-file") == 0) {
		notes->io.file = -17;
	} else if (strcmp(name, "forced") == 0) {
		notes->io.flags = FOREBAY_FUA;
	} else if (strcmp(name, "zeroes") == 0) {
		notes->io.operation = FOREBAY_WRITE_ZEROES;
	} else if (strcmp(name, "write") != 0) {
		done(context, -ENOTSUP);
		return;
	}
	notes->host->io_submit(notes->instance, &notes->io);
}

static int notes_status(void *state, char *buffer, size_t buffer_bytes)
{
	const struct notes *notes = state;
	int length =
		snprintf(buffer, buffer_bytes,
			 "{\"counter\": %" PRIu64 ", \"last_version\": \"%s\"}",
			 notes->counter, notes->file.last_version);

	return length < (int)buffer_bytes ? length : -ENOSPC;
}

static const struct forebay_property notes_properties[] = {
	{
		.name = "refuse",
		.description = "open() fails unless its sidecar is the same.",
		.type = FOREBAY_PROPERTY_BOOLEAN,
		.maximum = 1,
	},
	{0},
};

static const struct forebay_sidecar notes_sidecars[] = {
	{
		.name = "notes",
		.description = "The number of each write.",
		.length_bytes_max = LENGTH_BYTES,
	},
	{0},
};

const struct forebay_filter forebay_filter = {
	.abi_version = FOREBAY_FILTER_ABI,
	.struct_size = sizeof(struct forebay_filter),
	.name = NOTES_NAME,
	.version = "1.0.0",
	.description = "Notes each write in a sidecar.",
	.filter_class = NOTES_CLASS,
	.operations = FOREBAY_OPERATION_BIT(FOREBAY_READ) |
		      FOREBAY_OPERATION_BIT(FOREBAY_WRITE) |
		      FOREBAY_OPERATION_BIT(FOREBAY_FLUSH),
	.properties = notes_properties,
	.open = notes_open,
	.close = notes_close,
	.submit = notes_submit,
	.status = notes_status,
	.action = notes_action,
	.sidecars = notes_sidecars,
};
