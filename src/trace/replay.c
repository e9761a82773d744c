// SPDX-License-Identifier: Apache-2.0
/*
 * replay.c - one thread, one queue.
 *
 * A file has its records in the order in which requests ended; they are sorted
 * by when they began. Two that overlap in the file may so be under way at once
 * here too, as they were: which of them wins isn't said by a trace.
 */
#include "replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "transport.h"

#define IDLE_NS (100 * NS_PER_MS)
#define REAP_MAX 64u

struct replay {
	const struct replay_options *options;
	struct replay_result *result;
	struct transport *transport;
	struct trace_record *records;
	size_t record_count;
	size_t next; /* record */
	uint64_t done_bytes; /* of it, by pieces before */
	struct load_io *ios;
	struct load_io **free;
	unsigned int free_count;
	uint64_t begin_ns;
	uint64_t first_ns; /* of the trace */
};

static int by_begin(const void *left, const void *right)
{
	const struct trace_record *a = left, *b = right;

	return (a->begin_ns > b->begin_ns) - (a->begin_ns < b->begin_ns);
}

static bool kind_of(const struct trace_record *record, enum load_kind *ret_kind)
{
	switch (record->operation) {
	case FOREBAY_READ:
		*ret_kind = LOAD_READ;
		return true;
	case FOREBAY_WRITE:
		*ret_kind = LOAD_WRITE;
		return true;
	case FOREBAY_FLUSH:
		*ret_kind = LOAD_FLUSH;
		return true;
	case FOREBAY_DISCARD:
		*ret_kind = LOAD_DISCARD;
		return true;
	case FOREBAY_WRITE_ZEROES:
		*ret_kind = LOAD_WRITE_ZEROES;
		return true;
	case FOREBAY_EXTENTS:
	case FOREBAY_CACHE:
		break;
	}
	return false;
}

static int read_all(struct replay *replay, struct trace_file *file,
		    struct error *error)
{
	struct trace_record record;
	size_t room = 0;

	while (trace_file_next(file, &record)) {
		if (replay->record_count == REPLAY_RECORDS_MAX)
			return error_set(error, -EFBIG,
					 "the trace has more than %u records",
					 REPLAY_RECORDS_MAX);
		if (replay->record_count == room) {
			struct trace_record *more;

			room = room ? 2 * room : 4096;
			more = reallocarray(replay->records, room,
					    sizeof(*more));
			if (!more)
				return error_set(error, -ENOMEM,
						 "no memory for the trace");
			replay->records = more;
		}
		replay->records[replay->record_count++] = record;
	}
	if (replay->record_count > 0)
		qsort(replay->records, replay->record_count,
		      sizeof(*replay->records), by_begin);
	return 0;
}

/* Returns: 0, or why this trace can't be put to this disk. */
static int check_records(const struct replay *replay, struct error *error)
{
	uint64_t end = 0;
	bool writes = false;

	for (size_t i = 0; i < replay->record_count; i++) {
		const struct trace_record *record = &replay->records[i];

		if (record->offset + record->length > end)
			end = record->offset + record->length;
		writes |= record->operation == FOREBAY_WRITE ||
			  record->operation == FOREBAY_DISCARD ||
			  record->operation == FOREBAY_WRITE_ZEROES;
	}
	if (end > replay->transport->size_bytes)
		return error_set(error, -EINVAL,
				 "%s has %" PRIu64 " bytes, and the trace "
				 "reaches to %" PRIu64,
				 replay->options->address,
				 replay->transport->size_bytes, end);
	if (writes && !replay->options->may_write)
		return error_set(
			error, -EINVAL,
			"%s: the trace has writes, which would destroy "
			"data there; if that is meant, say "
			"--destroy-data",
			replay->options->address);
	return 0;
}

static int connect_disk(struct replay *replay, struct error *error)
{
	const struct replay_options *options = replay->options;
	const struct transport_options transport = {
		.address = options->address,
		.queue_count = 1,
		.depth = options->depth,
		.data_bytes = (size_t)options->depth * REPLAY_PIECE_BYTES,
	};
	int status = options->nbd ? nbd_transport_create(&transport,
							 &replay->transport)
				  : vhost_transport_create(&transport,
							   &replay->transport);

	if (status < 0)
		return error_set(error, status,
				 "no memory for the requests' data");
	return replay->transport->ops->connect(replay->transport, error);
}

static int make_ios(struct replay *replay)
{
	unsigned int depth = replay->options->depth;
	uint8_t *data = replay->transport->data;
	uint64_t noise = 1;

	replay->ios = calloc(depth, sizeof(*replay->ios));
	replay->free = calloc(depth, sizeof(struct load_io *));
	if (!replay->ios || !replay->free)
		return -ENOMEM;
	for (unsigned int i = 0; i < depth; i++) {
		replay->ios[i].number = i;
		replay->ios[i].data = data + (size_t)i * REPLAY_PIECE_BYTES;
		replay->free[depth - 1 - i] = &replay->ios[i];
	}
	replay->free_count = depth;
	/* Not zeros: a disk may take those for nothing. */
	for (size_t i = 0; i < (size_t)depth * REPLAY_PIECE_BYTES; i += 8) {
		noise = noise * UINT64_C(6364136223846793005) + 1;
		memcpy(data + i, &noise, sizeof(noise));
	}
	return 0;
}

