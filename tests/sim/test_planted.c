// SPDX-License-Identifier: Apache-2.0
/*
 * test_planted.c - bugs that are asked for exist where they are built in, and
 * in no other library. Built twice: PLANTED says with which.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core.h"

static void *blank(size_t bytes)
{
	size_t room = (bytes + LOG_BLOCK_BYTES - 1) / LOG_BLOCK_BYTES *
		      LOG_BLOCK_BYTES;
	void *memory = aligned_alloc(LOG_BLOCK_BYTES, room);

	assert_non_null(memory);
	memset(memory, 0, room);
	return memory;
}

static void a_planted_bug_is_there_only_where_it_is_built_in(void **state)
{
	struct engine_config config = {
		.disk_bytes = 16 * LOG_BLOCK_BYTES,
		.file_bytes = 128 * LOG_BLOCK_BYTES,
		.epoch = 1,
		.mode = ENGINE_WRITE_BACK,
		.segment_blocks = LOG_SEGMENT_BLOCKS_MIN,
		.records_in_flight_max = 1,
		.dirty_limit_percent = 70,
	};

	(void)state;
	for (uint32_t bug = 1; bug < ENGINE_BUG_LAST; bug++) {
		struct engine *engine;
		struct engine_memory memory = {
			.own = blank(engine_memory_bytes(&config)),
			.kept = blank(engine_kept_bytes(&config)),
		};

		config.planted_bug = bug;
		assert_int_equal(engine_create(&config, &memory, &engine, NULL),
				 0);
		assert_int_equal(
			engine_bug(engine, (enum engine_planted_bug)bug),
			PLANTED);
		free(memory.own);
		free(memory.kept);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_planted_bug_is_there_only_where_it_is_built_in),
	};

	return cmocka_run_group_tests_name("planted", tests, NULL, NULL);
}
