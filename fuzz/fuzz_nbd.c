/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_nbd.c - a client's bytes against the NBD server.
 *
 * Each input is one client on a real socket, served by the real loop over a
 * pipeline of memory that asserts what it is handed. Where the handshake is
 * known, the replies are checked for keeping in step. The first byte of the
 * input says how it is delivered, the rest is what the client sends:
 *
 *   bit 0    a good handshake comes before it
 *   bit 1    ... that negotiates structured replies and both contexts
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
#include "nbd_status.h"

#define DISK_BYTES (256u << 10)
#define INPUT_MAX (64u << 10)
/* What the server says to put_handshake() with structured replies. */
#define CONTEXT_NAMES "base:allocation", "forebay:dirty"
#define HANDSHAKE_ANSWER_BYTES                                               \
	(NBD_GREETING_BYTES + 7 * NBD_OPTION_REPLY_BYTES + 12 + 14 + 2 * 4 + \
	 sizeof("base:allocation") + sizeof("forebay:dirty") - 2)

struct server {
	struct pipeline *pipeline;
	struct nbd_export *export;
};

/* Follows the replies of a session with structured reads. */
struct follower {
	bool on;
	size_t skip; /* bytes to pass over before the next head */
	size_t head_bytes;
	uint8_t head[NBD_STRUCTURED_REPLY_BYTES];
};

struct client {
	int fd;
	struct follower follower;
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

/* Returns: bytes that the head, as far as it is there, must have. */
static size_t head_wanted(const struct follower *follower)
{
	uint32_t magic;

	if (follower->head_bytes < 4)
		return 4;
	magic = nbd_get_u32(follower->head);
	assert(magic == NBD_SIMPLE_REPLY_MAGIC ||
	       magic == NBD_STRUCTURED_REPLY_MAGIC);
	return magic == NBD_SIMPLE_REPLY_MAGIC ? NBD_SIMPLE_REPLY_BYTES
					       : NBD_STRUCTURED_REPLY_BYTES;
}

/* A whole head: what follows it? */
static size_t head_check(const uint8_t *head)
{
	uint32_t length;
	uint16_t flags;
	uint16_t type;

	if (nbd_get_u32(head) == NBD_SIMPLE_REPLY_MAGIC) {
		assert(nbd_get_u32(head + 4) <= NBD_ESHUTDOWN);
		return 0;
	}
	flags = nbd_get_u16(head + 4);
	type = nbd_get_u16(head + 6);
	length = nbd_get_u32(head + 16);
	switch (type) {
	case NBD_STRUCTURED_ERROR:
		assert(flags == NBD_STRUCTURED_FLAG_DONE && length >= 6 &&
		       length <= 6 + NBD_ERROR_WORDS_MAX);
		break;
	case NBD_STRUCTURED_ERROR_OFFSET:
		assert(flags == NBD_STRUCTURED_FLAG_DONE && length >= 14 &&
		       length <= 14 + NBD_ERROR_WORDS_MAX);
		break;
	case NBD_STRUCTURED_BLOCK_STATUS:
		assert(flags <= NBD_STRUCTURED_FLAG_DONE && length >= 12 &&
		       length % 8 == 4 && length <= NBD_STATUS_CHUNK_MAX);
		break;
	default:
		assert(type == NBD_STRUCTURED_OFFSET_DATA &&
		       flags == NBD_STRUCTURED_FLAG_DONE && length % 512 == 8 &&
		       length <= DISK_BYTES + 8);
	}
	return length;
}

static void follow(struct follower *follower, const uint8_t *bytes,
		   size_t count)
{
	while (count > 0) {
		size_t part = follower->skip < count ? follower->skip : count;
		size_t wanted;

		follower->skip -= part;
		bytes += part;
		count -= part;
		wanted = head_wanted(follower);
		if (count == 0)
			return;
		follower->head[follower->head_bytes++] = *bytes++;
		count--;
		if (follower->head_bytes < wanted ||
		    follower->head_bytes < head_wanted(follower))
			continue;
		follower->skip = head_check(follower->head);
		follower->head_bytes = 0;
	}
}

static void take_replies(struct client *client)
{
	static uint8_t replies[64 << 10];
	ssize_t count;

	if (client->lazy)
		return;
	while ((count = recv(client->fd, replies, sizeof(replies),
			     MSG_DONTWAIT)) > 0) {
		if (client->follower.on)
			follow(&client->follower, replies, (size_t)count);
	}
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

static uint8_t *put_contexts(uint8_t *at)
{
	static const char *const names[] = {CONTEXT_NAMES};
	uint8_t *option = at;
	uint8_t *data = at + NBD_OPTION_BYTES;

	at = nbd_put_u32(data, 0);
	at = nbd_put_u32(at, 2);
	for (unsigned int i = 0; i < 2; i++) {
		at = nbd_put_u32(at, (uint32_t)strlen(names[i]));
		at = nbd_put_bytes(at, names[i], strlen(names[i]));
	}
	option = nbd_put_u64(option, NBD_OPTION_MAGIC);
	option = nbd_put_u32(option, NBD_OPTION_SET_META_CONTEXT);
	nbd_put_u32(option, (uint32_t)(at - data));
	return at;
}

static size_t put_handshake(uint8_t *buffer, bool structured)
{
	uint8_t *at = nbd_put_u32(buffer,
				  NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);

	if (structured) {
		at = nbd_put_u64(at, NBD_OPTION_MAGIC);
		at = nbd_put_u32(at, NBD_OPTION_STRUCTURED_REPLY);
		at = nbd_put_u32(at, 0);
		at = put_contexts(at);
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
	static uint8_t stream[INPUT_MAX + 256];
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
	client.follower.on = (how & 3) == 3;
	client.follower.skip = HANDSHAKE_ANSWER_BYTES;
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