/* When the next record is due; UINT64_MAX: there is none. */
static uint64_t due_ns(const struct replay *replay, uint64_t now_ns)
{
	double since;

	if (replay->next == replay->record_count)
		return UINT64_MAX;
	if (replay->options->speed <= 0 || replay->done_bytes > 0)
		return now_ns;
	since = (double)(replay->records[replay->next].begin_ns -
			 replay->first_ns);
	return replay->begin_ns + (uint64_t)(since / replay->options->speed);
}

/* Submits the next record or a piece of it, or passes it over. */
static void advance(struct replay *replay, uint64_t now_ns, uint64_t due)
{
	const struct trace_record *record = &replay->records[replay->next];
	struct replay_result *result = replay->result;
	uint64_t left = record->length - replay->done_bytes;
	struct load_io *io;
	enum load_kind kind;

	if (!kind_of(record, &kind) || !replay->transport->offers[kind] ||
	    (kind != LOAD_FLUSH && left == 0)) {
		result->skipped++;
		replay->next++;
		return;
	}
	io = replay->free[--replay->free_count];
	io->kind = kind;
	io->error = 0;
	io->offset = record->offset + replay->done_bytes;
	io->bytes =
		left < REPLAY_PIECE_BYTES ? (uint32_t)left : REPLAY_PIECE_BYTES;
	io->due_ns = now_ns;
	if (now_ns - due > result->late_ns)
		result->late_ns = now_ns - due;
	replay->done_bytes += io->bytes;
	if (replay->done_bytes == record->length) {
		replay->next++;
		replay->done_bytes = 0;
	}
	result->counts[kind]++;
	replay->transport->ops->submit(replay->transport, io);
}

static void feed(struct replay *replay)
{
	uint64_t now_ns = clock_monotonic_ns();
	bool sent = false;

	while (replay->free_count > 0) {
		uint64_t due = due_ns(replay, now_ns);

		if (due > now_ns)
			break;
		advance(replay, now_ns, due);
		sent = true;
	}
	if (sent)
		replay->transport->ops->kick(replay->transport, 0);
}

static unsigned int reap(struct replay *replay)
{
	struct load_io *ios[REAP_MAX];
	unsigned int count = replay->transport->ops->reap(replay->transport, 0,
							  ios, REAP_MAX);
	uint64_t now_ns = clock_monotonic_ns();

	for (unsigned int i = 0; i < count; i++) {
		replay->result->errors += ios[i]->error != 0;
		histogram_add(&replay->result->latency,
			      now_ns - ios[i]->due_ns);
		replay->free[replay->free_count++] = ios[i];
	}
	return count;
}

static int idle(struct replay *replay, struct error *error)
{
	uint64_t now_ns = clock_monotonic_ns();
	uint64_t due =
		replay->free_count > 0 ? due_ns(replay, now_ns) : UINT64_MAX;
	uint64_t timeout = IDLE_NS;
	int status;

	if (due <= now_ns)
		return 0;
	if (due - now_ns < timeout)
		timeout = due - now_ns;
	status = replay->transport->ops->idle(replay->transport, timeout);
	if (status < 0)
		return error_set(error, status, "%s: the disk went away: %s",
				 replay->options->address, strerror(-status));
	return 0;
}

static int run(struct replay *replay, struct error *error)
{
	int status = 0;

	replay->begin_ns = clock_monotonic_ns();
	if (replay->record_count > 0)
		replay->first_ns = replay->records[0].begin_ns;
	while (status == 0 && (replay->next < replay->record_count ||
			       replay->free_count < replay->options->depth)) {
		feed(replay);
		if (reap(replay) == 0)
			status = idle(replay, error);
	}
	replay->result->seconds =
		(double)(clock_monotonic_ns() - replay->begin_ns) /
		NS_PER_SECOND;
	return status;
}

int replay_run(struct trace_file *file, const struct replay_options *options,
	       struct replay_result *ret_result, struct error *error)
{
	struct replay replay = {.options = options, .result = ret_result};
	int status = read_all(&replay, file, error);

	if (status == 0)
		status = connect_disk(&replay, error);
	if (status == 0)
		status = check_records(&replay, error);
	if (status == 0 && make_ios(&replay) < 0)
		status = error_set(error, -ENOMEM, "out of memory");
	if (status == 0)
		status = run(&replay, error);
	if (replay.transport)
		replay.transport->ops->destroy(replay.transport);
	free(replay.records);
	free(replay.ios);
	free(replay.free);
	return status;
}
