// SPDX-License-Identifier: Apache-2.0
/* scene.c - see scene.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "scene.h"

#define STEPS_MAX 10000u

static struct guest *new_guest(struct scene *scene)
{
	struct guest *guest = &scene->guests[scene->guest_count++];

	assert_in_range(scene->guest_count, 1,
			sizeof(scene->guests) / sizeof(scene->guests[0]));
	memset(&guest->request, 0, sizeof(guest->request));
	guest->done = false;
	guest->request.owner = guest;
	return guest;
}

void scene_forget_guests(struct scene *scene)
{
	for (uint32_t i = 0; i < scene->guest_count; i++)
		assert_true(scene->guests[i].done);
	scene->guest_count = 0;
}

/* A whole segment of zeros, ahead of the log: not what a test counts. */
static bool is_zero_ahead(const struct engine_io *io)
{
	uint64_t magic;

	if (io->type != ENGINE_SSD_WRITE ||
	    io->length != SCENE_SEGMENT_BLOCKS * LOG_BLOCK_BYTES)
		return false;
	memcpy(&magic, io->iov[0].iov_base, sizeof(magic));
	return magic == 0;
}

/* Takes what the engine wants done. Returns: true if it may want more now. */
static bool take_ios(struct scene *scene)
{
	struct engine_io *zeros[1];
	uint32_t zero_count = 0;
	struct engine_io *io;

	while ((io = engine_next_io(scene->engine)) != NULL) {
		if (is_zero_ahead(io)) {
			assert_int_equal(zero_count, 0);
			zeros[zero_count++] = io;
			continue;
		}
		assert_in_range(scene->waiting_count, 0, SCENE_WAITING_MAX - 1);
		scene->waiting[scene->waiting_count++] = io;
	}
	if (zero_count == 0)
		return false;
	memset(scene->ssd + zeros[0]->offset, 0, zeros[0]->length);
	scene->zeroed++;
	engine_io_done(scene->engine, zeros[0], 0);
	return true;
}

void scene_poll(struct scene *scene)
{
	struct engine_request *request;

	do {
		engine_poll(scene->engine, scene->now_ns);
	} while (take_ios(scene));
	while ((request = engine_next_completed(scene->engine)) != NULL) {
		struct guest *guest = request->owner;

		assert_false(guest->done);
		guest->done = true;
	}
}

void scene_pass_ns(struct scene *scene, uint64_t ns)
{
	scene->now_ns += ns;
	scene_poll(scene);
}

static void submit(struct scene *scene, struct guest *guest, uint64_t sector,
		   uint64_t count)
{
	struct engine_request *request = &guest->request;

	if (request->operation == ENGINE_READ ||
	    request->operation == ENGINE_WRITE)
		assert_in_range(count, 0,
				SCENE_REQUEST_BLOCKS_MAX *
					LOG_SECTORS_PER_BLOCK);
	guest->iov[0] = (struct iovec){guest->bytes, count * LOG_SECTOR_BYTES};
	request->sector = sector;
	request->sector_count = count;
	request->iov = guest->iov;
	request->iov_count = 1;
	engine_submit(scene->engine, request);
}

struct guest *scene_write_sectors(struct scene *scene, uint64_t sector,
				  uint64_t count, char letter)
{
	struct guest *guest = new_guest(scene);

	guest->request.operation = ENGINE_WRITE;
	memset(guest->bytes, letter, count * LOG_SECTOR_BYTES);
	submit(scene, guest, sector, count);
	return guest;
}

struct guest *scene_write(struct scene *scene, uint64_t block, uint64_t count,
			  char letter)
{
	return scene_write_sectors(scene, block * LOG_SECTORS_PER_BLOCK,
				   count * LOG_SECTORS_PER_BLOCK, letter);
}

struct guest *scene_read(struct scene *scene, uint64_t block, uint64_t count)
{
	struct guest *guest = new_guest(scene);

	guest->request.operation = ENGINE_READ;
	memset(guest->bytes, '?', count * LOG_BLOCK_BYTES);
	submit(scene, guest, block * LOG_SECTORS_PER_BLOCK,
	       count * LOG_SECTORS_PER_BLOCK);
	return guest;
}

struct guest *scene_zero(struct scene *scene, enum engine_operation operation,
			 uint64_t sector, uint64_t count)
{
	struct guest *guest = new_guest(scene);

	guest->request.operation = operation;
	submit(scene, guest, sector, count);
	return guest;
}

struct guest *scene_flush(struct scene *scene)
{
	struct guest *guest = new_guest(scene);

	guest->request.operation = ENGINE_FLUSH;
	submit(scene, guest, 0, 0);
	return guest;
}

uint32_t scene_waiting(const struct scene *scene, enum engine_io_type type)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < scene->waiting_count; i++)
		count += scene->waiting[i]->type == type;
	return count;
}

