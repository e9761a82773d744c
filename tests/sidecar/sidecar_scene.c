// SPDX-License-Identifier: Apache-2.0
/*
 * sidecar_scene.c - see sidecar_scene.h.
 *
 * A file that is made shorter is a write of zeros to the medium, and one that
 * is made longer nothing: it has been zeros there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sidecar_scene.h"

#define MEDIUM_BLOCKS \
	(SIDECAR_JOURNAL_BLOCK + SCENE_JOURNAL_BLOCKS + SCENE_BLOCKS)
#define MEDIUM_BYTES ((uint64_t)MEDIUM_BLOCKS * SIDECAR_BLOCK_BYTES)
#define DATA_OFFSET                                                 \
	((uint64_t)(SIDECAR_JOURNAL_BLOCK + SCENE_JOURNAL_BLOCKS) * \
	 SIDECAR_BLOCK_BYTES)
#define WORDS (SIDECAR_BLOCK_BYTES / sizeof(uint64_t))

static uint8_t zeros[MEDIUM_BYTES];

/* Calls that block. */

static int spend(struct scene *scene)
{
	if (scene->calls_left == 0)
		return -EIO;
	if (scene->calls_left != UINT32_MAX)
		scene->calls_left--;
	return 0;
}

static int medium_call_read(void *owner, uint64_t offset, void *bytes,
			    size_t count)
{
	struct scene *scene = owner;
	const struct iovec iov = {bytes, count};

	medium_read(&scene->medium, offset, &iov, 1);
	return 0;
}

static int medium_call_write(void *owner, uint64_t offset, const void *bytes,
			     size_t count)
{
	struct scene *scene = owner;
	const struct iovec iov = {(void *)bytes, count};
	int status = spend(scene);

	if (status == 0)
		medium_write(&scene->medium, offset, &iov, 1);
	else if (random_percent(&scene->random, 50))
		medium_write_torn(&scene->medium, &scene->random, offset, &iov,
				  1);
	return status;
}

static int medium_call_sync(void *owner)
{
	struct scene *scene = owner;
	int status = spend(scene);

	if (status == 0)
		medium_flush(&scene->medium, scene->medium.write_count);
	return status;
}

static void set_size(struct scene *scene, uint64_t bytes)
{
	const struct iovec iov = {zeros, MEDIUM_BYTES - bytes};

	if (iov.iov_len > 0)
		medium_write(&scene->medium, bytes, &iov, 1);
	scene->file_bytes = bytes;
}

static int medium_call_resize(void *owner, uint64_t bytes)
{
	struct scene *scene = owner;
	int status = spend(scene);

	if (status == 0)
		set_size(scene, bytes);
	return status;
}

static struct sidecar_medium calls_of(struct scene *scene)
{
	return (struct sidecar_medium){
		.read = medium_call_read,
		.write = medium_call_write,
		.sync = medium_call_sync,
		.resize = medium_call_resize,
		.owner = scene,
	};
}

/* Ios. */

static void on_start(void *owner, const struct sidecar_io *io)
{
	struct scene *scene = owner;

	assert_true(scene->io_count < SIDECAR_STORE_IOS);
	scene->ios[scene->io_count++] = io;
	if (io->kind == SIDECAR_IO_SYNC)
		scene->synced_writes = scene->medium.write_count;
}

static int run(struct scene *scene, const struct sidecar_io *io)
{
	switch (io->kind) {
	case SIDECAR_IO_READ:
		medium_read(&scene->medium, io->offset, io->iov, io->iov_count);
		return 0;
	case SIDECAR_IO_WRITE:
		if (scene->fail_write < 0 && io->offset >= DATA_OFFSET)
			return scene->fail_write;
		medium_write(&scene->medium, io->offset, io->iov,
			     io->iov_count);
		return 0;
	case SIDECAR_IO_SYNC:
		if (scene->fail_sync < 0)
			return scene->fail_sync;
		medium_flush(&scene->medium, scene->synced_writes);
		return 0;
	case SIDECAR_IO_RESIZE:
		set_size(scene, io->offset);
		return 0;
	}
	return -EINVAL;
}

void scene_step(struct scene *scene)
{
	uint32_t drawn;
	const struct sidecar_io *io;
	int result;

	assert_true(scene->io_count > 0);
	drawn = (uint32_t)random_below(&scene->random, scene->io_count);
	io = scene->ios[drawn];
	if (io == scene->held && scene->io_count > 1) {
		drawn = drawn == 0;
		io = scene->ios[drawn];
	}
	scene->ios[drawn] = scene->ios[--scene->io_count];
	result = run(scene, io);
	sidecar_store_io_done(scene->store, io->number, result);
}

