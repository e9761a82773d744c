// SPDX-License-Identifier: Apache-2.0
/*
 * config.c - one pass over the document, section by section.
 *
 * A failure is written down once, by the first step that fails; the steps after
 * it see that and do nothing. So the code below reads like the format.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "device_revision.h"
#include "file.h"
#include "unix_address.h"
#include "uuid_text.h"

struct reader {
	const char *path;
	struct error *error;
	int status; /* of the first failure */
};

__attribute__((format(printf, 2, 3))) static void fail(struct reader *reader,
						       const char *format, ...)
{
	char what[256];
	va_list arguments;

	if (reader->status < 0)
		return;
	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	reader->status =
		error_set(reader->error, -EINVAL, "%s: %s", reader->path, what);
}

static void check_keys(struct reader *reader, const json_t *object,
		       const char *where, const char *const *known)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		const char *const *name = known;

		while (*name && strcmp(*name, key) != 0)
			name++;
		if (!*name)
			fail(reader, "%s has an unknown key '%s'", where, key);
	}
}

/* A member that is an object. Returns: NULL if there is none or it fails. */
static const json_t *get_object(struct reader *reader, const json_t *object,
				const char *where, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (!value || json_is_null(value))
		return NULL;
	if (json_is_object(value))
		return value;
	fail(reader, "'%s' of %s isn't an object", key, where);
	return NULL;
}

/* Returns: NULL if there is none or it fails. */
static const char *get_text(struct reader *reader, const json_t *object,
			    const char *where, const char *key)
{
	const json_t *value = json_object_get(object, key);
	const char *text = json_string_value(value);

	if (!value || json_is_null(value))
		return NULL;
	if (!text || !*text || strlen(text) != json_string_length(value)) {
		fail(reader, "'%s' of %s isn't a text, or is empty", key,
		     where);
		return NULL;
	}
	return text;
}

/* Returns: never NULL; "" if it fails. */
static const char *need_text(struct reader *reader, const json_t *object,
			     const char *where, const char *key)
{
	const char *text = get_text(reader, object, where, key);

	if (text)
		return text;
	fail(reader, "%s has no '%s'", where, key);
	return "";
}

/* An optional number from 1 to @maximum; 0 if there is none or it fails. */
static unsigned int get_number(struct reader *reader, const json_t *object,
			       const char *where, const char *key,
			       unsigned int maximum)
{
	const json_t *value = json_object_get(object, key);

	if (!value || json_is_null(value))
		return 0;
	if (json_is_integer(value) && json_integer_value(value) > 0 &&
	    json_integer_value(value) <= maximum)
		return (unsigned int)json_integer_value(value);
	fail(reader, "'%s' of %s isn't a number from 1 to %u", key, where,
	     maximum);
	return 0;
}

static void check_path(struct reader *reader, const char *path, const char *key)
{
	if (path && *path && path[0] != '/')
		fail(reader, "'%s' isn't an absolute path: %s", key, path);
}

static const char *check_socket(struct reader *reader, const char *path,
				const char *key)
{
	struct sockaddr_un address;

	check_path(reader, path, key);
	if (path && unix_address(path, &address) == -ENAMETOOLONG)
		fail(reader,
		     "the path of '%s' is longer than the %zu bytes that a "
		     "socket's may have: %s",
		     key, sizeof(address.sun_path) - 1, path);
	return path;
}

static void parse_disk(struct reader *reader, const json_t *document,
		       struct config *config)
{
	static const char *const keys[] = {
		"uuid",	     "name",	"size_bytes",	 "backend",
		"read_only", "filters", "exports",	 "control_socket",
		"grow",	     "user",	"socket_gid",	 "host",
		"sidecar",   "events",	"held_limit_ms", NULL,
	};
	const json_t *size = json_object_get(document, "size_bytes");
	const json_t *read_only = json_object_get(document, "read_only");
	const json_t *grow = json_object_get(document, "grow");
	const char *uuid = need_text(reader, document, "the disk", "uuid");

