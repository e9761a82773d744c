// SPDX-License-Identifier: Apache-2.0
/*
 * client.c - HELLO, then memory and the cache file of that disk.
 *
 * A client may not be freed while its channel delivers to it: what condemns a
 * client defers its end.
 */
#include "client.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cache_file.h"
#include "channel.h"
#include "daemon_protocol.h"
#include "disk_user.h"
#include "failpoint.h"
#include "fd.h"
#include "log.h"
#include "pool_protocol.h"
#include "roster.h"

struct client {
	struct list node;
	struct cached *cached;
	struct channel *channel;
	struct loop_deferred end;
	bool greeted;
	bool condemned;
	uint8_t uuid[UUID_BYTES];
	uid_t uid; /* of the process at the other end */
	char uuid_text[UUID_TEXT_BYTES]; /* "?" before HELLO */
};

static void client_destroy(struct client *client)
{
	ledger_leave(client->cached, client);
	loop_defer_cancel(client->cached->loop, &client->end);
	list_remove(&client->node);
	client->cached->client_count--;
	channel_destroy(client->channel);
	free(client);
}

static void end_run(struct loop_deferred *deferred)
{
	client_destroy(deferred->owner);
}

static void condemn(struct client *client, const char *reason)
{
	if (client->condemned)
		return;
	client->condemned = true;
	if (reason)
		log_warning("disk %s: %s; disconnected", client->uuid_text,
			    reason);
	loop_defer(client->cached->loop, &client->end);
}

static void packet_send(struct client *client, enum daemon_type type,
			const void *payload, size_t bytes, int fd)
{
	uint8_t packet[sizeof(struct daemon_head) + sizeof(union pool_answer)];
	struct daemon_head head = daemon_head_make(type, bytes);
	int status;

	static_assert(sizeof(struct daemon_kept) <= sizeof(union pool_answer),
		      "the packet buffer takes both");
	memcpy(packet, &head, sizeof(head));
	memcpy(packet + sizeof(head), payload, bytes);
	status = channel_send(client->channel, packet, sizeof(head) + bytes,
			      &fd, fd >= 0 ? 1 : 0);
	if (status < 0)
		condemn(client, "takes no answers");
}

const uint8_t *client_uuid(const struct client *client)
{
	return client->uuid;
}

const char *client_name(const struct client *client)
{
	return client->uuid_text;
}

void client_answer(struct client *client, const void *message, size_t bytes)
{
	packet_send(client, DAEMON_FILTER, message, bytes, -1);
}

static void refuse(struct client *client, const struct error *error)
{
	struct pool_refuse answer = {
		.type = POOL_REFUSE,
		.error = error->code,
	};

	snprintf(answer.message, sizeof(answer.message), "%s", error->message);
	log_warning("disk %s: refused: %s", client->uuid_text, error->message);
	packet_send(client, DAEMON_FILTER, &answer, sizeof(answer), -1);
}

/* Finds the disk's cache file, or makes it. */
static int file_provide(struct client *client, const struct ledger_place *place,
			struct error *error)
{
	const char *config = client->cached->config_path;
	/* Before there is a file: who has no note has none. */
	int status = roster_note(config, client->uuid, place->directory->path,
				 error);

	if (status < 0 || !place->make)
		return status;
	status = cache_file_make(place->directory, client->uuid,
				 place->file_bytes, error);
	if (status == -EEXIST)
		return 0;
	if (status < 0)
		roster_forget(config, client->uuid);
	return status;
}

static int file_open(struct client *client, const struct ledger_place *place,
		     struct cache_file *ret_file, struct error *error)
{
	int status = file_provide(client, place, error);

	if (status == 0)
		status = cache_file_open(place->directory, client->uuid,
					 ret_file, error);
	if (status < 0)
		return status;
	status = cache_file_grow(ret_file, place->file_bytes, error);
	if (status < 0)
		fd_close(ret_file->fd);
	return status;
}

static void open_serve(struct client *client, const struct pool_open *open)
{
	struct cached *cached = client->cached;
	struct pool_grant grant = {.type = POOL_GRANT};
	struct ledger_place place;
	struct cache_file file;
	struct error error;
	int status = ledger_open(cached, client, open, &place, &error);

	if (status < 0) {
		refuse(client, &error);
		return;
	}
	status = file_open(client, &place, &file, &error);
	if (status < 0) {
		ledger_leave(cached, client);
		refuse(client, &error);
		return;
	}
	grant.file_bytes = file.bytes;
	grant.granted_bytes = place.granted_bytes;
	packet_send(client, DAEMON_FILTER, &grant, sizeof(grant), file.fd);
	failpoint(FAILPOINT_POOL_FILE_GRANTED);
	/* From here on the receiver's description is the receiver's alone. */
	fd_close(file.fd);
	log_info("disk %s: granted %" PRIu64 " MiB at %s", client->uuid_text,
		 grant.granted_bytes >> 20, place.directory->path);
}

static void request_serve(struct client *client,
			  const union pool_request *request)
{
	switch (request->type) {
	case POOL_OPEN:
		open_serve(client, &request->open);
		break;
	case POOL_USE:
		ledger_use(client->cached, client, &request->use);
		break;
	case POOL_BYE:
		ledger_bye(client->cached, client);
		client_answer(client, &request->bye, sizeof(request->bye));
		break;
	}
}