void scene_settle(struct scene *scene)
{
	while (scene->io_count > 0)
		scene_step(scene);
	assert_true(sidecar_store_quiet(scene->store));
}

/* Life. */

struct scene *scene_new(uint64_t seed)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	scene->random.state = seed;
	scene->calls_left = UINT32_MAX;
	medium_init(&scene->medium, MEDIUM_BYTES);
	for (uint32_t i = 0; i < SCENE_REQUESTS; i++) {
		scene->requests[i].bytes =
			malloc(SCENE_BLOCKS * SIDECAR_BLOCK_BYTES);
		assert_non_null(scene->requests[i].bytes);
	}
	return scene;
}

void scene_free(struct scene *scene)
{
	sidecar_store_close(scene->store);
	medium_free(&scene->medium);
	for (uint32_t i = 0; i < SCENE_REQUESTS; i++)
		free(scene->requests[i].bytes);
	free(scene);
}

static struct sidecar_store_spec spec_of(bool writable)
{
	return (struct sidecar_store_spec){
		.journal_blocks = SCENE_JOURNAL_BLOCKS,
		.length_bytes_max = SCENE_BLOCKS * SIDECAR_BLOCK_BYTES,
		.writable = writable,
		/* No lot: counting has to be enough. */
	};
}

void scene_format(struct scene *scene)
{
	const struct sidecar_medium calls = calls_of(scene);
	const struct sidecar_store_spec spec = spec_of(true);

	assert_int_equal(sidecar_store_format(&calls, &spec), 0);
}

int scene_open(struct scene *scene, bool writable)
{
	const struct sidecar_medium calls = calls_of(scene);
	const struct sidecar_store_spec spec = spec_of(writable);
	const struct sidecar_store_host host = {on_start, scene};

	scene->store = NULL;
	return sidecar_store_open(&calls, &spec, &host, &scene->store);
}

void scene_close(struct scene *scene)
{
	sidecar_store_close(scene->store);
	scene->store = NULL;
}

/* Requests. */

static struct scene_request *free_request(struct scene *scene)
{
	for (uint32_t i = 0; i < SCENE_REQUESTS; i++)
		if (!scene->requests[i].busy)
			return &scene->requests[i];
	fail_msg("no request is free");
	return NULL;
}

bool scene_has_room(const struct scene *scene, uint32_t requests)
{
	uint32_t busy = 0;

	for (uint32_t i = 0; i < SCENE_REQUESTS; i++)
		busy += scene->requests[i].busy;
	return busy + requests <= SCENE_REQUESTS &&
	       scene->units + requests < SCENE_UNITS;
}

/* Whether a block may hold that, as of any of the units from @first on. */
static bool may_hold(const struct scene *scene, uint32_t block, uint64_t stamp,
		     uint32_t first)
{
	for (uint32_t unit = first; unit <= scene->units; unit++)
		if (scene->states[unit].stamps[block] == stamp)
			return true;
	return false;
}

/* A block is all of one stamp. */
static uint64_t stamp_of(const uint8_t *block)
{
	uint64_t words[WORDS];

	memcpy(words, block, sizeof(words));
	for (uint32_t i = 1; i < WORDS; i++)
		assert_true(words[i] == words[0]);
	return words[0];
}

static void check_read(const struct scene_request *entry)
{
	const struct scene *scene = entry->scene;
	uint32_t first =
		(uint32_t)(entry->request.offset / SIDECAR_BLOCK_BYTES);
	uint32_t count =
		(uint32_t)(entry->request.length / SIDECAR_BLOCK_BYTES);

	for (uint32_t i = 0; i < count; i++)
		assert_true(may_hold(
			scene, first + i,
			stamp_of(entry->bytes + i * SIDECAR_BLOCK_BYTES),
			entry->unit));
}

static void on_done(struct sidecar_request *request, int result)
{
	struct scene_request *entry = request->owner;
	struct scene *scene = entry->scene;

	entry->busy = false;
	scene->ended_requests++;
	if (result < 0) {
		scene->last_result = result;
		return;
	}
	switch (request->kind) {
	case SIDECAR_READ:
		check_read(entry);
		return;
	case SIDECAR_WRITE:
	case SIDECAR_RESIZE:
		if (entry->unit == SCENE_NO_UNIT)
			return;
		/* In order. */
		assert_true(entry->unit > scene->completed);
		scene->completed = entry->unit;
		return;
	case SIDECAR_FLUSH:
		if (entry->unit > scene->flushed)
			scene->flushed = entry->unit;
		return;
	}
}

