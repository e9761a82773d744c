// SPDX-License-Identifier: Apache-2.0
/*
 * misuse_filter.c - breaks the rule that a test names in its property `does`.
 *
 * All that it does wrong, it does at the first write; until then, and where it
 * breaks nothing, it forwards.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <forebay/filter.h>

#define SLEEP_NS 300000000L
#define FRAME_BYTES 4096

struct misuse {
	struct forebay_instance *instance;
	const struct forebay_host *host;
	const char *does;
	struct forebay_request *held;
	struct forebay_timer timer;
	struct forebay_io io;
	struct forebay_work work;
};

static bool does(const struct misuse *misuse, const char *what)
{
	return strcmp(misuse->does, what) == 0;
}

static void write_to_nowhere(void)
{
	/* Not a constant that the compiler could judge. */
	volatile uintptr_t nowhere = 64;

	*(volatile int *)nowhere = 1;
}

/* The compiler mustn't turn it into a loop. */
static int eat_stack(volatile unsigned char *above)
{
	volatile unsigned char frame[FRAME_BYTES];

	frame[0] = above ? above[0] : 1;
	if (frame[0] == 0)
		return 0;
	return eat_stack(frame) + frame[0];
}

static void write_outside(void)
{
	volatile size_t place = 600;
	unsigned char *buffer = malloc(512);

	if (!buffer)
		abort();
	((volatile unsigned char *)buffer)[place] = 1;
	free(buffer);
}

static void on_work(struct forebay_work *work)
{
	(void)work;
	write_to_nowhere();
}

static void on_worked(struct forebay_work *work)
{
	(void)work;
}

static void on_timer(struct forebay_timer *timer)
{
	struct misuse *misuse = timer->owner;

	if (does(misuse, "crash-in-timer"))
		write_to_nowhere();
}

static void on_io(struct forebay_io *io, int result)
{
	struct misuse *misuse = io->owner;

	misuse->host->request_complete(misuse->held, result);
}

static void misuse_open(struct forebay_instance *instance,
			const struct forebay_host *host,
			const struct forebay_disk *disk, void **ret_state)
{
	struct misuse *misuse = calloc(1, sizeof(*misuse));

	(void)disk;
	if (!misuse)
		abort();
	misuse->instance = instance;
	misuse->host = host;
	misuse->timer.expired = on_timer;
	misuse->timer.owner = misuse;
	misuse->work.run = on_work;
	misuse->work.done = on_worked;
	host->property_string(instance, "does", &misuse->does);
	*ret_state = misuse;
	host->open_done(instance, 0);
	if (does(misuse, "open-twice"))
		host->open_done(instance, 0);
}

static void misuse_close(void *state)
{
	struct misuse *misuse = state;

	if (does(misuse, "close-with-timer"))
		misuse->host->timer_arm(misuse->instance, &misuse->timer,
					UINT64_C(1000000000));
	misuse->host->close_done(misuse->instance, 0);
}

static void submit_flush(struct misuse *misuse)
{
	misuse->io = (struct forebay_io){
		.operation = FOREBAY_FLUSH,
		.file = FOREBAY_BELOW,
		.done = on_io,
		.owner = misuse,
	};
	misuse->host->io_submit(misuse->instance, &misuse->io);
	misuse->host->io_submit(misuse->instance, &misuse->io);
}

/* Rules of requests. Returns: whether one was broken or the request is kept. */
static bool break_rule(struct misuse *misuse, struct forebay_request *request)
{
	const struct forebay_host *host = misuse->host;

	if (does(misuse, "complete-twice")) {
		host->request_complete(request, 0);
		host->request_complete(request, 0);
	} else if (does(misuse, "complete-after-forward")) {
		host->request_forward(request);
		host->request_complete(request, 0);
	} else if (does(misuse, "forward-after-complete")) {
		host->request_complete(request, 0);
		host->request_forward(request);
	} else if (does(misuse, "forward-twice")) {
		host->request_forward(request);
		host->request_forward(request);
	} else if (does(misuse, "positive-status")) {
		host->request_complete(request, 512);
	} else if (does(misuse, "io-twice")) {
		misuse->held = request;
		submit_flush(misuse);
	} else if (does(misuse, "free-what-is-not")) {
		host->arena_free(misuse->instance, misuse);
	} else if (does(misuse, "hold")) {
		misuse->held = request;
	} else {
		return false;
	}
	return true;
}

/* Faults that take the process, and what only takes its time. */
static void fail(struct misuse *misuse)
{
	const struct timespec pause = {.tv_nsec = SLEEP_NS};

	if (does(misuse, "crash"))
		write_to_nowhere();
	if (does(misuse, "abort"))
		abort();
	if (does(misuse, "eat-stack"))
		eat_stack(NULL);
	if (does(misuse, "write-outside"))
		write_outside();
	if (does(misuse, "crash-in-work"))
		misuse->host->work_submit(misuse->instance, &misuse->work);
	if (does(misuse, "block"))
		nanosleep(&pause, NULL);
	if (does(misuse, "crash-in-timer"))
		misuse->host->timer_arm(misuse->instance, &misuse->timer, 1);
}

static void misuse_submit(void *state, struct forebay_request *request)
{
	struct misuse *misuse = state;

	if (misuse->host->request_operation(request) == FOREBAY_WRITE &&
	    !misuse->held) {
		fail(misuse);
		if (break_rule(misuse, request))
			return;
	}
	misuse->host->request_forward(request);
}

static void misuse_completed(void *state, struct forebay_request *request,
			     int status)
{
	struct misuse *misuse = state;

	if (does(misuse, "forward-what-came-back"))
		misuse->host->request_forward(request);
	misuse->host->request_complete(request, status);
}

static int misuse_status(void *state, char *buffer, size_t buffer_bytes)
{
	static const char good[] = "{}";
	static const char bad[] = "{\"unfinished\": ";
	struct misuse *misuse = state;
	const char *text = does(misuse, "bad-status") ? bad : good;

	if (strlen(text) >= buffer_bytes)
		return -1;
	memcpy(buffer, text, strlen(text) + 1);
	return (int)strlen(text);
}

static const struct forebay_property misuse_properties[] = {
	{
		.name = "does",
		.description = "The rule to break.",
		.type = FOREBAY_PROPERTY_STRING,
		.default_string = "nothing",
	},
	{0},
};

const struct forebay_filter forebay_filter = {
	.abi_version = FOREBAY_FILTER_ABI,
	.struct_size = sizeof(struct forebay_filter),
	.name = "misuse",
	.version = "1.0.0",
	.description = "Breaks a rule.",
	.filter_class = FOREBAY_CLASS_INSPECTION,
	.operations = FOREBAY_OPERATION_BIT(FOREBAY_READ) |
		      FOREBAY_OPERATION_BIT(FOREBAY_WRITE) |
		      FOREBAY_OPERATION_BIT(FOREBAY_FLUSH),
	.properties = misuse_properties,
	.open = misuse_open,
	.close = misuse_close,
	.submit = misuse_submit,
	.completed = misuse_completed,
	.status = misuse_status,
};
