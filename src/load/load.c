// SPDX-License-Identifier: Apache-2.0
/*
 * load.c - one thread that drives all queues of a transport.
 *
 * A request that has ended is measured and replaced by the next one at once; a
 * batch of them is one kick. At a given rate a request's latency counts from
 * the moment at which it was due, so that a disk that stalls can't hide the
 * requests that it kept from being sent. When the server goes away the load
 * waits, reconnects and goes on; latencies include the pause.
 */
#include "load.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "cpu_time.h"
#include "error.h"
#include "transport.h"

#define REAP_MAX 64u
#define IDLE_NS (100 * NS_PER_MS)
#define RECONNECT_PAUSE_NS (2 * NS_PER_MS)
/* Tries to find a block without a request before taking the next free one. */
#define TAKE_TRIES 32u

struct lane {
	unsigned int writes_since_flush;
	unsigned int free_count;
	struct load_io **free; /* a stack */
	struct load_io *ios;
};

struct load {
	const struct load_options *options;
	struct load_result *result;
	struct transport *transport;
	struct journal *journal; /* NULL: not verified */
	struct lane *lanes;
	struct pattern pattern;
	uint64_t block_count;
	uint32_t buffers_each; /* of a request */
	uint64_t submitted;
	unsigned int in_flight;
	bool measuring;
	bool reading_back;
	bool feeding;
	uint64_t next_block; /* reading back */
	uint64_t begin_ns;
	uint64_t interval_ns; /* between two at a given rate; 0: none */
	uint64_t due_ns; /* of the next one */
	uint64_t progress_ns; /* when to show it next */
	uint64_t progress_count; /* requests until then */
	const volatile sig_atomic_t *stop; /* NULL: nobody may end it now */
};

bool load_writes(const struct load_options *options)
{
	/* Without time there is no load, only reading back. */
	return options->seconds > 0 &&
	       (options->percent[LOAD_READ] < 100 ||
		options->percent[LOAD_DISCARD] > 0 ||
		options->percent[LOAD_WRITE_ZEROES] > 0);
}

uint64_t load_errors(const struct load_result *result)
{
	uint64_t count = result->read_back_errors;

	for (unsigned int i = 0; i < LOAD_KINDS; i++)
		count += result->tallies[i].errors;
	return count;
}

static enum load_kind choose_kind(struct load *load, struct lane *lane)
{
	static const enum load_kind others[] = {LOAD_FLUSH, LOAD_DISCARD,
						LOAD_WRITE_ZEROES};
	const struct load_options *options = load->options;
	uint64_t dice;

	if (options->flush_every > 0 &&
	    lane->writes_since_flush >= options->flush_every) {
		lane->writes_since_flush = 0;
		return LOAD_FLUSH;
	}
	dice = pattern_random(&load->pattern, 100);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (dice < options->percent[others[i]])
			return others[i];
		dice -= options->percent[others[i]];
	}
	if (pattern_random(&load->pattern, 100) < options->percent[LOAD_READ])
		return LOAD_READ;
	lane->writes_since_flush++;
	return LOAD_WRITE;
}

/* There are more blocks than requests, so one is free. */
static uint64_t choose_block(struct load *load)
{
	uint64_t block = pattern_block(&load->pattern);

	if (!load->journal)
		return block;
	for (unsigned int i = 0; i < TAKE_TRIES; i++) {
		if (journal_take(load->journal, block))
			return block;
		block = pattern_block(&load->pattern);
	}
	while (!journal_take(load->journal, block))
		block = (block + 1) % load->block_count;
	return block;
}

static bool choose_known_block(struct load *load, uint64_t *ret_block)
{
	while (load->next_block < load->block_count) {
		uint64_t block = load->next_block++;

		if (journal_knows(load->journal, block) &&
		    journal_take(load->journal, block)) {
			*ret_block = block;
			return true;
		}
	}
	return false;
}

static void next_buffer(struct load *load, struct load_io *io)
{
	const struct load_options *options = load->options;
	uint64_t number = (uint64_t)io->queue * options->depth + io->number;

	io->buffer = (io->buffer + 1) % load->buffers_each;
	io->data = load->transport->data +
		   (number * load->buffers_each + io->buffer) *
			   options->block_bytes;
}