static void submit(struct scene *scene, struct scene_request *entry,
		   uint32_t block, uint32_t count)
{
	size_t half = (size_t)count * SIDECAR_BLOCK_BYTES / 2;

	entry->scene = scene;
	entry->busy = true;
	/* In two parts that are no blocks. */
	entry->iov[0] = (struct iovec){entry->bytes, half + 512};
	entry->iov[1] = (struct iovec){entry->bytes + half + 512, half - 512};
	entry->request.offset = (uint64_t)block * SIDECAR_BLOCK_BYTES;
	entry->request.length = (uint64_t)count * SIDECAR_BLOCK_BYTES;
	entry->request.iov = entry->iov;
	entry->request.iov_count = count > 0 ? 2 : 0;
	entry->request.done = on_done;
	entry->request.owner = entry;
	sidecar_store_submit(scene->store, &entry->request);
}

/* What a request that closes a unit does to the state after it. */
static struct scene_state *next_state(struct scene *scene)
{
	assert_true(scene->units + 1 < SCENE_UNITS);
	return &scene->states[scene->units + 1];
}

static void close_unit(struct scene *scene)
{
	scene->units++;
	scene->states[scene->units + 1] = scene->states[scene->units];
}

void scene_write(struct scene *scene, uint32_t block, uint32_t count, bool more)
{
	struct scene_request *entry = free_request(scene);
	struct scene_state *state = next_state(scene);

	for (uint32_t i = 0; i < count; i++) {
		uint64_t stamp = ++scene->stamp << 8 | (block + i + 1);

		state->stamps[block + i] = stamp;
		for (uint32_t j = 0; j < WORDS; j++)
			memcpy(entry->bytes + i * SIDECAR_BLOCK_BYTES + j * 8,
			       &stamp, sizeof(stamp));
	}
	entry->request = (struct sidecar_request){
		.kind = SIDECAR_WRITE,
		.more = more,
	};
	entry->unit = more ? SCENE_NO_UNIT : scene->units + 1;
	if (!more)
		close_unit(scene);
	submit(scene, entry, block, count);
}

void scene_resize(struct scene *scene, uint32_t blocks)
{
	struct scene_request *entry = free_request(scene);
	struct scene_state *state = next_state(scene);

	for (uint32_t i = blocks; i < SCENE_BLOCKS; i++)
		state->stamps[i] = 0;
	state->blocks = blocks;
	entry->request = (struct sidecar_request){.kind = SIDECAR_RESIZE};
	entry->unit = scene->units + 1;
	close_unit(scene);
	entry->scene = scene;
	entry->busy = true;
	entry->request.length = (uint64_t)blocks * SIDECAR_BLOCK_BYTES;
	entry->request.done = on_done;
	entry->request.owner = entry;
	sidecar_store_submit(scene->store, &entry->request);
}

void scene_flush(struct scene *scene)
{
	struct scene_request *entry = free_request(scene);

	entry->request = (struct sidecar_request){.kind = SIDECAR_FLUSH};
	entry->unit = scene->completed;
	submit(scene, entry, 0, 0);
}

void scene_read(struct scene *scene, uint32_t block, uint32_t count)
{
	struct scene_request *entry = free_request(scene);

	entry->request = (struct sidecar_request){.kind = SIDECAR_READ};
	entry->unit = scene->completed;
	submit(scene, entry, block, count);
}

/* Crashes. */

static void read_all(struct scene *scene, uint32_t blocks)
{
	struct scene_request *entry = &scene->requests[0];

	assert_false(entry->busy);
	entry->request = (struct sidecar_request){.kind = SIDECAR_READ};
	entry->scene = scene;
	entry->iov[0] = (struct iovec){entry->bytes,
				       (size_t)blocks * SIDECAR_BLOCK_BYTES};
	entry->request.length = entry->iov[0].iov_len;
	entry->request.iov = entry->iov;
	entry->request.iov_count = 1;
	entry->request.done = on_done;
	entry->request.owner = entry;
	entry->unit = 0;
	entry->busy = true;
}

static void ignore(struct sidecar_request *request, int result)
{
	struct scene_request *entry = request->owner;

	assert_int_equal(result, 0);
	entry->busy = false;
}

