/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_memory_server.c - an NBD server over memory, for tests with real clients.
 *
 *   nbd_memory_server SOCKET SIZE [read-only] [held] [reversed] [no-discard]
 *
 * Prints "ready" when it listens. Lines on standard input: "durable OFFSET
 * LENGTH" prints "durable HASH", the CRC32C of what would survive a power loss;
 * "counts" prints counters; "stats" the export's statistics; "release N"
 * completes N held requests; "fail N" makes the next N reads, writes and
 * questions for extents fail; "park" parks the export and prints "parked" when
 * it is; "unpark N" makes the disk grow to N bytes and prints "serving".
 * End of input or SIGTERM stops it in good order.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "crc32c.h"
#include "log.h"
#include "memory_pipeline.h"
#include "nbd.h"

struct server {
	struct loop *loop;
	struct pipeline *pipeline;
	struct nbd_export *export;
	int signal_fd;
	bool stopping;
	struct loop_io input_io;
	struct loop_io signal_io;
	size_t line_bytes;
	char line[256];
	char input[256];
};

static void stopped(void *context)
{
	struct server *server = context;

	loop_stop(server->loop);
}

static void stop(struct server *server)
{
	if (server->stopping)
		return;
	server->stopping = true;
	memory_pipeline_set_order(server->pipeline, MEMORY_PIPELINE_AT_ONCE);
	nbd_export_stop(server->export, stopped, server);
	memory_pipeline_release(server->pipeline, PIPELINE_REQUESTS_MAX);
}

static void parked(void *context)
{
	struct server *server = context;

	/* Asserts that nothing of it is held. */
	memory_pipeline_set_size(server->pipeline,
				 pipeline_size_bytes(server->pipeline));
	printf("parked\n");
	fflush(stdout);
}

static void print_durable(struct server *server, uint64_t offset,
			  uint64_t length)
{
	printf("durable %08" PRIx32 "\n",
	       crc32c(0, memory_pipeline_durable(server->pipeline) + offset,
		      length));
}

static void print_counts(struct server *server)
{
	const struct memory_pipeline_counts *counts =
		memory_pipeline_counts(server->pipeline);

	static const struct {
		const char *name;
		enum forebay_operation operation;
	} operations[] = {
		{"read", FOREBAY_READ},
		{"write", FOREBAY_WRITE},
		{"flush", FOREBAY_FLUSH},
		{"discard", FOREBAY_DISCARD},
		{"write_zeroes", FOREBAY_WRITE_ZEROES},
		{"extents", FOREBAY_EXTENTS},
		{"cache", FOREBAY_CACHE},
	};

	printf("counts {");
	for (size_t i = 0; i < sizeof(operations) / sizeof(*operations); i++)
		printf("\"%s\": %" PRIu64 ", ", operations[i].name,
		       counts->requests[operations[i].operation]);
	printf("\"fua\": %" PRIu64 ", \"copied_bytes\": %" PRIu64
	       ", \"in_flight\": %u}\n",
	       counts->fua, counts->copied_bytes, counts->in_flight);
}

static void print_stats(struct server *server)
{
	json_t *stats = nbd_export_stats(server->export);
	char *text = json_dumps(stats, 0);

	printf("stats %s\n", text);
	free(text);
	json_decref(stats);
}

static void obey(struct server *server, const char *line)
{
	uint64_t offset;
	uint64_t length;
	unsigned int count;

	if (sscanf(line, "durable %" SCNu64 " %" SCNu64, &offset, &length) == 2)
		print_durable(server, offset, length);
	else if (strcmp(line, "counts") == 0)
		print_counts(server);
	else if (strcmp(line, "stats") == 0)
		print_stats(server);
	else if (strcmp(line, "park") == 0)
		nbd_export_park(server->export, parked, server);
	else if (sscanf(line, "unpark %" SCNu64, &length) == 1) {
		memory_pipeline_set_size(server->pipeline, length);
		nbd_export_unpark(server->export, server->pipeline);
		printf("serving\n");
	} else if (sscanf(line, "release %u", &count) == 1)
		printf("released %u\n",
		       memory_pipeline_release(server->pipeline, count));
	else if (sscanf(line, "fail %u", &count) == 1) {
		memory_pipeline_fail(server->pipeline, FOREBAY_READ, -EIO,
				     count);
		memory_pipeline_fail(server->pipeline, FOREBAY_WRITE, -ENOSPC,
				     count);
		memory_pipeline_fail(server->pipeline, FOREBAY_EXTENTS, -EIO,
				     count);
		printf("failing\n");
	} else
		printf("unknown\n");
	fflush(stdout);
}

