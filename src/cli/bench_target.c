// SPDX-License-Identifier: Apache-2.0
/* bench_target.c - the only part of forebay bench that talks to forebayd. */
#include "bench_target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "client.h"
#include "error.h"

static int get(struct client *client, const char *name, const char *rest,
	       json_t **ret_document, struct error *error)
{
	char *path = client_path("disks", name, rest);
	struct client_request request = {
		.method = CLIENT_GET,
		.path = path,
		.subject_kind = "disk",
		.subject_name = name,
	};
	struct client_answer answer;
	int result;

	if (!path)
		return error_set(error, -ENOMEM, "forebay: out of memory");
	result = client_call(client, &request, &answer, error);
	free(path);
	if (result < 0)
		return result;
	*ret_document = json_incref(answer.json);
	client_answer_release(&answer);
	return 0;
}

static const char *text_in(const json_t *document, const char *object,
			   const char *key)
{
	return json_string_value(
		json_object_get(json_object_get(document, object), key));
}

static int choose(const char *name, const json_t *disk, const json_t *stats,
		  struct bench_target *ret_target, struct error *error)
{
	const json_t *exports = json_object_get(disk, "exports");
	const char *socket = text_in(exports, "vhost-user-blk", "socket");
	const char *uri = text_in(exports, "nbd", "uri");
	const json_t *live = json_object_get(stats, "exports");
	bool taken = json_is_true(json_object_get(
		json_object_get(live, "vhost_user_blk"), "connected"));

	if (!socket && !uri)
		return error_set(error, -EBUSY,
				 "disk '%s': has no sockets; 'forebay disk "
				 "open %s' first",
				 name, name);
	if (!uri && taken)
		return error_set(error, -EBUSY,
				 "disk '%s': a VM is connected, and there is "
				 "no NBD export",
				 name);
	ret_target->protocol = socket && !taken ? LOAD_VHOST_USER : LOAD_NBD;
	ret_target->address = strdup(socket && !taken ? socket : uri);
	return ret_target->address
		       ? 0
		       : error_set(error, -ENOMEM, "forebay: out of memory");
}

/* Under a VM's feet no byte is written, whatever flags say. */
static int guard(const char *name, const json_t *stats, bool writes,
		 struct error *error)
{
	const json_t *live = json_object_get(stats, "exports");

	if (!writes ||
	    !json_is_true(json_object_get(
		    json_object_get(live, "vhost_user_blk"), "connected")))
		return 0;
	return error_set(error, -EBUSY,
			 "disk '%s': a VM is connected; a load that writes "
			 "would destroy its data; stop the VM first",
			 name);
}

static int find_disk(const char *name, struct client *client, bool writes,
		     struct bench_target *ret_target, struct error *error)
{
	json_t *disk = NULL, *stats = NULL;
	const char *state;
	int result = get(client, name, NULL, &disk, error);

	if (result < 0)
		return result;
	state = json_string_value(json_object_get(disk, "state"));
	if (!state || strcmp(state, "open") != 0)
		result = error_set(error, -EBUSY,
				   "disk '%s': is %s; 'forebay disk open %s' "
				   "first",
				   name, state ? state : "not open", name);
	if (result == 0)
		result = get(client, name, "stats", &stats, error);
	if (result == 0)
		result = guard(name, stats, writes, error);
	if (result == 0)
		result = choose(name, disk, stats, ret_target, error);
	json_decref(disk);
	json_decref(stats);
	return result;
}

int bench_target_find(const struct invocation *invocation,
		      struct client *client, bool writes,
		      struct bench_target *ret_target, struct error *error)
{
	const char *socket = invocation->flags[FLAG_VHOST_USER];
	const char *uri = invocation->flags[FLAG_NBD];
	bool named = invocation->operand_count > 0;

	if (named + (socket != NULL) + (uri != NULL) != 1)
		return error_set(error, -EINVAL,
				 "bench: needs a DISK, --vhost-user SOCKET or "
				 "--nbd URI, one of them");
	if (named)
		return find_disk(invocation->operands[0], client, writes,
				 ret_target, error);
	ret_target->protocol = socket ? LOAD_VHOST_USER : LOAD_NBD;
	ret_target->address = strdup(socket ? socket : uri);
	if (!ret_target->address)
		return error_set(error, -ENOMEM, "forebay: out of memory");
	return 0;
}

void bench_target_release(struct bench_target *target)
{
	free(target->address);
	target->address = NULL;
}