void scene_look(struct scene *scene, struct scene_state *ret_state)
{
	struct sidecar_store_figures figures;
	struct scene_request *entry = &scene->requests[0];

	sidecar_store_figures(scene->store, &figures);
	*ret_state = (struct scene_state){
		.blocks =
			(uint32_t)(figures.length_bytes / SIDECAR_BLOCK_BYTES),
	};
	assert_true(ret_state->blocks <= SCENE_BLOCKS);
	if (ret_state->blocks == 0)
		return;
	read_all(scene, (uint32_t)ret_state->blocks);
	entry->request.done = ignore;
	sidecar_store_submit(scene->store, &entry->request);
	scene_settle(scene);
	for (uint32_t i = 0; i < ret_state->blocks; i++)
		ret_state->stamps[i] =
			stamp_of(entry->bytes + i * SIDECAR_BLOCK_BYTES);
}

/* What was under way may have arrived, in part. */
static void let_arrive(const struct scene *scene, struct scene *after)
{
	for (uint32_t i = 0; i < scene->io_count; i++) {
		const struct sidecar_io *io = scene->ios[i];

		if (io->kind == SIDECAR_IO_WRITE &&
		    random_percent(&after->random, 50))
			medium_write_torn(&after->medium, &after->random,
					  io->offset, io->iov, io->iov_count);
		if (io->kind == SIDECAR_IO_RESIZE &&
		    random_percent(&after->random, 50))
			set_size(after, io->offset);
	}
}

static uint32_t find_unit(const struct scene *scene,
			  const struct scene_state *found)
{
	for (uint32_t unit = scene->flushed; unit <= scene->units; unit++)
		if (memcmp(&scene->states[unit], found, sizeof(*found)) == 0)
			return unit;
	fail_msg("no unit from %u to %u left this", scene->flushed,
		 scene->units);
	return SCENE_NO_UNIT;
}

static bool open_or_fail(struct scene *after)
{
	if (scene_open(after, true) == 0)
		return true;
	medium_power_failure(&after->medium,
			     medium_fate_draw(&after->medium, &after->random),
			     &after->random);
	return false;
}

/*
 * Opens again and again, and the power fails in it. @killed: it had not failed
 * before, so the first time may lose what was not durable yet.
 */
static uint32_t recover(struct scene *scene, struct scene *after, bool killed)
{
	struct scene_state found;
	uint32_t calls = (uint32_t)random_below(&after->random, 40);
	uint32_t tries =
		scene->once ? 0 : (uint32_t)random_below(&after->random, 3);
	bool seen = false;
	uint32_t unit = SCENE_NO_UNIT;

	for (uint32_t i = 0; i <= tries; i++) {
		after->calls_left = i < tries ? calls : UINT32_MAX;
		/* A look changes nothing, and finds what the open will. */
		if (random_percent(&after->random, 30)) {
			assert_int_equal(scene_open(after, false), 0);
			scene_look(after, &found);
			scene_close(after);
			assert_true(!seen || unit == find_unit(scene, &found));
			unit = find_unit(scene, &found);
			seen = true;
		}
		if (!open_or_fail(after)) {
			seen = seen && !killed;
			killed = false;
			continue;
		}
		scene_look(after, &found);
		assert_true(!seen || unit == find_unit(scene, &found));
		unit = find_unit(scene, &found);
		seen = true;
		if (i < tries)
			scene_close(after);
	}
	after->calls_left = UINT32_MAX;
	return unit;
}

uint32_t scene_crash_as(struct scene *scene, struct medium_fate fate,
			struct scene *ret_after)
{
	struct scene *after = ret_after;

	scene_close(after);
	after->io_count = 0;
	after->random.state = random_next(&scene->random);
	medium_copy(&after->medium, &scene->medium);
	let_arrive(scene, after);
	if (!scene->once && random_percent(&after->random, 20))
		return recover(scene, after, true);
	medium_power_failure(&after->medium, fate, &after->random);
	return recover(scene, after, false);
}

void scene_inherit(const struct scene *scene, uint32_t unit,
		   struct scene *after)
{
	after->states[0] = scene->states[unit];
	after->states[1] = after->states[0];
	after->units = 0;
	after->completed = 0;
	after->flushed = 0;
	after->stamp = scene->stamp;
	medium_own(&after->medium);
}

uint32_t scene_crash(struct scene *scene, struct scene *ret_after)
{
	return scene_crash_as(scene,
			      medium_fate_draw(&scene->medium, &scene->random),
			      ret_after);
}
