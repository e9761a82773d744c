/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scene.h - an engine, an SSD and a backend in memory, and a test that decides
 * the order in which everything ends.
 *
 * What the engine wants done waits in `waiting`, oldest first, until the test
 * ends it: scene_end() one of a type, scene_end_all() everything. Data move
 * when an I/O ends. Time is a number that the test moves.
 *
 * The disk has 256 blocks; the log has 16 segments of 8 blocks, head included.
 */
#ifndef FOREBAY_TESTS_ENGINE_SCENE_H
#define FOREBAY_TESTS_ENGINE_SCENE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine.h"
#include "log_codec.h"

#define SCENE_DISK_BLOCKS 256u
/* What a test may make of it: four leaves of the index. */
#define SCENE_DISK_BLOCKS_MAX 2048u
#define SCENE_SEGMENTS 16u
#define SCENE_SEGMENT_BLOCKS 8u
#define SCENE_FIRST_SEGMENT 32u /* block of the file */
#define SCENE_FILE_BLOCKS \
	(SCENE_FIRST_SEGMENT + SCENE_SEGMENTS * SCENE_SEGMENT_BLOCKS)
#define SCENE_REQUEST_BLOCKS_MAX 64u
#define SCENE_WAITING_MAX 128u
#define SCENE_SECOND_NS 1000000000ull

/* A guest's request with its own memory. */
struct guest {
	struct engine_request request;
	struct iovec iov[2];
	bool done;
	_Alignas(16) uint8_t bytes[SCENE_REQUEST_BLOCKS_MAX * LOG_BLOCK_BYTES];
};

struct scene {
	struct engine_config config;
	struct engine *engine;
	struct engine_memory memory;
	size_t memory_bytes;
	size_t kept_bytes;
	uint64_t now_ns;
	struct engine_io *waiting[SCENE_WAITING_MAX];
	uint32_t waiting_count;
	uint32_t zeroed; /* segments that got zeros ahead of the log */
	struct guest guests[24];
	uint32_t guest_count;
	_Alignas(16) uint8_t ssd[SCENE_FILE_BLOCKS * LOG_BLOCK_BYTES];
	_Alignas(16) uint8_t below[SCENE_DISK_BLOCKS_MAX * LOG_BLOCK_BYTES];
};

/* cmocka fixtures: *state becomes a scene whose engine runs on a new file. */
int scene_set_up(void **state);
int scene_tear_down(void **state);

/* A new engine on what the SSD holds; what the old one had under way is gone.
 */
void scene_boot(struct scene *scene);
/* Boots and ends everything until it runs or has failed. */
void scene_restart(struct scene *scene);
/* The same after a kill: kept memory is as the last engine left it. */
void scene_restart_warm(struct scene *scene);

/* A request of @count whole blocks whose bytes are all @letter. */
struct guest *scene_write(struct scene *scene, uint64_t block, uint64_t count,
			  char letter);
/* Of @count sectors. */
struct guest *scene_write_sectors(struct scene *scene, uint64_t sector,
				  uint64_t count, char letter);
/* A ZERO or DISCARD of @count sectors. */
struct guest *scene_zero(struct scene *scene, enum engine_operation operation,
			 uint64_t sector, uint64_t count);
/* A ZERO of @count blocks, and ends everything; it must succeed. */
void scene_zero_now(struct scene *scene, uint64_t block, uint64_t count);
struct guest *scene_read(struct scene *scene, uint64_t block, uint64_t count);
/* The disk has so many blocks now, and a new index for them. */
void scene_grow(struct scene *scene, uint64_t blocks);
struct guest *scene_flush(struct scene *scene);
/* What was submitted since the last poll may share a record. */
void scene_poll(struct scene *scene);
void scene_pass_ns(struct scene *scene, uint64_t ns);

/* How many of a type wait. */
uint32_t scene_waiting(const struct scene *scene, enum engine_io_type type);
/* The oldest of a type; there must be one. */
struct engine_io *scene_oldest(const struct scene *scene,
			       enum engine_io_type type);
/* Ends the oldest of a type, rightly or with an error, and polls. */
void scene_end(struct scene *scene, enum engine_io_type type);
void scene_end_with(struct scene *scene, enum engine_io_type type, int status);
/* Ends this one. */
void scene_end_io(struct scene *scene, struct engine_io *io, int status);
/* Ends everything, oldest first, until nothing waits. */
void scene_end_all(struct scene *scene);
/* All but writes and flushes below. Returns: how many of these are left. */
uint32_t scene_end_all_but_below(struct scene *scene);

/* Writes and ends everything; it must succeed. */
void scene_write_now(struct scene *scene, uint64_t block, uint64_t count,
		     char letter);
void scene_flush_now(struct scene *scene);
void scene_drain(struct scene *scene);
/* Reads a block and ends everything. Returns: its letter, or the status. */
int scene_read_now(struct scene *scene, uint64_t block);

/* Every byte of the block is @letter (0: zero). */
void assert_block(const uint8_t *bytes, char letter);
void assert_below(const struct scene *scene, uint64_t block, char letter);
struct engine_stats scene_stats(const struct scene *scene);
/* On the SSD: the header of record @sequence, or NULL. */
struct log_record_header *scene_record(struct scene *scene, uint64_t sequence);
/* On the SSD: the data of @block in the newest record that has any. */
uint8_t *scene_copy(struct scene *scene, uint64_t block);
struct log_superblock *scene_superblock(struct scene *scene, uint32_t copy);
/* The one with the higher generation. */
uint32_t scene_newer_superblock(struct scene *scene);
/* The requests of earlier are over; their memory may be used again. */
void scene_forget_guests(struct scene *scene);

#endif