/* Returns: false if nothing more is to be submitted. */
static bool submit(struct load *load, struct lane *lane, uint64_t due_ns)
{
	const struct load_options *options = load->options;
	struct load_io *io = lane->free[lane->free_count - 1];

	io->kind = LOAD_READ;
	io->error = 0;
	if (load->reading_back) {
		if (!choose_known_block(load, &io->block)) {
			load->feeding = false;
			return false;
		}
	} else {
		io->kind = choose_kind(load, lane);
		if (io->kind != LOAD_FLUSH)
			io->block = choose_block(load);
		load->submitted++;
		if (options->count > 0 && load->submitted >= options->count)
			load->feeding = false;
	}
	lane->free_count--;
	next_buffer(load, io);
	io->bytes = io->kind == LOAD_FLUSH ? 0 : options->block_bytes;
	io->offset =
		io->kind == LOAD_FLUSH
			? 0
			: options->offset + io->block * options->block_bytes;
	io->due_ns = due_ns;
	if (load->journal && io->kind != LOAD_FLUSH)
		journal_begin(load->journal, io);
	load->in_flight++;
	if (load->in_flight > load->result->depth_reached)
		load->result->depth_reached = load->in_flight;
	load->transport->ops->submit(load->transport, io);
	return true;
}

/* Sends what the depth, the rate and the end allow. */
static void feed(struct load *load, unsigned int queue, uint64_t now_ns)
{
	struct lane *lane = &load->lanes[queue];
	bool paced = load->interval_ns > 0 && !load->reading_back;
	bool sent = false;

	while (load->feeding && lane->free_count > 0) {
		if (paced && now_ns < load->due_ns)
			break;
		if (!submit(load, lane, paced ? load->due_ns : now_ns))
			break;
		load->due_ns += load->interval_ns;
		sent = true;
	}
	if (sent)
		load->transport->ops->kick(load->transport, queue);
}

static void measure(struct load *load, const struct load_io *io,
		    uint64_t end_ns)
{
	struct load_tally *tally = &load->result->tallies[io->kind];

	load->progress_count++;
	tally->errors += io->error != 0;
	if (!load->measuring)
		return;
	tally->count++;
	histogram_add(&tally->latency, end_ns - io->due_ns);
	if (io->kind == LOAD_READ || io->kind == LOAD_WRITE)
		histogram_add(&load->result->latency, end_ns - io->due_ns);
}

/* Returns: how many requests have ended. */
static unsigned int serve(struct load *load, unsigned int queue)
{
	struct load_io *ios[REAP_MAX];
	unsigned int count = load->transport->ops->reap(load->transport, queue,
							ios, REAP_MAX);
	struct lane *lane = &load->lanes[queue];
	uint64_t end_ns;

	if (count == 0)
		return 0;
	end_ns = clock_monotonic_ns();
	for (unsigned int i = 0; i < count; i++) {
		load->in_flight--;
		assert(lane->free);
		lane->free[lane->free_count++] = ios[i];
		if (load->journal && ios[i]->kind != LOAD_FLUSH)
			journal_end(load->journal, ios[i]);
		if (load->reading_back) {
			load->result->read_back_blocks++;
			load->result->read_back_errors += ios[i]->error != 0;
		} else {
			measure(load, ios[i], end_ns);
		}
	}
	feed(load, queue, end_ns);
	return count;
}

static int check_range(const struct load *load, struct error *error)
{
	const struct load_options *options = load->options;
	uint64_t end =
		options->offset + load->block_count * options->block_bytes;

	if (end <= load->transport->size_bytes)
		return 0;
	return error_set(error, -EINVAL,
			 "%s: has shrunk to %llu bytes under the load",
			 options->address,
			 (unsigned long long)load->transport->size_bytes);
}

static bool over(const struct load *load, uint64_t now_ns, uint64_t end_ns)
{
	return now_ns >= end_ns || (load->stop && *load->stop);
}

