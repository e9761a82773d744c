// SPDX-License-Identifier: Apache-2.0
/*
 * make_cache_file.c - cache files for format_reader.py, made by the engine.
 *
 *	make_cache_file STORY FOLDER
 *
 * Lives a story, then writes the SSD to FOLDER/cache and the backend to
 * FOLDER/backend as a kill would leave them; starts a new engine on them, reads
 * the whole disk through it into FOLDER/disk, and prints what it knows:
 * "running CUT TAIL DIRTY CACHED" or "failed: why", then the lost blocks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scene.h"

static void nothing(struct scene *scene)
{
	(void)scene;
}

static void blank_file(struct scene *scene)
{
	memset(scene->ssd, 0, sizeof(scene->ssd));
}

static void writes(struct scene *scene)
{
	for (uint32_t i = 0; i < 10; i++)
		scene_write_now(scene, i * 17, 1 + i % 3, (char)('a' + i));
}

static void part_blocks(struct scene *scene)
{
	scene_write_now(scene, 4, 1, 'w');
	scene_write_sectors(scene, 3 * 8 + 5, 6, 'p');
	scene_end_all(scene);
	scene_write_sectors(scene, 9 * 8 + 1, 1, 'q');
	scene_end_all(scene);
	scene_write_sectors(scene, 9 * 8 + 4, 2, 'r');
	scene_end_all(scene);
	scene_forget_guests(scene);
}

static void clean_and_filled(struct scene *scene)
{
	writes(scene);
	scene_drain(scene);
	for (int i = 0; i < 2; i++) {
		scene_read_now(scene, 200);
		scene_read_now(scene, 201);
	}
	scene_write_now(scene, 17, 1, 'n');
}

static void round_the_circle(struct scene *scene)
{
	for (uint32_t i = 0; i < 150; i++) {
		scene_write_now(scene, i * 7 % 240, 1 + i % 6, (char)i);
		if (i % 5 == 0)
			scene_flush_now(scene);
		scene->now_ns += SCENE_SECOND_NS / 10;
	}
}

static void killed_under_way(struct scene *scene)
{
	round_the_circle(scene);
	for (uint64_t i = 0; i < 6; i++) {
		scene_write(scene, i * 30, 2, 'k');
		scene_poll(scene);
	}
	/* The second record arrived, the first did not. */
	scene_end_io(scene, scene->waiting[scene->waiting_count - 1], 0);
}

static void torn_data(struct scene *scene)
{
	writes(scene);
	scene_flush_now(scene);
	writes(scene);
	scene_copy(scene, 17)[100] ^= 1;
}

static void amended(struct scene *scene)
{
	struct guest *write = scene_write(scene, 3, 2, 'a');

	scene_poll(scene);
	memset(write->bytes + LOG_BLOCK_BYTES, 'b', LOG_BLOCK_BYTES);
	scene_end_all(scene);
	scene_forget_guests(scene);
	scene_write_now(scene, 60, 1, 'c');
}

static void not_yet_amended(struct scene *scene)
{
	struct guest *write;

	writes(scene);
	write = scene_write(scene, 0, 2, 'A');
	scene_poll(scene);
	memset(write->bytes + LOG_BLOCK_BYTES, 'B', LOG_BLOCK_BYTES);
	scene_end(scene, ENGINE_SSD_WRITE);
}

static void several_incarnations(struct scene *scene)
{
	for (uint32_t i = 0; i < 6; i++) {
		scene_write_now(scene, i, 3, (char)('a' + i));
		if (i % 2)
			scene_copy(scene, i)[0] ^= 1;
		scene_restart(scene);
	}
}

static void dropped(struct scene *scene)
{
	writes(scene);
	scene_drain(scene);
	engine_set_mode(scene->engine, ENGINE_WRITE_AROUND);
	scene_write_now(scene, 17, 2, 'd');
	engine_set_mode(scene->engine, ENGINE_WRITE_THROUGH);
	scene_write_now(scene, 34, 3, 't');
}

static void lost_and_moved_up(struct scene *scene)
{
	scene_write_now(scene, 3, 1, 'a');
	scene_flush_now(scene);
	scene_copy(scene, 3)[9] ^= 1;
	for (uint32_t i = 0; i < 60; i++) {
		scene_write_now(scene, 100 + i, 6, (char)i);
		scene->now_ns += SCENE_SECOND_NS;
	}
}

static void bad_dirty_block(struct scene *scene)
{
	writes(scene);
	scene_flush_now(scene);
	scene_write_now(scene, 240, 1, 'z');
	scene_copy(scene, 51)[9] ^= 1;
}

static void bad_durable_header(struct scene *scene)
{
	writes(scene);
	scene_flush_now(scene);
	scene_write_now(scene, 240, 1, 'z');
	scene_record(scene, 5)->mode ^= 1;
}

static void older_superblock_only(struct scene *scene)
{
	writes(scene);
	scene_restart(scene);
	scene_superblock(scene, scene_newer_superblock(scene))->flags ^= 1;
}

