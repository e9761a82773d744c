// SPDX-License-Identifier: Apache-2.0
/*
 * probe_filter.c - a filter that does what a test tells it to.
 *
 * Built several times with another name and class. It reports its life to
 * probe_note() where the test program exports that, else to the log, and runs
 * the host services behind named actions, each of which ends with what it
 * found.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <forebay/filter.h>

#define MANY 2000u
#define BLOCK_BYTES 512u

/* The test's, if it has one. */
__attribute__((weak)) void probe_note(const char *filter, const char *event);

struct probe {
	struct forebay_instance *instance;
	const struct forebay_host *host;
	struct forebay_timer timer;
	bool inside_submit; /* of an io */
	/* Of the action that runs. */
	void (*done)(void *context, int status);
	void *context;
	struct forebay_io *ios;
	unsigned int ios_left;
	unsigned int step;
	int file;
	struct iovec iov;
	_Alignas(BLOCK_BYTES) unsigned char block[BLOCK_BYTES];
};

static void note(const struct probe *probe, const char *event)
{
	if (probe_note)
		probe_note(PROBE_NAME, event);
	else
		probe->host->log(probe->instance, FOREBAY_LOG_INFO, "%s",
				 event);
}

static void on_late(struct forebay_timer *timer)
{
	struct probe *probe = timer->owner;

	note(probe, "late");
	probe->host->open_done(probe->instance, 0);
}

static void probe_open(struct forebay_instance *instance,
		       const struct forebay_host *host,
		       const struct forebay_disk *disk, void **ret_state)
{
	struct probe *probe = aligned_alloc(BLOCK_BYTES, 2 * BLOCK_BYTES);
	bool fail = false;
	int64_t delay_ns = 0;

	static_assert(sizeof(*probe) <= 2 * BLOCK_BYTES, "it fits");
	assert(probe && disk->logical_block_bytes == BLOCK_BYTES);
	memset(probe, 0, sizeof(*probe));
	probe->instance = instance;
	probe->host = host;
	probe->timer.expired = on_late;
	probe->timer.owner = probe;
	*ret_state = probe;
	note(probe, "open");
	host->property_boolean(instance, "fail", &fail);
	host->property_integer(instance, "late", &delay_ns);
	if (fail) {
		free(probe);
		host->explain(instance, "it was told to fail");
		host->open_done(instance, -EACCES);
	} else if (delay_ns > 0) {
		host->timer_arm(instance, &probe->timer, (uint64_t)delay_ns);
	} else {
		host->open_done(instance, 0);
	}
}

static void probe_close(void *state)
{
	struct probe *probe = state;
	struct forebay_instance *instance = probe->instance;
	const struct forebay_host *host = probe->host;
	bool untidy = false;

	note(probe, "close");
	host->property_boolean(instance, "untidy", &untidy);
	if (untidy)
		host->timer_arm(instance, &probe->timer, 1000000000);
	else
		free(probe);
	host->close_done(instance, 0);
}

static void probe_submit(void *state, struct forebay_request *request)
{
	struct probe *probe = state;

	probe->host->request_forward(request);
}

static void probe_properties_changed(void *state)
{
	note(state, "changed");
}

static void action_end(struct probe *probe, int status)
{
	free(probe->ios);
	probe->ios = NULL;
	probe->done(probe->context, status);
}

static void start(struct probe *probe, struct forebay_io *io)
{
	probe->inside_submit = true;
	probe->host->io_submit(probe->instance, io);
	probe->inside_submit = false;
}

/* Many ios below at once: more than there are requests for them. */

static void on_many(struct forebay_io *io, int result)
{
	struct probe *probe = io->owner;

	assert(!probe->inside_submit && result == 0);
	if (--probe->ios_left == 0)
		action_end(probe, 0);
}

static void many_below(struct probe *probe)
{
	probe->ios = calloc(MANY, sizeof(*probe->ios));
	probe->ios_left = MANY;
	probe->iov = (struct iovec){probe->block, BLOCK_BYTES};
	assert(probe->ios);
	for (unsigned int i = 0; i < MANY; i++) {
		struct forebay_io *io = &probe->ios[i];

		*io = (struct forebay_io){
			.operation = FOREBAY_READ,
			.file = FOREBAY_BELOW,
			.iov = &probe->iov,
			.iov_count = 1,
			.offset = i * BLOCK_BYTES,
			.length = BLOCK_BYTES,
			.done = on_many,
			.owner = probe,
		};
		start(probe, io);
	}
}

/* One io below that no disk can have. */

static void on_bad(struct forebay_io *io, int result)
{
	struct probe *probe = io->owner;

	assert(!probe->inside_submit);
	action_end(probe, result);
}

static void bad_below(struct probe *probe)
{
	probe->ios = calloc(1, sizeof(*probe->ios));
	assert(probe->ios);
	probe->iov = (struct iovec){probe->block, BLOCK_BYTES};
	*probe->ios = (struct forebay_io){
		.operation = FOREBAY_WRITE,
		.file = FOREBAY_BELOW,
		.iov = &probe->iov,
		.iov_count = 1,
		.offset = UINT64_MAX - BLOCK_BYTES + 1,
		.length = BLOCK_BYTES,
		.done = on_bad,
		.owner = probe,
	};
	start(probe, probe->ios);
}