/* Without a server there is nothing to read back from, so who verifies goes on
 * waiting when the load has been ended early. */
static bool gives_up(const struct load *load, uint64_t end_ns)
{
	uint64_t now_ns = clock_monotonic_ns();

	return load->journal ? now_ns >= end_ns : over(load, now_ns, end_ns);
}

/* Tries for as long as the server may be away, at least once. */
static int connect_server(struct load *load, struct error *error)
{
	const struct timespec pause = {.tv_nsec = RECONNECT_PAUSE_NS};
	uint64_t end_ns = clock_monotonic_ns() +
			  (uint64_t)(load->options->reconnect_seconds *
				     (double)NS_PER_SECOND);
	int result;

	while ((result = load->transport->ops->connect(load->transport,
						       error)) < 0) {
		/* What was asked for is wrong: time won't mend it. */
		if (result == -EINVAL || result == -EOPNOTSUPP ||
		    gives_up(load, end_ns))
			return result;
		nanosleep(&pause, NULL);
	}
	load->result->server = load->transport->server;
	return 0;
}

static int reconnect(struct load *load, struct error *error)
{
	int result;

	if (load->options->reconnect_seconds <= 0)
		return error_set(error, -EIO,
				 "%s: the server went away; --reconnect "
				 "SECONDS waits for its return",
				 load->options->address);
	result = connect_server(load, error);
	if (result < 0)
		return result;
	load->result->reconnects++;
	return check_range(load, error);
}

static int idle(struct load *load, struct error *error)
{
	uint64_t timeout_ns = IDLE_NS;
	int result;

	if (load->feeding && load->interval_ns > 0 && !load->reading_back &&
	    load->in_flight <
		    load->options->depth * load->options->queue_count) {
		uint64_t now_ns = clock_monotonic_ns();
		uint64_t left_ns =
			load->due_ns > now_ns ? load->due_ns - now_ns : 0;

		if (left_ns < timeout_ns)
			timeout_ns = left_ns;
	}
	result = load->transport->ops->idle(load->transport, timeout_ns);
	if (result == -EPIPE)
		return reconnect(load, error);
	if (result < 0)
		return error_set(error, result, "%s: waiting: %s",
				 load->options->address, strerror(-result));
	return 0;
}

static void show_progress(struct load *load, uint64_t now_ns)
{
	struct load_progress progress;
	double seconds;

	if (!load->options->progress || now_ns < load->progress_ns)
		return;
	seconds = 1 + (double)(now_ns - load->progress_ns) / NS_PER_SECOND;
	progress.seconds = (double)(now_ns - load->begin_ns) / NS_PER_SECOND;
	progress.iops = (double)load->progress_count / seconds;
	progress.bytes_per_second =
		progress.iops * (double)load->options->block_bytes;
	progress.p99_ns = histogram_quantile(&load->result->latency, .99);
	progress.reading_back = load->reading_back;
	load->options->progress(load->options->progress_context, &progress);
	load->progress_count = 0;
	load->progress_ns = now_ns + NS_PER_SECOND;
}

/* Runs until @end_ns, or until nothing is left. */
static int run(struct load *load, uint64_t end_ns, struct error *error)
{
	unsigned int count = load->options->queue_count;
	int result = 0;

	load->feeding = true;
	load->due_ns = clock_monotonic_ns();
	while (result == 0 && (load->feeding || load->in_flight > 0)) {
		uint64_t now_ns = clock_monotonic_ns();
		unsigned int done = 0;

		if (load->feeding && over(load, now_ns, end_ns))
			load->feeding = false;
		for (unsigned int i = 0; i < count; i++) {
			done += serve(load, i);
			feed(load, i, now_ns);
		}
		if (done == 0 && (load->feeding || load->in_flight > 0))
			result = idle(load, error);
		show_progress(load, now_ns);
	}
	return result;
}

static uint64_t later(uint64_t begin_ns, double seconds)
{
	return begin_ns + (uint64_t)(seconds * (double)NS_PER_SECOND);
}