	check_keys(reader, document, "the disk", keys);
	if (*uuid && uuid_parse(uuid, config->uuid) < 0)
		fail(reader, "'%s' isn't a UUID", uuid);
	config->name = need_text(reader, document, "the disk", "name");
	config->backend_uri =
		need_text(reader, document, "the disk", "backend");
	config->control_socket = check_socket(
		reader,
		need_text(reader, document, "the disk", "control_socket"),
		"control_socket");
	if (!json_is_integer(size) || json_integer_value(size) <= 0)
		fail(reader,
		     "'size_bytes' of the disk isn't a positive number");
	config->size_bytes = (uint64_t)json_integer_value(size);
	if (read_only && !json_is_boolean(read_only))
		fail(reader, "'read_only' of the disk isn't true or false");
	config->read_only = json_is_true(read_only);
	if (grow && !json_is_boolean(grow))
		fail(reader, "'grow' of the disk isn't true or false");
	config->grow = json_is_true(grow);
}

/* An id that isn't root's, nor the one that means "leave it". */
static uint32_t get_id(struct reader *reader, const json_t *object,
		       const char *where, const char *key)
{
	const json_t *value = json_object_get(object, key);
	json_int_t id = json_integer_value(value);

	if (json_is_integer(value) && id > 0 && id < UINT32_MAX)
		return (uint32_t)id;
	fail(reader, "'%s' of %s isn't an id above 0", key, where);
	return 0;
}

static void parse_user(struct reader *reader, const json_t *document,
		       struct config *config)
{
	static const char *const keys[] = {"uid", "gid", NULL};
	const json_t *user = get_object(reader, document, "the disk", "user");

	if (json_object_get(document, "socket_gid"))
		config->socket_gid =
			get_id(reader, document, "the disk", "socket_gid");
	if (!user)
		return;
	check_keys(reader, user, "'user'", keys);
	config->own_user = true;
	config->uid = get_id(reader, user, "'user'", "uid");
	config->gid = get_id(reader, user, "'user'", "gid");
}

static void parse_host(struct reader *reader, const json_t *document,
		       struct config *config)
{
	static const char *const keys[] = {"id", "name", NULL};
	const json_t *host = get_object(reader, document, "the disk", "host");
	const char *id;

	config->host_name = "";
	config->held_limit_ms =
		get_number(reader, document, "the disk", "held_limit_ms",
			   CONFIG_HELD_LIMIT_MS_MAX);
	config->sidecar = get_text(reader, document, "the disk", "sidecar");
	check_path(reader, config->sidecar, "sidecar");
	config->events = get_text(reader, document, "the disk", "events");
	check_path(reader, config->events, "events");
	if (!host)
		return;
	check_keys(reader, host, "'host'", keys);
	id = need_text(reader, host, "'host'", "id");
	if (*id && uuid_parse(id, config->host_uuid) < 0)
		fail(reader, "'%s' isn't a UUID", id);
	config->host_name = need_text(reader, host, "'host'", "name");
}

static void parse_filter(struct reader *reader, const json_t *object,
			 struct pipeline_filter_spec *spec, bool *may_bypass)
{
	static const char *const keys[] = {
		"name",		 "library",    "properties",
		"daemon_socket", "may_bypass", NULL,
	};
	const json_t *bypass = json_object_get(object, "may_bypass");

	if (!json_is_object(object)) {
		fail(reader, "an entry of 'filters' isn't an object");
		return;
	}
	check_keys(reader, object, "a filter", keys);
	spec->name = need_text(reader, object, "a filter", "name");
	spec->library = need_text(reader, object, "a filter", "library");
	check_path(reader, spec->library, "library");
	if (bypass && !json_is_boolean(bypass))
		fail(reader, "'may_bypass' of a filter isn't true or false");
	*may_bypass = json_is_true(bypass);
	spec->properties = get_object(reader, object, "a filter", "properties");
	spec->daemon_socket = check_socket(
		reader, get_text(reader, object, "a filter", "daemon_socket"),
		"daemon_socket");
}

static void parse_filters(struct reader *reader, const json_t *document,
			  struct config *config)
{
	const json_t *filters = json_object_get(document, "filters");
	size_t count = json_array_size(filters);

