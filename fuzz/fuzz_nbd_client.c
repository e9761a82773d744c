/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_nbd_client.c - a server's bytes against the "nbd:" backend.
 *
 * The first connection is to a server that sends the input, whatever it is
 * asked, and then hangs up. Every later one is to an honest server, so that all
 * requests must end: each exactly once, and the disk can be closed. Memory is
 * the sanitizer's to check. The first byte of the input says how:
 *
 *   bit 0    a good handshake comes before it
 *   bit 1    ... with structured replies and base:allocation
 *   bit 2    ... and several connections
 *   bit 4-6  sent in pieces of 1, 4, 16, 20, 100, 513, 4096, all bytes
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "nbd_private.h"

#define DISK_BYTES (1u << 20)
/* Not smaller than what any server can have claimed before. */
#define HONEST_BYTES UINT64_C(0x7ffffffffffffe00)
#define INPUT_MAX (64u << 10)
#define PEERS_MAX 64u
#define OPERATIONS 8u
#define DATA_BYTES 4096u
#define FLAGS_ALL 0x0d6du /* everything that we ask for, writable */
#define FLAG_MULTI_CONN 0x0100u
#define OPTION_GO 7u
#define OPTION_STRUCTURED 8u
#define OPTION_SET_CONTEXT 10u
#define CONTEXT "base:allocation"

/* Bytes on their way to the client. */
struct stream {
	uint8_t bytes[INPUT_MAX + 1024];
	size_t count;
	size_t sent;
};

struct peer {
	int fd;
	bool honest;
	bool transmitting; /* the handshake is over */
	bool greeted; /* the client's flags were read */
	size_t piece;
	size_t skip; /* bytes of the client's that mean nothing */
	size_t head_bytes;
	uint8_t head[28];
	struct stream out;
};

struct operation {
	struct backend_io io;
	struct iovec iov[2];
	uint8_t *data;
};

static struct loop *loop;
static struct peer *peers[PEERS_MAX];
static unsigned int peer_count;
static struct loop_deferred turn;
static struct backend *disk;
static struct operation operations[OPERATIONS];
static unsigned int left; /* operations that aren't done */
static struct peer *hostile; /* to be dialled first */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(struct stream *stream, const void *bytes, size_t count)
{
	assert(stream->count + count <= sizeof(stream->bytes));
	memcpy(stream->bytes + stream->count, bytes, count);
	stream->count += count;
}

static void put_u16(struct stream *stream, uint16_t value)
{
	value = htobe16(value);
	put(stream, &value, sizeof(value));
}

static void put_u32(struct stream *stream, uint32_t value)
{
	value = htobe32(value);
	put(stream, &value, sizeof(value));
}

static void put_u64(struct stream *stream, uint64_t value)
{
	value = htobe64(value);
	put(stream, &value, sizeof(value));
}

static void put_greeting(struct stream *stream)
{
	put(stream, "NBDMAGICIHAVEOPT", 16);
	put_u16(stream, 3);
}

static void put_option(struct stream *stream, uint32_t option, uint32_t type,
		       uint32_t length)
{
	put_u64(stream, UINT64_C(0x3e889045565a9));
	put_u32(stream, option);
	put_u32(stream, type);
	put_u32(stream, length);
}

static void put_go(struct stream *stream, uint64_t size_bytes, uint16_t flags)
{
	put_option(stream, OPTION_GO, 3, 12);
	put_u16(stream, 0);
	put_u64(stream, size_bytes);
	put_u16(stream, flags);
	put_option(stream, OPTION_GO, 1, 0);
}

static void put_context(struct stream *stream)
{
	put_option(stream, OPTION_SET_CONTEXT, 4, 4 + sizeof(CONTEXT) - 1);
	put_u32(stream, 1);
	put(stream, CONTEXT, sizeof(CONTEXT) - 1);
	put_option(stream, OPTION_SET_CONTEXT, 1, 0);
}

static void put_chunk(struct stream *stream, uint16_t type, uint64_t cookie,
		      uint32_t length)
{
	put_u32(stream, 0x668e33ef);
	put_u16(stream, 1);
	put_u16(stream, type);
	put_u64(stream, cookie);
	put_u32(stream, length);
}