struct engine_io *scene_oldest(const struct scene *scene,
			       enum engine_io_type type)
{
	for (uint32_t i = 0; i < scene->waiting_count; i++) {
		if (scene->waiting[i]->type == type)
			return scene->waiting[i];
	}
	fail_msg("no I/O of type %d waits", type);
	return NULL;
}

static void move_data(struct scene *scene, const struct engine_io *io)
{
	bool ssd = io->type == ENGINE_SSD_READ || io->type == ENGINE_SSD_WRITE;
	bool write =
		io->type == ENGINE_SSD_WRITE || io->type == ENGINE_BELOW_WRITE;
	uint8_t *at = (ssd ? scene->ssd : scene->below) + io->offset;

	assert_true(io->offset + io->length <=
		    (ssd ? sizeof(scene->ssd) : sizeof(scene->below)));
	for (uint32_t i = 0; i < io->iov_count; i++) {
		const struct iovec *part = &io->iov[i];

		memcpy(write ? at : part->iov_base, write ? part->iov_base : at,
		       part->iov_len);
		at += part->iov_len;
	}
}

void scene_end_io(struct scene *scene, struct engine_io *io, int status)
{
	uint32_t at = 0;

	while (at < scene->waiting_count && scene->waiting[at] != io)
		at++;
	assert_in_range(at, 0, scene->waiting_count - 1);
	scene->waiting_count--;
	for (; at < scene->waiting_count; at++)
		scene->waiting[at] = scene->waiting[at + 1];
	if (status == 0 && io->iov_count > 0)
		move_data(scene, io);
	if (status == 0 && io->type == ENGINE_BELOW_ZERO) {
		assert_true(io->offset + io->length <= sizeof(scene->below));
		memset(scene->below + io->offset, 0, io->length);
	}
	engine_io_done(scene->engine, io, status);
	scene_poll(scene);
}

void scene_end_with(struct scene *scene, enum engine_io_type type, int status)
{
	scene_end_io(scene, scene_oldest(scene, type), status);
}

void scene_end(struct scene *scene, enum engine_io_type type)
{
	scene_end_with(scene, type, 0);
}

void scene_end_all(struct scene *scene)
{
	scene_poll(scene);
	for (uint32_t i = 0; scene->waiting_count > 0; i++) {
		assert_in_range(i, 0, STEPS_MAX);
		scene_end_io(scene, scene->waiting[0], 0);
	}
}

uint32_t scene_end_all_but_below(struct scene *scene)
{
	uint32_t kept = 0;

	scene_poll(scene);
	while (kept < scene->waiting_count) {
		struct engine_io *io = scene->waiting[kept];

		if (io->type == ENGINE_BELOW_WRITE ||
		    io->type == ENGINE_BELOW_FLUSH)
			kept++;
		else
			scene_end_io(scene, io, 0);
	}
	return kept;
}

void scene_write_now(struct scene *scene, uint64_t block, uint64_t count,
		     char letter)
{
	struct guest *guest = scene_write(scene, block, count, letter);

	scene_end_all(scene);
	assert_true(guest->done);
	assert_int_equal(guest->request.status, 0);
	scene_forget_guests(scene);
}

void scene_zero_now(struct scene *scene, uint64_t block, uint64_t count)
{
	struct guest *guest =
		scene_zero(scene, ENGINE_ZERO, block * LOG_SECTORS_PER_BLOCK,
			   count * LOG_SECTORS_PER_BLOCK);

	scene_end_all(scene);
	assert_true(guest->done);
	assert_int_equal(guest->request.status, 0);
	scene_forget_guests(scene);
}

void scene_flush_now(struct scene *scene)
{
	struct guest *guest = scene_flush(scene);

	scene_end_all(scene);
	assert_true(guest->done);
	assert_int_equal(guest->request.status, 0);
	scene_forget_guests(scene);
}

void scene_drain(struct scene *scene)
{
	engine_set_draining(scene->engine, true);
	scene_end_all(scene);
	assert_true(engine_clean(scene->engine));
	engine_set_draining(scene->engine, false);
}

int scene_read_now(struct scene *scene, uint64_t block)
{
	struct guest *guest = scene_read(scene, block, 1);
	int status;

	scene_end_all(scene);
	assert_true(guest->done);
	status = guest->request.status;
	scene_forget_guests(scene);
	if (status < 0)
		return status;
	assert_block(guest->bytes, (char)guest->bytes[0]);
	return guest->bytes[0];
}

static void boot_on_kept(struct scene *scene)
{
	struct error error = {0};

	memset(scene->memory.own, 0, scene->memory_bytes);
	scene->waiting_count = 0;
	scene->guest_count = 0;
	assert_int_equal(engine_create(&scene->config, &scene->memory,
				       &scene->engine, &error),
			 0);
	engine_start(scene->engine);
	scene_poll(scene);
}

void scene_boot(struct scene *scene)
{
	memset(scene->memory.kept, 0, scene->kept_bytes);
	boot_on_kept(scene);
}

