/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_nbd.c - a client's bytes against the NBD server.
 *
 * Each input is one client on a real socket, served by the real loop over a
 * pipeline of memory that asserts what it is handed. The first byte of the
 * input says how it is delivered, the rest is what the client sends:
 *
 *   bit 0    a good handshake comes before it
 *   bit 1    ... that negotiates structured replies
 *   bit 2    the disk is read-only
 *   bit 3    the pipeline completes later and in reverse order
 *   bit 4-6  sent in pieces of 1, 3, 16, 28, 100, 513, 4096, all bytes
 *   bit 7    the client never takes its replies
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "memory_pipeline.h"
#include "nbd_connection.h"
#include "nbd_export.h"

#define DISK_BYTES (256u << 10)
#define INPUT_MAX (64u << 10)

struct server {
	struct pipeline *pipeline;
	struct nbd_export *export;
};

struct client {
	int fd;
	bool lazy;
	size_t piece;
	const uint8_t *bytes;
	size_t left;
	struct server *server;
	struct loop_deferred turn;
};

static struct loop *loop;
static struct server servers[2]; /* writable, read-only */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void set_up(struct server *server, bool read_only)
{
	char path[64];
	struct nbd_options options = {
		.socket_path = path,
		.export_name = "disk",
		/* A lazy client is given up on soon. */
		.linger_timeout_ns = 1000000,
		.handshake_timeout_ns = 1000000000,
	};
	struct error error;
	int result;

	snprintf(path, sizeof(path), "/tmp/fuzz-nbd.%d.%d", (int)getpid(),
		 read_only);
	server->pipeline = memory_pipeline_create(loop, DISK_BYTES, read_only);
	result = nbd_export_create(loop, server->pipeline, &options,
				   &server->export, &error);
	assert(result == 0);
	unlink(path);
}

static void set_up_once(void)
{
	int result;

	if (loop)
		return;
	log_open("fuzz_nbd", LOG_LEVEL_ERROR);
	result = loop_create(&loop);
	assert(result == 0);
	set_up(&servers[0], false);
	set_up(&servers[1], true);
}

static void send_piece(struct client *client)
{
	size_t piece =
		client->left < client->piece ? client->left : client->piece;
	ssize_t sent;

	if (client->left == 0)
		return;
	sent = send(client->fd, client->bytes, piece,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0 && errno == EAGAIN && !client->lazy)
		return;
	if (sent < 0)
		client->left = 0;
	else
		client->left -= (size_t)sent;
	client->bytes += sent > 0 ? sent : 0;
	if (client->left == 0)
		shutdown(client->fd, SHUT_WR);
}

static void take_replies(const struct client *client)
{
	static uint8_t replies[64 << 10];

	if (client->lazy)
		return;
	while (recv(client->fd, replies, sizeof(replies), MSG_DONTWAIT) > 0)
		;
}

/* The client's part of every turn of the loop. */
static void take_turn(struct loop_deferred *deferred)
{
	struct client *client = deferred->owner;

	send_piece(client);
	take_replies(client);
	if (client->server->export->connection_count == 0) {
		loop_stop(loop);
		return;
	}
	loop_defer(loop, &client->turn);
}

static size_t put_handshake(uint8_t *buffer, bool structured)
{
	uint8_t *at = nbd_put_u32(buffer,
				  NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);

	if (structured) {
		at = nbd_put_u64(at, NBD_OPTION_MAGIC);
		at = nbd_put_u32(at, NBD_OPTION_STRUCTURED_REPLY);
		at = nbd_put_u32(at, 0);
	}
	at = nbd_put_u64(at, NBD_OPTION_MAGIC);
	at = nbd_put_u32(at, NBD_OPTION_GO);
	at = nbd_put_u32(at, 6);
	at = nbd_put_u32(at, 0); /* the default export */
	at = nbd_put_u16(at, 0);
	return (size_t)(at - buffer);
}

static void serve(struct client *client)
{
	struct nbd_export *export = client->server->export;
	int fds[2];
	int result = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);

	assert(result == 0);
	client->fd = fds[1];
	export->connection_count++;
	result = nbd_connection_create(export, fds[0]);
	assert(result == 0);
	client->turn.run = take_turn;
	client->turn.owner = client;
	loop_defer(loop, &client->turn);
	loop_run(loop);
	close(fds[1]);
	assert(memory_pipeline_counts(client->server->pipeline)->in_flight ==
	       0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t pieces[] = {1, 3, 16, 28, 100, 513, 4096, SIZE_MAX};
	static uint8_t stream[INPUT_MAX + 64];
	struct client client = {0};
	uint8_t how;

	if (size < 1 || size > INPUT_MAX)
		return 0;
	set_up_once();
	how = data[0];
	client.server = &servers[(how >> 2) & 1];
	client.piece = pieces[(how >> 4) & 7];
	client.lazy = (how & 128) != 0;
	if (how & 1)
		client.left = put_handshake(stream, (how & 2) != 0);
	memcpy(stream + client.left, data + 1, size - 1);
	client.bytes = stream;
	client.left += size - 1;
	memory_pipeline_set_order(client.server->pipeline,
				  how & 8 ? MEMORY_PIPELINE_LATER_REVERSED
					  : MEMORY_PIPELINE_AT_ONCE);
	if (client.left == 0)
		return 0;
	serve(&client);
	return 0;
}
