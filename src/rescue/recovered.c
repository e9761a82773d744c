// SPDX-License-Identifier: Apache-2.0
/*
 * recovered.c - see recovered.h. Hosts an engine with one read at a time.
 */
#include "recovered.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "log_format.h"

/* The smallest file that an engine takes. */
static uint64_t smallest_file(uint32_t segment_blocks)
{
	return ((uint64_t)log_first_segment_block(segment_blocks) +
		(uint64_t)ENGINE_SEGMENTS_MIN * segment_blocks) *
	       LOG_BLOCK_BYTES;
}

static struct engine_config config_for(const struct source *source,
				       enum engine_inspection how)
{
	struct engine_config config = source->config;
	uint64_t smallest = smallest_file(config.segment_blocks);

	config.inspection = how;
	if (how != ENGINE_SALVAGE)
		return config;
	/* Only what is there; where its segments are doesn't depend on it. */
	if (config.file_bytes > source->bytes)
		config.file_bytes = source->bytes;
	if (config.file_bytes < smallest)
		config.file_bytes = smallest;
	return config;
}

/* What can't be read is zeros, as its check values will tell. */
static void read_by_block(const struct source *source, const struct iovec *iov,
			  uint64_t offset)
{
	uint8_t *bytes = iov->iov_base;

	for (size_t at = 0; at < iov->iov_len; at += LOG_BLOCK_BYTES) {
		if (source_read(source, bytes + at, LOG_BLOCK_BYTES,
				offset + at) == 0)
			continue;
		memset(bytes + at, 0, LOG_BLOCK_BYTES);
	}
}

static int run_read(const struct recovered *recovered,
		    const struct engine_io *io)
{
	uint64_t offset = io->offset;

	for (uint32_t i = 0; i < io->iov_count; i++) {
		const struct iovec *iov = &io->iov[i];
		int status = source_read(recovered->source, iov->iov_base,
					 iov->iov_len, offset);

		if (status < 0 && !recovered->salvaged)
			return status;
		if (status < 0)
			read_by_block(recovered->source, iov, offset);
		offset += iov->iov_len;
	}
	return 0;
}

static void run_ios(const struct recovered *recovered)
{
	struct engine_io *io;

	while ((io = engine_next_io(recovered->engine))) {
		assert(io->type == ENGINE_SSD_READ);
		engine_io_done(recovered->engine, io, run_read(recovered, io));
	}
}

static void run(const struct recovered *recovered)
{
	engine_start(recovered->engine);
	while (engine_state(recovered->engine) == ENGINE_STARTING) {
		engine_poll(recovered->engine, 0);
		run_ios(recovered);
	}
}

static int look(struct recovered *recovered, struct error *error)
{
	const struct error *failure;

	run(recovered);
	if (engine_state(recovered->engine) == ENGINE_INSPECTED) {
		inspect_log(recovered->engine, &recovered->log);
		return 0;
	}
	failure = engine_failure(recovered->engine);
	return error_set(error, failure->code, "%s", failure->message);
}

/* Both of its memories lie in one mapping. */
static int create(struct recovered *recovered,
		  const struct engine_config *config, struct error *error)
{
	uint8_t *own = recovered->memory;
	struct engine_memory memory = {
		.own = own,
		.kept = own + engine_memory_bytes(config),
	};

	return engine_create(config, &memory, &recovered->engine, error);
}

int recovered_make(const struct source *source, enum engine_inspection how,
		   struct recovered *ret_recovered, struct error *error)
{
	struct engine_config config = config_for(source, how);
	struct recovered recovered = {
		.source = source,
		.memory_bytes = engine_memory_bytes(&config) +
				engine_kept_bytes(&config),
		.salvaged = how == ENGINE_SALVAGE,
		.disk_bytes = source->superblock ? config.disk_bytes : 0,
	};
	int status;

	if (source->trouble[0] && how != ENGINE_SALVAGE)
		return error_set(error, -EUCLEAN, "%s", source->trouble);
	recovered.memory =
		mmap(NULL, recovered.memory_bytes, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (recovered.memory == MAP_FAILED)
		return error_set(error, -ENOMEM,
				 "no memory for an index of %llu bytes",
				 (unsigned long long)recovered.memory_bytes);
	status = create(&recovered, &config, error);
	if (status == 0)
		status = look(&recovered, error);
	if (status < 0) {
		recovered_release(&recovered);
		return status;
	}
	*ret_recovered = recovered;
	return 0;
}

void recovered_release(struct recovered *recovered)
{
	if (recovered->memory)
		munmap(recovered->memory, recovered->memory_bytes);
	recovered->memory = NULL;
}