static void recover(struct scene *scene)
{
	scene_end_all(scene);
	if (engine_state(scene->engine) == ENGINE_FAILED)
		print_message("# %s\n", engine_failure(scene->engine)->message);
	assert_int_not_equal(engine_state(scene->engine), ENGINE_STARTING);
}

void scene_restart(struct scene *scene)
{
	scene_boot(scene);
	recover(scene);
}

void scene_restart_warm(struct scene *scene)
{
	scene->config.warm = true;
	boot_on_kept(scene);
	recover(scene);
	scene->config.warm = false;
}

static void allocate(struct scene *scene)
{
	scene->memory_bytes = engine_memory_bytes(&scene->config);
	assert_int_not_equal(scene->memory_bytes, 0);
	scene->memory.own = aligned_alloc(LOG_BLOCK_BYTES, scene->memory_bytes);
	scene->kept_bytes = engine_kept_bytes(&scene->config);
	scene->memory.kept = aligned_alloc(LOG_BLOCK_BYTES, scene->kept_bytes);
	assert_non_null(scene->memory.own);
	assert_non_null(scene->memory.kept);
}

void scene_grow(struct scene *scene, uint64_t blocks)
{
	scene->config.disk_bytes = blocks * LOG_BLOCK_BYTES;
	free(scene->memory.own);
	free(scene->memory.kept);
	allocate(scene);
	scene_restart(scene);
}

int scene_set_up(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	scene->config = (struct engine_config){
		.uuid = "a disk of a test",
		.disk_bytes = SCENE_DISK_BLOCKS * LOG_BLOCK_BYTES,
		.file_bytes = SCENE_FILE_BLOCKS * LOG_BLOCK_BYTES,
		.epoch = 1,
		.max_dirty_age_ns = 60 * SCENE_SECOND_NS,
		.mode = ENGINE_WRITE_BACK,
		.segment_blocks = SCENE_SEGMENT_BLOCKS,
		.records_in_flight_max = 2,
		.dirty_limit_percent = 70,
		.may_format = true,
	};
	if (getenv("SCENE_PLANTED_BUG"))
		scene->config.planted_bug =
			(uint32_t)atoi(getenv("SCENE_PLANTED_BUG"));
	scene->now_ns = 1000 * SCENE_SECOND_NS;
	allocate(scene);
	memset(scene->below, 'o', sizeof(scene->below));
	*state = scene;
	scene_restart(scene);
	assert_int_equal(engine_state(scene->engine), ENGINE_RUNNING);
	return 0;
}

int scene_tear_down(void **state)
{
	struct scene *scene = *state;

	free(scene->memory.own);
	free(scene->memory.kept);
	free(scene);
	return 0;
}

void assert_block(const uint8_t *bytes, char letter)
{
	for (uint32_t i = 0; i < LOG_BLOCK_BYTES; i++)
		assert_int_equal((char)bytes[i], letter);
}

void assert_below(const struct scene *scene, uint64_t block, char letter)
{
	assert_block(scene->below + block * LOG_BLOCK_BYTES, letter);
}

struct engine_stats scene_stats(const struct scene *scene)
{
	struct engine_stats stats;

	engine_stats(scene->engine, &stats);
	return stats;
}

static uint8_t *block_at(struct scene *scene, uint32_t block)
{
	return scene->ssd + (size_t)block * LOG_BLOCK_BYTES;
}

struct log_record_header *scene_record(struct scene *scene, uint64_t sequence)
{
	for (uint32_t i = SCENE_FIRST_SEGMENT; i < SCENE_FILE_BLOCKS; i++) {
		struct log_record_header *header = (void *)block_at(scene, i);

		if (log_record_valid(header, scene->config.uuid,
				     SCENE_SEGMENT_BLOCKS) &&
		    header->sequence == sequence)
			return header;
	}
	return NULL;
}

uint8_t *scene_copy(struct scene *scene, uint64_t block)
{
	uint64_t sequence = scene_stats(scene).sequence;

	for (; sequence > 0; sequence--) {
		struct log_record_header *header =
			scene_record(scene, sequence);
		struct log_entry_cursor cursor;

		if (!header)
			continue;
		log_entries_start(&cursor, header);
		while (log_entries_next(&cursor)) {
			uint64_t index = block - cursor.entry->first_block;

			if (block >= cursor.entry->first_block &&
			    index < log_entry_data_blocks(cursor.entry))
				return (uint8_t *)header +
				       (1 + cursor.data_block + index) *
					       LOG_BLOCK_BYTES;
		}
	}
	return NULL;
}

struct log_superblock *scene_superblock(struct scene *scene, uint32_t copy)
{
	return (void *)block_at(scene, copy * LOG_SUPERBLOCK_BLOCKS);
}

uint32_t scene_newer_superblock(struct scene *scene)
{
	return scene_superblock(scene, 1)->generation >
	       scene_superblock(scene, 0)->generation;
}