static uint32_t get_u32(const uint8_t *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return be32toh(value);
}

static uint64_t get_u64(const uint8_t *bytes)
{
	uint64_t value;

	memcpy(&value, bytes, sizeof(value));
	return be64toh(value);
}

static void answer_option(struct peer *peer)
{
	uint32_t option = get_u32(peer->head + 8);

	peer->skip = get_u32(peer->head + 12);
	if (option == OPTION_GO) {
		put_go(&peer->out, HONEST_BYTES, FLAGS_ALL);
		peer->transmitting = true;
	} else if (option == OPTION_STRUCTURED) {
		put_option(&peer->out, option, 1, 0);
	} else if (option == OPTION_SET_CONTEXT) {
		put_context(&peer->out);
	} else {
		put_option(&peer->out, option, 0x80000001, 0);
	}
}

static void answer_request(struct peer *peer)
{
	static const uint8_t zeros[DATA_BYTES * 2];
	uint16_t type = (uint16_t)(peer->head[6] << 8 | peer->head[7]);
	uint64_t cookie = get_u64(peer->head + 8);
	uint32_t length = get_u32(peer->head + 24);

	if (type == 2) /* it takes its leave */
		return;
	if (type == 0) {
		assert(length <= sizeof(zeros));
		put_chunk(&peer->out, 1, cookie, length + 8);
		put_u64(&peer->out, get_u64(peer->head + 16));
		put(&peer->out, zeros, length);
		return;
	}
	if (type == 7) {
		put_chunk(&peer->out, 5, cookie, 12);
		put_u32(&peer->out, 1);
		put_u32(&peer->out, length);
		put_u32(&peer->out, 0);
		return;
	}
	if (type == 1)
		peer->skip = length;
	put_u32(&peer->out, 0x67446698);
	put_u32(&peer->out, 0);
	put_u64(&peer->out, cookie);
}

/* What the client sends next: a head, or something to pass over. */
static void take(struct peer *peer, const uint8_t *bytes, size_t count)
{
	while (count > 0) {
		size_t wanted = peer->transmitting ? 28
				: peer->greeted	   ? 16
						   : 4;
		size_t part = peer->skip < count ? peer->skip : count;

		peer->skip -= part;
		bytes += part;
		count -= part;
		if (count == 0)
			return;
		peer->head[peer->head_bytes++] = *bytes++;
		count--;
		if (peer->head_bytes < wanted)
			continue;
		peer->head_bytes = 0;
		if (peer->transmitting)
			answer_request(peer);
		else if (peer->greeted)
			answer_option(peer);
		peer->greeted = true;
	}
}