static uint64_t ended_count(const struct load_result *result)
{
	uint64_t count = 0;

	for (unsigned int i = 0; i < LOAD_KINDS; i++)
		count += result->tallies[i].count;
	return count;
}

/* The warm-up comes first, with its own end, so that CPU times match. */
static int run_load(struct load *load, struct error *error)
{
	const struct load_options *options = load->options;
	struct load_result *result = load->result;
	pid_t server = load->transport->server;
	uint64_t own_ns, server_ns;
	double ios;
	int status = 0;

	load->begin_ns = clock_monotonic_ns();
	if (options->warm_up_seconds > 0)
		status = run(load,
			     later(load->begin_ns, options->warm_up_seconds),
			     error);
	if (status < 0)
		return status;
	load->begin_ns = clock_monotonic_ns();
	load->measuring = true;
	load->submitted = 0;
	own_ns = cpu_time_ns(getpid());
	server_ns = server > 0 ? cpu_time_ns(server) : 0;
	status = run(load, later(load->begin_ns, options->seconds), error);
	load->measuring = false;
	result->seconds =
		(double)(clock_monotonic_ns() - load->begin_ns) / NS_PER_SECOND;
	ios = (double)ended_count(result);
	if (ios <= 0)
		return status;
	result->load_cpu_us =
		(double)(cpu_time_ns(getpid()) - own_ns) / 1000 / ios;
	/* A server that was replaced took its CPU time with it. */
	if (server_ns > 0 && load->transport->server == server)
		result->server_cpu_us =
			(double)(cpu_time_ns(server) - server_ns) / 1000 / ios;
	return status;
}

static int read_back(struct load *load, struct error *error)
{
	int result;

	load->reading_back = true;
	load->next_block = 0;
	result = run(load, UINT64_MAX, error);
	load->reading_back = false;
	return result;
}

static int lanes_create(struct load *load)
{
	unsigned int depth = load->options->depth;

	load->lanes = calloc(load->options->queue_count, sizeof(*load->lanes));
	if (!load->lanes)
		return -ENOMEM;
	for (unsigned int i = 0; i < load->options->queue_count; i++) {
		struct lane *lane = &load->lanes[i];

		lane->ios = calloc(depth, sizeof(*lane->ios));
		lane->free = calloc(depth, sizeof(struct load_io *));
		if (!lane->ios || !lane->free)
			return -ENOMEM;
		lane->free_count = depth;
		for (unsigned int j = 0; j < depth; j++) {
			lane->ios[j].queue = i;
			lane->ios[j].number = j;
			/* The lowest numbers are taken first. */
			lane->free[depth - 1 - j] = &lane->ios[j];
		}
	}
	return 0;
}

/* Returns: 0, or -EOPNOTSUPP when the disk can't do what was asked for. */
static int check_offers(const struct load *load, struct error *error)
{
	static const char *const names[LOAD_KINDS] = {
		"reads", "writes", "flushes", "discards", "writes of zeroes",
	};
	const struct load_options *options = load->options;
	bool wanted[LOAD_KINDS] = {0};

	for (unsigned int i = LOAD_FLUSH; i < LOAD_KINDS; i++)
		wanted[i] = options->percent[i] > 0;
	wanted[LOAD_WRITE] = options->percent[LOAD_READ] < 100;
	wanted[LOAD_FLUSH] |= options->flush_every > 0;
	for (unsigned int i = 0; i < LOAD_KINDS && options->seconds > 0; i++)
		if (wanted[i] && !load->transport->offers[i])
			return error_set(error, -EOPNOTSUPP,
					 "%s: the disk takes no %s",
					 options->address, names[i]);
	return 0;
}