static void filter_serve(struct client *client, const void *bytes, size_t count)
{
	union pool_request request;
	struct error error;
	int status = pool_request_parse(bytes, count, &request);

	if (status == -EPROTONOSUPPORT) {
		error_set(&error, status,
			  "forebay-cached speaks version %u of the pool "
			  "protocol and the cache filter another: restart "
			  "whichever was not upgraded",
			  POOL_PROTOCOL_VERSION);
		refuse(client, &error);
	} else if (status < 0) {
		condemn(client, "sent a message that can't be read");
	} else {
		request_serve(client, &request);
	}
}

static void keep_serve(struct client *client, const void *bytes)
{
	struct daemon_keep keep;
	struct daemon_kept kept = {0};
	int fd = -1;

	memcpy(&keep, bytes, sizeof(keep));
	if (!daemon_name_valid(keep.name)) {
		condemn(client, "asked for memory without a name");
		return;
	}
	kept.bytes = keep.bytes;
	snprintf(kept.name, sizeof(kept.name), "%s", keep.name);
	kept.status = kept_memory_get(&client->cached->kept, client->uuid,
				      kept.name, keep.bytes, &fd);
	packet_send(client, DAEMON_KEPT, &kept, sizeof(kept), fd);
	failpoint(FAILPOINT_KEPT_GIVEN);
}

/* Whom to listen to at all: others could take all places and say nothing. */
static bool may_connect(uid_t uid)
{
	return uid == geteuid() ||
	       (geteuid() == 0 && uid - DISK_USER_FIRST < DISK_USER_COUNT);
}

/* The disk's own user, or the one that runs us: nobody else gets its data. */
static bool may_be(const struct client *client, const uint8_t *disk_uuid)
{
	return client->uid == geteuid() ||
	       (geteuid() == 0 && client->uid == disk_user_of(disk_uuid));
}

static void hello_serve(struct client *client, const void *bytes)
{
	struct daemon_hello hello;

	memcpy(&hello, bytes, sizeof(hello));
	if (client->greeted || hello.version != DAEMON_VERSION ||
	    !daemon_name_valid(hello.filter)) {
		condemn(client, "greeted wrongly: its forebay-disk is of "
				"another version");
		return;
	}
	if (!may_be(client, hello.disk_uuid)) {
		condemn(client, "greeted as a disk that it is not");
		return;
	}
	client->greeted = true;
	memcpy(client->uuid, hello.disk_uuid, UUID_BYTES);
	uuid_format(client->uuid, client->uuid_text);
}

static void packet_serve(struct client *client, const void *packet,
			 size_t count)
{
	const uint8_t *payload =
		(const uint8_t *)packet + sizeof(struct daemon_head);
	struct daemon_head head;

	if (daemon_head_parse(packet, count, &head) < 0) {
		condemn(client, "sent a packet that can't be parsed");
		return;
	}
	if (!client->greeted && head.type != DAEMON_HELLO) {
		condemn(client, "didn't greet first");
		return;
	}
	switch ((enum daemon_type)head.type) {
	case DAEMON_HELLO:
		hello_serve(client, payload);
		break;
	case DAEMON_KEEP:
		keep_serve(client, payload);
		break;
	case DAEMON_KEPT:
		condemn(client, "sent a KEPT, which is ours to send");
		break;
	case DAEMON_FILTER:
		filter_serve(client, payload, head.bytes);
		break;
	}
}

static void on_message(void *owner, const void *bytes, size_t count,
		       const int *fds, uint32_t fd_count)
{
	struct client *client = owner;

	/* Nobody has a reason to send us a descriptor. */
	for (uint32_t i = 0; i < fd_count; i++)
		fd_close(fds[i]);
	if (!client->condemned)
		packet_serve(client, bytes, count);
}

static void on_closed(void *owner, int reason)
{
	(void)reason;
	condemn(owner, NULL);
}

int client_accept(struct cached *cached, int fd)
{
	struct ucred peer;
	socklen_t peer_bytes = sizeof(peer);
	struct client *client;
	int status;

	if (cached->client_count >= CLIENTS_MAX) {
		fd_close(fd);
		return -EMFILE;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_bytes) < 0 ||
	    !may_connect(peer.uid)) {
		fd_close(fd);
		return -EPERM;
	}
	client = calloc(1, sizeof(*client));
	if (!client) {
		fd_close(fd);
		return -ENOMEM;
	}
	client->uid = peer.uid;
	client->cached = cached;
	client->end.run = end_run;
	client->end.owner = client;
	memcpy(client->uuid_text, "?", sizeof("?"));
	status = channel_create(cached->loop, fd,
				&(struct channel_handler){
					.message = on_message,
					.closed = on_closed,
					.owner = client,
				},
				&client->channel);
	if (status < 0) {
		fd_close(fd);
		free(client);
		return status;
	}
	list_append(&cached->clients, &client->node);
	cached->client_count++;
	return 0;
}

void clients_clear(struct cached *cached)
{
	list_for_each_safe (node, &cached->clients)
		client_destroy(list_entry(node, struct client, node));
}