/* Every operation on a file of its own, one after the other. */

struct file_step {
	enum forebay_operation operation;
	uint32_t flags;
	uint64_t offset;
	int result;
	int byte; /* all of the block holds it afterwards; -1: don't look */
};

static const struct file_step file_steps[] = {
	{FOREBAY_WRITE, FOREBAY_FUA, 0, 0, -1},
	{FOREBAY_WRITE, 0, 512, 0, -1},
	{FOREBAY_FLUSH, 0, 0, 0, -1},
	{FOREBAY_READ, 0, 512, 0, 'x'},
	{FOREBAY_WRITE_ZEROES, FOREBAY_FUA, 512, 0, -1},
	{FOREBAY_READ, 0, 512, 0, 0},
	{FOREBAY_DISCARD, 0, 0, 0, -1},
	{FOREBAY_READ, 0, 0, 0, 0},
	/* Behind the end of the file nothing comes. */
	{FOREBAY_READ, 0, 1 << 20, -EIO, -1},
};

#define FILE_STEPS (sizeof(file_steps) / sizeof(file_steps[0]))

static void next_file_step(struct probe *probe);

static void on_file_step(struct forebay_io *io, int result)
{
	struct probe *probe = io->owner;
	const struct file_step *step = &file_steps[probe->step++];

	assert(!probe->inside_submit && result == step->result);
	for (unsigned int i = 0; step->byte >= 0 && i < BLOCK_BYTES; i++)
		assert(probe->block[i] == step->byte);
	next_file_step(probe);
}

static void next_file_step(struct probe *probe)
{
	const struct file_step *step = &file_steps[probe->step];
	bool transfers;

	if (probe->step == FILE_STEPS) {
		close(probe->file);
		action_end(probe, 0);
		return;
	}
	transfers = step->operation == FOREBAY_READ ||
		    step->operation == FOREBAY_WRITE;
	memset(probe->block, step->operation == FOREBAY_READ ? '?' : 'x',
	       BLOCK_BYTES);
	*probe->ios = (struct forebay_io){
		.operation = step->operation,
		.flags = step->flags,
		.file = probe->file,
		.iov = transfers ? &probe->iov : NULL,
		.iov_count = transfers,
		.offset = step->offset,
		.length = step->operation == FOREBAY_FLUSH ? 0 : BLOCK_BYTES,
		.done = on_file_step,
		.owner = probe,
	};
	start(probe, probe->ios);
}

static void own_file(struct probe *probe)
{
	probe->file = memfd_create("probe", MFD_CLOEXEC);
	probe->ios = calloc(1, sizeof(*probe->ios));
	assert(probe->file >= 0 && probe->ios);
	probe->iov = (struct iovec){probe->block, BLOCK_BYTES};
	probe->step = 0;
	next_file_step(probe);
}

static void probe_action(void *state, const char *name,
			 void (*done)(void *context, int status), void *context)
{
	struct probe *probe = state;
	bool stuck = false;

	probe->done = done;
	probe->context = context;
	if (strcmp(name, "many-below") == 0) {
		many_below(probe);
	} else if (strcmp(name, "bad-below") == 0) {
		bad_below(probe);
	} else if (strcmp(name, "own-file") == 0) {
		own_file(probe);
	} else if (strcmp(name, "flush") == 0) {
		note(probe, "flush");
		probe->host->property_boolean(probe->instance, "stuck", &stuck);
		done(context, stuck ? -EIO : 0);
	} else {
		done(context, -ENOTSUP);
	}
}

static const struct forebay_property probe_properties[] = {
	{
		.name = "fail",
		.description = "open() fails.",
		.type = FOREBAY_PROPERTY_BOOLEAN,
	},
	{
		.name = "late",
		.description = "open() takes so long.",
		.type = FOREBAY_PROPERTY_DURATION,
		.maximum = INT64_MAX,
		.online = true,
	},
	{
		.name = "untidy",
		.description = "close() leaves a timer armed.",
		.type = FOREBAY_PROPERTY_BOOLEAN,
	},
	{
		.name = "stuck",
		.description = "The action flush fails.",
		.type = FOREBAY_PROPERTY_BOOLEAN,
	},
	{0},
};

const struct forebay_filter forebay_filter = {
	.abi_version = FOREBAY_FILTER_ABI,
	.struct_size = sizeof(struct forebay_filter),
	.name = PROBE_NAME,
	.version = "1.0.0",
	.description = "Does what a test tells it to.",
	.filter_class = PROBE_CLASS,
	.operations = FOREBAY_OPERATION_BIT(FOREBAY_READ) |
		      FOREBAY_OPERATION_BIT(FOREBAY_WRITE) |
		      FOREBAY_OPERATION_BIT(FOREBAY_FLUSH) |
		      FOREBAY_OPERATION_BIT(FOREBAY_WRITE_ZEROES),
	.properties = probe_properties,
	.open = probe_open,
	.close = probe_close,
	.submit = probe_submit,
	.properties_changed = probe_properties_changed,
	.action = probe_action,
};