	if (filters && !json_is_array(filters))
		fail(reader, "'filters' isn't a list");
	if (count > PIPELINE_FILTERS_MAX) {
		fail(reader, "'filters' has %zu entries, more than %u", count,
		     PIPELINE_FILTERS_MAX);
		return;
	}
	for (size_t i = 0; i < count; i++)
		parse_filter(reader, json_array_get(filters, i),
			     &config->filters[i], &config->may_bypass[i]);
	config->filter_count = (uint32_t)count;
}

static void parse_vhost(struct reader *reader, const json_t *vhost,
			struct config *config)
{
	static const char *const keys[] = {"socket", "queues",
					   "device_revision",
					   "stop_deadline_ms", NULL};
	static const char where[] = "'vhost_user_blk'";

	check_keys(reader, vhost, where, keys);
	config->vhost_user_socket = check_socket(
		reader, need_text(reader, vhost, where, "socket"), "socket");
	config->queues =
		get_number(reader, vhost, where, "queues", DEVICE_QUEUES_MAX);
	/* Whether it is known the export says, with better words. */
	config->device_revision =
		get_number(reader, vhost, where, "device_revision", UINT16_MAX);
	config->stop_deadline_ms =
		get_number(reader, vhost, where, "stop_deadline_ms",
			   CONFIG_STOP_DEADLINE_MS_MAX);
}

static void parse_exports(struct reader *reader, const json_t *document,
			  struct config *config)
{
	static const char *const keys[] = {"vhost_user_blk", "nbd", NULL};
	static const char *const nbd_keys[] = {"socket", "name", NULL};
	const json_t *exports =
		get_object(reader, document, "the disk", "exports");
	const json_t *vhost =
		get_object(reader, exports, "'exports'", "vhost_user_blk");
	const json_t *nbd = get_object(reader, exports, "'exports'", "nbd");

	check_keys(reader, exports, "'exports'", keys);
	check_keys(reader, nbd, "'nbd'", nbd_keys);
	if (vhost)
		parse_vhost(reader, vhost, config);
	if (!nbd)
		return;
	config->nbd_socket = check_socket(
		reader, need_text(reader, nbd, "'nbd'", "socket"), "socket");
	config->nbd_name = get_text(reader, nbd, "'nbd'", "name");
	if (!config->nbd_name)
		config->nbd_name = config->name;
}

int config_parse(const char *path, const char *text, size_t bytes,
		 struct config *ret_config, struct error *error)
{
	struct reader reader = {.path = path, .error = error};
	struct config config = {0};
	json_error_t where;

	config.document =
		json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &where);
	if (!config.document)
		return error_set(error, -EINVAL,
				 "%s isn't valid JSON: line %d: %s", path,
				 where.line, where.text);
	if (!json_is_object(config.document))
		fail(&reader, "the configuration isn't a JSON object");
	parse_disk(&reader, config.document, &config);
	parse_user(&reader, config.document, &config);
	parse_host(&reader, config.document, &config);
	parse_filters(&reader, config.document, &config);
	parse_exports(&reader, config.document, &config);
	if (reader.status < 0) {
		config_release(&config);
		return reader.status;
	}
	*ret_config = config;
	return 0;
}

int config_read(const char *path, struct config *ret_config,
		struct error *error)
{
	char *text = NULL;
	size_t bytes = 0;
	int status = file_read(path, CONFIG_BYTES_MAX, &text, &bytes);

	if (status < 0)
		return error_set(error, status,
				 "the configuration %s can't be read: %s", path,
				 strerror(-status));
	status = config_parse(path, text, bytes, ret_config, error);
	free(text);
	return status;
}

void config_bypass(struct config *config)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < config->filter_count; i++) {
		if (config->may_bypass[i])
			config->bypassed[config->bypassed_count++] =
				config->filters[i].name;
		else
			config->filters[count++] = config->filters[i];
	}
	config->filter_count = count;
}

void config_release(struct config *config)
{
	json_decref(config->document);
	*config = (struct config){0};
}