static int choose_range(struct load *load, struct error *error)
{
	const struct load_options *options = load->options;
	uint64_t disk_bytes = load->transport->size_bytes;
	uint64_t requests = (uint64_t)options->depth * options->queue_count;
	uint64_t span = options->span;

	if (options->offset >= disk_bytes ||
	    span > disk_bytes - options->offset)
		return error_set(error, -EINVAL,
				 "%s: has %llu bytes; --offset and --span "
				 "reach beyond its end",
				 options->address,
				 (unsigned long long)disk_bytes);
	if (span == 0)
		span = disk_bytes - options->offset;
	load->block_count = span / options->block_bytes;
	/* Each request needs a block of its own while it is verified. */
	if (load->block_count == 0 ||
	    (options->verify && load->block_count <= requests))
		return error_set(error, -EINVAL,
				 "%s: %llu bytes are too few for %llu "
				 "requests of %u bytes",
				 options->address, (unsigned long long)span,
				 (unsigned long long)requests,
				 options->block_bytes);
	return 0;
}

static int open_transport(struct load *load, struct error *error)
{
	const struct load_options *options = load->options;
	uint64_t each = (uint64_t)options->depth * options->queue_count *
			options->block_bytes;
	struct transport_options transport_options = {
		.address = options->address,
		.queue_count = options->queue_count,
		.depth = options->depth,
		.polls = options->polls,
		.packed = options->packed,
	};
	int result;

	load->buffers_each = 1;
	if (options->memory_bytes > each)
		load->buffers_each = (uint32_t)(options->memory_bytes / each);
	if (load->buffers_each > LOAD_BUFFERS_MAX)
		load->buffers_each = LOAD_BUFFERS_MAX;
	transport_options.data_bytes = each * load->buffers_each;
	if (options->protocol == LOAD_NBD)
		result = nbd_transport_create(&transport_options,
					      &load->transport);
	else
		result = vhost_transport_create(&transport_options,
						&load->transport);
	if (result < 0)
		return error_set(error, result,
				 "forebay: no memory for the requests");
	return connect_server(load, error);
}

static int open_all(struct load *load, struct error *error)
{
	const struct load_options *options = load->options;
	struct journal_shape shape = {
		.first_byte = options->offset,
		.block_bytes = options->block_bytes,
	};
	int result = open_transport(load, error);

	if (result == 0)
		result = check_offers(load, error);
	if (result == 0)
		result = choose_range(load, error);
	if (result < 0)
		return result;
	load->result->disk_bytes = load->transport->size_bytes;
	if (options->rate > 0)
		load->interval_ns =
			(uint64_t)((double)NS_PER_SECOND / options->rate);
	pattern_init(&load->pattern, options->pattern, options->theta,
		     load->block_count, options->seed);
	if (lanes_create(load) < 0)
		return error_set(error, -ENOMEM, "forebay: out of memory");
	if (!options->verify)
		return 0;
	shape.disk_bytes = load->transport->size_bytes;
	shape.block_count = load->block_count;
	return journal_open(options->journal_path, &shape, &load->journal,
			    error);
}

static void close_all(struct load *load)
{
	for (unsigned int i = 0; load->lanes && i < load->options->queue_count;
	     i++) {
		free(load->lanes[i].ios);
		free(load->lanes[i].free);
	}
	free(load->lanes);
	if (load->journal)
		load->result->wrong = *journal_failures(load->journal);
	journal_close(load->journal);
	if (load->transport)
		load->transport->ops->destroy(load->transport);
}

int load_run(const struct load_options *options, struct load_result *ret_result,
	     struct error *error)
{
	struct load load = {
		.options = options,
		.result = ret_result,
		.stop = options->stop,
	};
	int result;

	assert(options->queue_count <= TRANSPORT_QUEUES_MAX &&
	       options->depth <= TRANSPORT_DEPTH_MAX);
	*ret_result = (struct load_result){.server_cpu_us = -1};
	result = open_all(&load, error);
	load.begin_ns = clock_monotonic_ns();
	load.progress_ns = load.begin_ns + NS_PER_SECOND;
	if (result == 0 && load.journal)
		result = read_back(&load, error);
	if (result == 0 && options->seconds > 0)
		result = run_load(&load, error);
	/* Who ends the load early still wants to know what became of it. */
	load.stop = NULL;
	if (result == 0 && load.journal && options->seconds > 0) {
		ret_result->read_back_blocks = 0;
		result = read_back(&load, error);
	}
	close_all(&load);
	return result;
}