static void receive(struct peer *peer)
{
	static uint8_t bytes[64 << 10];
	ssize_t count;

	while ((count = recv(peer->fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		if (peer->honest)
			take(peer, bytes, (size_t)count);
}

/* The hostile server hangs up when it has said everything. */
static void transmit(struct peer *peer)
{
	struct stream *out = &peer->out;
	size_t part = out->count - out->sent;
	ssize_t sent;

	if (part > peer->piece)
		part = peer->piece;
	if (part > 0) {
		sent = send(peer->fd, out->bytes + out->sent, part,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent > 0)
			out->sent += (size_t)sent;
		else if (errno != EAGAIN)
			out->sent = out->count;
	}
	if (out->sent < out->count)
		return;
	if (peer->honest)
		out->sent = out->count = 0;
	else
		shutdown(peer->fd, SHUT_RDWR);
}

static void take_turn(struct loop_deferred *deferred)
{
	for (unsigned int i = 0; i < peer_count; i++) {
		receive(peers[i]);
		transmit(peers[i]);
	}
	loop_defer(loop, deferred);
}

static struct peer *make_peer(bool honest)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	assert(peer && peer_count < PEERS_MAX);
	peer->honest = honest;
	peer->piece = SIZE_MAX;
	peer->fd = -1;
	if (honest)
		put_greeting(&peer->out);
	peers[peer_count++] = peer;
	return peer;
}

static int dial(void *owner)
{
	struct peer *peer = hostile ? hostile : make_peer(true);
	int fds[2];
	int result = socketpair(
		AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds);

	(void)owner;
	assert(result == 0);
	hostile = NULL;
	peer->fd = fds[1];
	return fds[0];
}

static void on_done(struct backend_io *io, int result)
{
	(void)result;
	assert(io->owner);
	io->owner = NULL;
	left--;
	if (left == 0)
		loop_stop(loop);
}

static bool add_extent(struct backend_io *io, uint64_t length, uint32_t flags)
{
	assert(flags <= (BACKEND_EXTENT_HOLE | BACKEND_EXTENT_ZERO));
	return length > 0 && io->owner != NULL;
}

static void submit_all(void)
{
	static const enum backend_operation kinds[OPERATIONS] = {
		BACKEND_READ,	 BACKEND_WRITE, BACKEND_READ,
		BACKEND_EXTENTS, BACKEND_FLUSH, BACKEND_WRITE_ZEROES,
		BACKEND_DISCARD, BACKEND_CACHE,
	};

	left = OPERATIONS;
	for (unsigned int i = 0; i < OPERATIONS; i++) {
		struct operation *operation = &operations[i];
		bool flush = kinds[i] == BACKEND_FLUSH;

		operation->data = calloc(1, DATA_BYTES);
		assert(operation->data);
		operation->iov[0] =
			(struct iovec){operation->data, DATA_BYTES / 2};
		operation->iov[1] = (struct iovec){
			operation->data + DATA_BYTES / 2, DATA_BYTES / 2};
		operation->io = (struct backend_io){
			.operation = kinds[i],
			.iov = operation->iov,
			.iov_count = 2,
			.offset = flush ? 0 : i * UINT64_C(2048),
			.length = flush ? 0 : DATA_BYTES,
			.done = on_done,
			.add_extent = add_extent,
			.owner = operation,
		};
		backend_submit(disk, &operation->io);
	}
}

static void on_open(struct backend_open_request *request, int status,
		    struct backend *backend, const struct error *error)
{
	(void)request;
	(void)error;
	disk = backend;
	if (status < 0)
		loop_stop(loop);
	else
		submit_all();
}

static void tear_down(void)
{
	backend_close(disk);
	disk = NULL;
	loop_defer_cancel(loop, &turn);
	loop_destroy(loop);
	loop = NULL;
	for (unsigned int i = 0; i < OPERATIONS; i++)
		free(operations[i].data);
	memset(operations, 0, sizeof(operations));
	for (unsigned int i = 0; i < peer_count; i++) {
		if (peers[i]->fd >= 0)
			close(peers[i]->fd);
		free(peers[i]);
	}
	peer_count = 0;
	left = 0;
	hostile = NULL;
}

static void prepare_hostile(const uint8_t *data, size_t size)
{
	static const size_t pieces[] = {1, 4, 16, 20, 100, 513, 4096, SIZE_MAX};
	uint8_t how = data[0];
	bool structured = (how & 2) != 0;
	uint16_t flags = FLAGS_ALL;

	hostile = make_peer(false);
	hostile->piece = pieces[(how >> 4) & 7];
	if (!(how & 4))
		flags &= (uint16_t)~FLAG_MULTI_CONN;
	if (how & 1) {
		put_greeting(&hostile->out);
		put_option(&hostile->out, OPTION_STRUCTURED,
			   structured ? 1 : 0x80000001, 0);
		if (structured)
			put_context(&hostile->out);
		put_go(&hostile->out, DISK_BYTES, flags);
	}
	put(&hostile->out, data + 1, size - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct nbd_ways ways = {
		.dial = dial,
		.retry_first_ns = 1,
		.late_write_hold_ns = 1,
	};
	struct backend_open_request request = {
		.uri = "nbd+unix:///?socket=/nowhere",
		.lock_timeout_ns = UINT64_C(60000000000),
		.done = on_open,
	};
	int result;

	if (size < 1 || size > INPUT_MAX)
		return 0;
	log_open("fuzz_nbd_client", LOG_LEVEL_ERROR);
	result = loop_create(&loop);
	assert(result == 0);
	prepare_hostile(data, size);
	turn = (struct loop_deferred){.run = take_turn};
	loop_defer(loop, &turn);
	nbd_open_with(loop, &request, request.uri, &ways);
	loop_run(loop);
	assert(left == 0);
	tear_down();
	return 0;
}
