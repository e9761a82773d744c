/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk.h - a virtual disk as the store has it, and the verbs on it.
 *
 * The store says what is wanted (`desired`: closed, open, deleted) and whether
 * all that was acknowledged has reached the backend (`clean`); the supervisor
 * says what is.
 *
 * Every verb runs on a request's thread and may be repeated: a disk that is
 * already as asked for is a success. @ret_done: false if the verb's time is
 * over while it is still going on.
 */
#ifndef FOREBAY_AGENT_DISK_H
#define FOREBAY_AGENT_DISK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent.h"
#include "problem.h"

enum disk_desired {
	DISK_DESIRED_CLOSED,
	DISK_DESIRED_OPEN,
	DISK_DESIRED_DELETED,
};

/* Pointers lead into the document. */
struct disk {
	json_t *document;
	int64_t revision;
	const char *id;
	const char *name;
	const char *backend; /* "file:/path", "nbd://host/export" */
	uint64_t size_bytes;
	bool read_only;
	unsigned int device_revision; /* see device_revision.h */
	unsigned int queues;
	enum disk_desired desired;
	bool clean;
	bool grows; /* its backend may still be smaller than size_bytes */
	const char *sidecar; /* the directory that was named, or NULL */
};

struct disk_open_options {
	bool incoming; /* nothing is served, or locked, until its VM runs here
			*/
	bool drop_clean; /* its cache starts empty */
	bool discard_dirty; /* what any cache holds of it is given up */
};

struct disk_open_answer {
	bool done; /* else its time is over while it still goes on */
	bool discarded; /* then: */
	uint64_t discarded_bytes; /* at most, here; UINT64_MAX: not known */
	char discarded_host[HOST_NAME_BYTES]; /* whose marker it was; "" */
};

struct disk_delete_options {
	bool delete_backend;
	bool discard_dirty;
};

/* @reference: name or id. */
int disk_load(struct agent *agent, const char *reference, struct disk *ret_disk,
	      struct problem *problem);
void disk_free(struct disk *disk);
#define _cleanup_disk_ __attribute__((cleanup(disk_free)))
/*
 * Stores what is wanted, and whether it's clean, unless someone has changed the
 * disk since it was loaded: -ESTALE. @disk is as stored afterwards.
 */
int disk_store(struct agent *agent, struct disk *disk,
	       enum disk_desired desired, bool clean);
/* Returns: the path of a file: backend, NULL: it is an export of a server. */
const char *disk_image_path(const struct disk *disk);
/* Of a stored document, also of one from before they were stored. */
unsigned int disk_device_revision(const json_t *document);
unsigned int disk_queues(const json_t *document);
/* The same for its size. */
int disk_store_size(struct agent *agent, struct disk *disk, uint64_t size_bytes,
		    bool grows);
/* The version of its policy that its process has, or will start with. */
int disk_store_policy(struct agent *agent, struct disk *disk,
		      const json_t *policy);
const char *disk_desired_name(enum disk_desired desired);

/* Makes the disk known to the supervisor, wanted as the store says. */
int disk_register(struct agent *agent, const struct disk *disk,
		  struct error *error);
/*
 * The supervisor's word that a disk's process has ended, or won't. Returns:
 * whether a closed disk is still dirty.
 */
bool disk_ended(struct agent *agent, const char *id, bool clean);
/* Whether its policy has filters that it may be served without. */
bool disk_may_bypass(struct agent *agent, const char *id);
void disk_close_refused(struct agent *agent, const char *id);

/* Where it stands whose its backend is: the folder. */
struct host_path disk_sidecar(struct agent *agent, const struct disk *disk);
/* The same of a stored document. */
struct host_path disk_sidecar_of(struct agent *agent, const json_t *document);

/* At most so many bytes are lost with the disk's cache; UINT64_MAX: unknown. */
uint64_t disk_dirty_bytes_at_most(struct agent *agent, const struct disk *disk);
/* What drains a closed disk ends, and no other takes its place. */
void disk_stop_draining(struct agent *agent, const struct disk *disk);
/* Clean copies may be out of date: forgets them, if nothing is dirty. */
int disk_forget_clean(struct agent *agent, const struct disk *disk,
		      struct problem *problem);
/*
 * Gives up what is dirty in the disk's cache here, and the marker, whoever's it
 * is. The disk isn't open.
 */
int disk_discard_dirty(struct agent *agent, struct disk *disk,
		       struct disk_open_answer *answer,
		       struct problem *problem);

/* Asks the filters of a condemned disk, if they want that. */
int disk_farewell(struct agent *agent, const struct disk *disk,
		  struct problem *problem);
/* Of a disk that isn't open and whose cache may go: forgets what it holds. */
int disk_delete_cache(struct agent *agent, const struct disk *disk,
		      struct problem *problem);

int disk_create(struct agent *agent, const json_t *body, json_t **ret_disk,
		struct problem *problem);
int disk_delete(struct agent *agent, const char *reference,
		const struct disk_delete_options *options, json_t **ret_deleted,
		struct problem *problem);
int disk_open(struct agent *agent, const char *reference,
	      const struct disk_open_options *options,
	      struct disk_open_answer *ret_answer, struct problem *problem);
/* *ret_stall_ns: how long nothing was served; only if it's done. */
int disk_restart(struct agent *agent, const char *reference, bool *ret_done,
		 uint64_t *ret_stall_ns, struct problem *problem);
/* @body: {size_bytes}; never less than now. */
int disk_resize(struct agent *agent, const char *reference, const json_t *body,
		bool *ret_done, struct problem *problem);
/* @body: {vm}: how the disk's VM is, for its filters. */
int disk_notify(struct agent *agent, const char *reference, const json_t *body,
		struct problem *problem);
/* @background: what is dirty is brought down when nobody waits any more. */
int disk_close(struct agent *agent, const char *reference, bool background,
	       bool *ret_done, struct problem *problem);
int disk_flush(struct agent *agent, const char *reference, bool *ret_done,
	       struct problem *problem);
int disk_stats(struct agent *agent, const char *reference, json_t **ret_stats,
	       struct problem *problem);
/*
 * Calls an action of one of its filters: {filter, action, arguments}; the
 * answer is {result}. Owns: the caller.
 */
int disk_call(struct agent *agent, const char *reference, const json_t *body,
	      json_t **ret_result, struct problem *problem);

#endif
