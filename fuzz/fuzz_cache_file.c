/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_cache_file.c - an engine opens a cache file that somebody changed, as
 * cache_file_lives.h says.
 *
 * Whatever it is: recovery ends, running or with words; then every request
 * ends, and nothing is read or written outside of the file and the disk.
 */
#include <assert.h>

#include "cache_file_lives.h"

#define MAY_FORMAT 0x40u

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void use(void)
{
	struct engine_stats stats;

	for (uint32_t block = 0; block < DISK_BLOCKS; block++)
		lives_submit(ENGINE_READ, block * LOG_SECTORS_PER_BLOCK,
			     LOG_SECTORS_PER_BLOCK);
	for (uint32_t i = 0; i < 12; i++)
		lives_submit(ENGINE_WRITE, i * 27 % 300, 1 + i * 3);
	lives_submit(ENGINE_DISCARD, 3, 200);
	lives_submit(ENGINE_FLUSH, 0, 0);
	engine_set_draining(host.engine, true);
	lives_submit(ENGINE_READ, 0, DISK_BYTES / LOG_SECTOR_BYTES);
	engine_stats(host.engine, &stats);
	assert(stats.cached_bytes <= FILE_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	if (count == 0)
		return 0;
	lives_file(bytes, count);
	lives_open(bytes[0] & MAY_FORMAT);
	assert(engine_state(host.engine) != ENGINE_STARTING);
	if (engine_state(host.engine) == ENGINE_FAILED)
		assert(engine_failure(host.engine)->message[0] != '\0');
	else
		use();
	return 0;
}