static void watch_input(struct server *server);

static void input_ready(struct loop_io *io, int events)
{
	struct server *server = io->owner;
	ssize_t count;

	if (events < 0)
		return;
	count = read(STDIN_FILENO, server->input, sizeof(server->input));
	if (count < 0 && errno == EAGAIN) {
		watch_input(server);
		return;
	}
	if (count <= 0) {
		stop(server);
		return;
	}
	for (ssize_t i = 0; i < count; i++) {
		if (server->input[i] == '\n') {
			server->line[server->line_bytes] = '\0';
			server->line_bytes = 0;
			obey(server, server->line);
		} else if (server->line_bytes < sizeof(server->line) - 1) {
			server->line[server->line_bytes++] = server->input[i];
		}
	}
	watch_input(server);
}

static void watch_input(struct server *server)
{
	server->input_io.done = input_ready;
	server->input_io.owner = server;
	loop_poll(server->loop, &server->input_io, STDIN_FILENO, POLLIN);
}

static void signal_ready(struct loop_io *io, int events)
{
	if (events >= 0)
		stop(io->owner);
}

static void watch_signals(struct server *server)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	server->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
	server->signal_io.done = signal_ready;
	server->signal_io.owner = server;
	loop_poll(server->loop, &server->signal_io, server->signal_fd, POLLIN);
}

static bool has_word(char **words, const char *word)
{
	for (; *words; words++)
		if (strcmp(*words, word) == 0)
			return true;
	return false;
}

static void set_up_pipeline(struct server *server, char **words)
{
	if (has_word(words, "held"))
		memory_pipeline_set_order(server->pipeline,
					  MEMORY_PIPELINE_HELD);
	if (has_word(words, "reversed"))
		memory_pipeline_set_order(server->pipeline,
					  MEMORY_PIPELINE_LATER_REVERSED);
	if (has_word(words, "no-discard"))
		memory_pipeline_set_operations(
			server->pipeline,
			FOREBAY_OPERATION_BIT(FOREBAY_READ) |
				FOREBAY_OPERATION_BIT(FOREBAY_WRITE) |
				FOREBAY_OPERATION_BIT(FOREBAY_FLUSH));
	if (has_word(words, "few-requests"))
		memory_pipeline_set_requests_max(server->pipeline, 3);
}

int main(int argc, char **argv)
{
	struct server server = {0};
	struct nbd_options options = {
		.export_name = "memory",
		.description = "a disk of memory",
		.handshake_timeout_ns = UINT64_C(2000000000),
		.linger_timeout_ns = UINT64_C(500000000),
	};
	struct error error;

	if (argc < 3)
		return 2;
	log_open("nbd_memory_server", LOG_LEVEL_INFO);
	if (loop_create(&server.loop) < 0)
		return 1;
	server.pipeline =
		memory_pipeline_create(server.loop, strtoull(argv[2], NULL, 10),
				       has_word(argv + 3, "read-only"));
	set_up_pipeline(&server, argv + 3);
	options.socket_path = argv[1];
	if (nbd_export_create(server.loop, server.pipeline, &options,
			      &server.export, &error) < 0) {
		fprintf(stderr, "%s\n", error.message);
		return 1;
	}
	watch_signals(&server);
	/* See loop_poll(). */
	fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
	watch_input(&server);
	printf("ready\n");
	fflush(stdout);
	loop_run(server.loop);
	nbd_export_destroy(server.export);
	memory_pipeline_destroy(server.pipeline);
	loop_destroy(server.loop);
	close(server.signal_fd);
	return 0;
}