static void needed_superblock_bad(struct scene *scene)
{
	writes(scene);
	scene_restart(scene);
	writes(scene);
	scene_superblock(scene, scene_newer_superblock(scene))->flags ^= 1;
}

static void summaries(struct scene *scene)
{
	scene->config.summaries = true;
	scene_restart(scene);
	round_the_circle(scene);
}

static void closed_in_order(struct scene *scene)
{
	summaries(scene);
	engine_close(scene->engine);
	scene_poll(scene);
	scene_end_all(scene);
}

static void zeroes_now(struct scene *scene, enum engine_operation operation,
		       uint64_t sector, uint64_t count)
{
	scene_zero(scene, operation, sector, count);
	scene_end_all(scene);
	scene_forget_guests(scene);
}

static void zeroed(struct scene *scene)
{
	writes(scene);
	zeroes_now(scene, ENGINE_ZERO, 17 * 8, 100 * 8);
	zeroes_now(scene, ENGINE_DISCARD, 140 * 8 + 3, 20 * 8 + 1);
	scene_write_now(scene, 60, 2, 'Z');
	scene_write_sectors(scene, 70 * 8 + 2, 3, 'Y');
	scene_end_all(scene);
	scene_forget_guests(scene);
}

static void zeroed_and_destaged(struct scene *scene)
{
	zeroed(scene);
	scene_drain(scene);
	zeroes_now(scene, ENGINE_ZERO, 30 * 8, 64 * 8);
	scene_write_now(scene, 31, 1, 'X');
}

static const struct {
	const char *name;
	void (*live)(struct scene *scene);
} stories[] = {
	{"nothing", nothing},
	{"blank_file", blank_file},
	{"writes", writes},
	{"part_blocks", part_blocks},
	{"clean_and_filled", clean_and_filled},
	{"round_the_circle", round_the_circle},
	{"killed_under_way", killed_under_way},
	{"torn_data", torn_data},
	{"amended", amended},
	{"not_yet_amended", not_yet_amended},
	{"several_incarnations", several_incarnations},
	{"dropped", dropped},
	{"lost_and_moved_up", lost_and_moved_up},
	{"bad_dirty_block", bad_dirty_block},
	{"bad_durable_header", bad_durable_header},
	{"summaries", summaries},
	{"zeroed", zeroed},
	{"zeroed_and_destaged", zeroed_and_destaged},
	{"closed_in_order", closed_in_order},
	{"older_superblock_only", older_superblock_only},
	{"needed_superblock_bad", needed_superblock_bad},
};

static void save(const char *folder, const char *name, const void *bytes,
		 size_t count)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "wb");
	if (!file || fwrite(bytes, 1, count, file) != count ||
	    fclose(file) != 0) {
		perror(path);
		exit(2);
	}
}

/* What the engine makes of it. */
static void tell(struct scene *scene, const char *folder)
{
	static uint8_t disk[SCENE_DISK_BLOCKS * LOG_BLOCK_BYTES];
	struct engine_stats stats;

	scene->config.may_format = false;
	scene_restart(scene);
	if (engine_state(scene->engine) == ENGINE_FAILED) {
		printf("failed: %s\n", engine_failure(scene->engine)->message);
		return;
	}
	stats = scene_stats(scene);
	printf("running %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
	       stats.sequence, stats.tail_sequence,
	       stats.dirty_bytes / LOG_BLOCK_BYTES,
	       stats.cached_bytes / LOG_BLOCK_BYTES);
	for (uint64_t block = 0; block < SCENE_DISK_BLOCKS; block++) {
		struct guest *read = scene_read(scene, block, 1);

		scene_end_all(scene);
		if (read->request.status < 0)
			printf("lost %" PRIu64 "\n", block);
		memcpy(disk + block * LOG_BLOCK_BYTES, read->bytes,
		       LOG_BLOCK_BYTES);
		scene_forget_guests(scene);
	}
	save(folder, "disk", disk, sizeof(disk));
}

static int tell_story(const char *folder, void (*live)(struct scene *scene))
{
	void *state = NULL;
	struct scene *scene;

	scene_set_up(&state);
	scene = state;
	live(scene);
	save(folder, "cache", scene->ssd, sizeof(scene->ssd));
	save(folder, "backend", scene->below,
	     SCENE_DISK_BLOCKS * LOG_BLOCK_BYTES);
	tell(scene, folder);
	return scene_tear_down(&state);
}

int main(int argc, char **argv)
{
	size_t count = sizeof(stories) / sizeof(stories[0]);

	if (argc == 1) {
		for (size_t i = 0; i < count; i++)
			puts(stories[i].name);
		return 0;
	}
	for (size_t i = 0; argc == 3 && i < count; i++) {
		if (strcmp(stories[i].name, argv[1]) == 0)
			return tell_story(argv[2], stories[i].live);
	}
	fprintf(stderr, "usage: make_cache_file [STORY FOLDER]\n");
	return 2;
}
