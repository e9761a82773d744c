/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.h - what forebay-disk is told in its configuration file.
 *
 *	{"uuid": "…", "name": "db1", "size_bytes": 1073741824,
 *	 "backend": "file:/srv/db1.img", "read_only": false,
 *	 "filters": [{"name": "cache", "library": "/usr/lib/…/cache.so",
 *	              "properties": {"limit": "1GiB"},
 *	              "daemon_socket": "/run/forebay/cached.sock",
 *	              "may_bypass": false}],
 *	 "exports": {"vhost_user_blk": {"socket": "/run/…", "queues": 16,
 *	                                "device_revision": 2,
 *	                                "stop_deadline_ms": 30000},
 *	             "nbd": {"socket": "/run/…", "name": "db1"}},
 *	 "control_socket": "/run/…", "grow": false,
 *	 "user": {"uid": 1879048192, "gid": 1879048192}, "socket_gid": 64055,
 *	 "host": {"id": "…", "name": "h1"}, "sidecar": "/shared/sidecars/…",
 *	 "events": "/run/…", "held_limit_ms": 60000}
 *
 * `host`: whom other hosts find named beside the backend. `sidecar`: the folder
 * for that; without it, it is beside an image, and nowhere for other backends.
 *
 * `events`: the file that what happens to the disk is appended to
 * (event_journal.h).
 *
 * `held_limit_ms`: a request that a filter has for longer is told, unless the
 * filter says that it holds requests.
 *
 * `grow`: the disk is being resized: an image that is smaller is made larger.
 *
 * `may_bypass`: the disk is right without this filter, if that is what it takes
 * to serve it.
 *
 * The gate for that file: behind it everything is there and well formed. Keys
 * that aren't known are refused, so that a mistyped one isn't lost in silence.
 */
#ifndef FOREBAY_DISK_CONFIG_H
#define FOREBAY_DISK_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "pipeline.h"

/* Largest configuration file. */
#define CONFIG_BYTES_MAX (1u << 20)
/* Longest wait for requests of a guest that stops: an hour. */
#define CONFIG_STOP_DEADLINE_MS_MAX 3600000u
/* Longest time for which a filter may keep a request untold: an hour. */
#define CONFIG_HELD_LIMIT_MS_MAX 3600000u

/* The strings are the document's. */
struct config {
	json_t *document;
	uint8_t uuid[16];
	const char *name;
	const char *backend_uri;
	uint64_t size_bytes;
	bool read_only;
	bool grow;
	struct pipeline_filter_spec filters[PIPELINE_FILTERS_MAX];
	bool may_bypass[PIPELINE_FILTERS_MAX]; /* one for each of these */
	uint32_t filter_count;
	/* Names of filters that were left out. */
	const char *bypassed[PIPELINE_FILTERS_MAX];
	uint32_t bypassed_count;
	const char *vhost_user_socket; /* NULL: not exported */
	unsigned int queues; /* 0 here and below: the default */
	unsigned int device_revision;
	unsigned int stop_deadline_ms;
	unsigned int held_limit_ms; /* of a filter's requests; 0: the default */
	const char *nbd_socket; /* NULL: not exported */
	const char *nbd_name;
	const char *control_socket;
	uint8_t host_uuid[16]; /* zeros, "": not given */
	const char *host_name;
	const char *sidecar; /* NULL: beside the image */
	const char *events; /* NULL: what happens isn't written down */
	bool own_user; /* it becomes this one when it is open */
	uint32_t uid;
	uint32_t gid;
	uint32_t socket_gid; /* of the exports' sockets; 0: ours */
};

/* Reads @path. Returns: 0 or @error's code. */
int config_read(const char *path, struct config *ret_config,
		struct error *error);
/* The same from a text; @path stands in errors. */
int config_parse(const char *path, const char *text, size_t bytes,
		 struct config *ret_config, struct error *error);
/* Leaves out the filters that may be. */
void config_bypass(struct config *config);
/* A zeroed one is fine. */
void config_release(struct config *config);

#endif
