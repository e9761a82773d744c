// SPDX-License-Identifier: Apache-2.0
/*
 * doors.c - the sandbox as a disk needs it.
 */
#include "doors.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pipeline.h"
#include "unix_address.h"

#define NO_CHANGE ((uid_t)-1)

struct folder {
	char path[UNIX_PATH_LENGTH_MAX + 1];
};

/* Returns: its path, or NULL if there is no socket. */
static const char *folder_of(const char *socket, struct folder *folder)
{
	const char *slash = socket ? strrchr(socket, '/') : NULL;

	if (!slash)
		return NULL;
	snprintf(folder->path, sizeof(folder->path), "%.*s",
		 slash == socket ? 1 : (int)(slash - socket), socket);
	return folder->path;
}

static int give(const char *path, uid_t uid, gid_t gid, struct error *error)
{
	if (chown(path, uid, gid) == 0)
		return 0;
	return error_set(error, -errno,
			 "socket %s: can't be given to user %d, group %d: %s",
			 path, (int)uid, (int)gid, strerror(errno));
}

int doors_share_socket(const struct config *config, const char *path,
		       struct error *error)
{
	return give(path, config->own_user ? config->uid : NO_CHANGE,
		    config->socket_gid ? config->socket_gid : NO_CHANGE, error);
}

static int keep_filters(const struct config *config, struct error *error)
{
	int status = 0;

	for (uint32_t i = 0; i < config->filter_count && status == 0; i++)
		status = pipeline_keep_filter(&config->filters[i], config->name,
					      error);
	return status;
}

int doors_close(const struct config *config, bool limit_memory,
		struct sandbox *ret_sandbox, struct error *error)
{
	struct folder folders[3];
	const struct sandbox_spec spec = {
		.change_user = config->own_user,
		.uid = config->uid,
		.gid = config->gid,
		.socket_gid = config->socket_gid,
		.memory_bytes_max = limit_memory ? DOORS_MEMORY_BYTES_MAX : 0,
		.folders =
			{
				folder_of(config->control_socket, &folders[0]),
				folder_of(config->vhost_user_socket,
					  &folders[1]),
				folder_of(config->nbd_socket, &folders[2]),
			},
	};

	int status = keep_filters(config, error);

	if (status == 0 && config->own_user)
		status = give(config->control_socket, config->uid, NO_CHANGE,
			      error);
	return status < 0 ? status : sandbox_enter(&spec, ret_sandbox, error);
}

json_t *doors_describe(const struct sandbox *sandbox)
{
	const struct {
		const char *name;
		bool in_force;
	} layers[] = {
		{"own-user", sandbox->own_user},
		{"no-capabilities", sandbox->no_capabilities},
		{"no-new-privileges", sandbox->no_new_privileges},
		{"no-dump", sandbox->no_dump},
		{"files", sandbox->files},
		{"memory-limit", sandbox->memory_limit},
		{"system-calls", sandbox->system_calls},
		/* Every loop's: without them there is no ring. */
		{"ring-limits", true},
	};
	json_t *names = json_array();

	for (size_t i = 0; i < sizeof(layers) / sizeof(layers[0]); i++)
		if (layers[i].in_force)
			json_array_append_new(names,
					      json_string(layers[i].name));
	return names;
}
