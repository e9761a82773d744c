/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sidecar_scene.h - a sidecar's store over a medium that loses, reorders and
 * tears what was not synced.
 *
 * The ios that the store asks for wait until the test ends one of them. A unit
 * is what is in force as a whole: a write, a group, a resize. After each of
 * them the scene notes what the data are, so that after a crash it can say
 * which unit was the last one.
 */
#ifndef FOREBAY_TESTS_SIDECAR_SCENE_H
#define FOREBAY_TESTS_SIDECAR_SCENE_H

#include "medium.h"
#include "random.h"
#include "sidecar_store.h"

#define SCENE_JOURNAL_BLOCKS 24u
#define SCENE_BLOCKS 20u /* the data are at most so long */
#define SCENE_UNITS 4096u
#define SCENE_REQUESTS 64u
#define SCENE_NO_UNIT UINT32_MAX

/* Contents: a stamp a block; 0: zeros. */
struct scene_state {
	uint64_t blocks;
	uint64_t stamps[SCENE_BLOCKS];
};

struct scene_request {
	struct sidecar_request request;
	struct scene *scene;
	struct iovec iov[2];
	uint8_t *bytes;
	uint32_t unit; /* that it closes, or as of which it reads */
	bool busy;
};

struct scene {
	struct medium medium;
	struct random random;
	struct sidecar_store *store;
	/* Calls of the blocking kind until the power fails; UINT32_MAX: never.
	 */
	uint32_t calls_left;
	uint64_t file_bytes;
	const struct sidecar_io *ios[SIDECAR_STORE_IOS];
	uint32_t io_count;
	const struct sidecar_io *held; /* ends after all others */
	size_t synced_writes; /* what the sync under way covers */
	bool once; /* the power fails once, and not in the recovery */
	int fail_write; /* what writes behind the journal end with, or 0 */
	int fail_sync;

	struct scene_state states[SCENE_UNITS]; /* after each unit */
	uint32_t units; /* given to the store */
	uint32_t completed;
	uint32_t flushed; /* durable for certain */
	uint32_t ended_requests;
	int last_result;
	struct scene_request requests[SCENE_REQUESTS];
	uint64_t stamp; /* the last one that was given */
};

struct scene *scene_new(uint64_t seed);
void scene_free(struct scene *scene);
/* A new file; data of @blocks. */
void scene_format(struct scene *scene);
/* Returns: what the open ended with. */
int scene_open(struct scene *scene, bool writable);
void scene_close(struct scene *scene);

/* Requests. Writes stamp each of their blocks anew. */
void scene_write(struct scene *scene, uint32_t block, uint32_t count,
		 bool more);
void scene_resize(struct scene *scene, uint32_t blocks);
void scene_flush(struct scene *scene);
void scene_read(struct scene *scene, uint32_t block, uint32_t count);
bool scene_has_room(const struct scene *scene, uint32_t requests);

/* Ends one io, drawn by lot. */
void scene_step(struct scene *scene);
/* Until nothing is under way. */
void scene_settle(struct scene *scene);
/* The life after a crash, of which @unit was the last: what it is judged by. */
void scene_inherit(const struct scene *scene, uint32_t unit,
		   struct scene *after);
/* Reads all, in quiet. */
void scene_look(struct scene *scene, struct scene_state *ret_state);

/*
 * The power fails in a copy of the scene, or its process is killed, and
 * @ret_after opens the file; now and then the power fails in that too. Returns:
 * the unit that was the last one; fails the test if it can't have been.
 */
uint32_t scene_crash(struct scene *scene, struct scene *ret_after);
/* With a fate of what wasn't durable that the caller chose. */
uint32_t scene_crash_as(struct scene *scene, struct medium_fate fate,
			struct scene *ret_after);

#endif
