/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify.c - a random workload that knows what it must read back.
 *
 * Runs inside the guest, linked statically, as the only witness of what the
 * guest was promised. Each 512-byte sector that it writes is stamped with its
 * number, a generation and words derived from both; the generation of every
 * sector is kept in memory, so a read tells a lost, an old, a torn and a
 * misplaced write apart. Sectors never written must read as zeros.
 *
 * It is kept twice, in pages of their own: a witness whose memory went back in
 * time, as an emulator's faulty migration can make it, says so and accuses
 * nobody.
 *
 * Each thread owns every THREADS-th chunk of the region and nobody else writes
 * there: a thread's own order of requests is the only order there is. Requests
 * stay inside a chunk, are O_DIRECT, and are mostly but not always whole 4 KiB
 * blocks.
 *
 *   guest-verify PATH OFFSET LENGTH SECONDS SEED THREADS
 *
 * SIGINT ends it sooner, as if the seconds were over: all that was written is
 * read back then.
 *
 * Prints one line: "VERIFY ok KEY=VALUE...", "VERIFY failed ..." or "VERIFY
 * void ...". Exit status 0, 1 or 2.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SECTOR_BYTES UINT64_C(512)
#define SECTOR_WORDS (SECTOR_BYTES / sizeof(uint64_t))
#define CHUNK_SECTORS UINT64_C(128)
#define CHUNK_BYTES (CHUNK_SECTORS * SECTOR_BYTES)
#define BLOCK_SECTORS UINT64_C(8)
#define MAX_THREADS 16u
#define MAGIC 0x464f524542415931u /* "FOREBAY1" */

struct region {
	const char *path;
	uint64_t offset_bytes;
	uint64_t chunk_count;
	uint64_t seed;
	uint64_t end_ns;
	unsigned int thread_count;
	uint32_t *generations; /* of each sector; 0 = never written */
	uint32_t *complements; /* of these; 0 = never written */
};

struct worker {
	struct region *region;
	unsigned int index;
	int fd;
	uint64_t random;
	uint64_t *buffer; /* one chunk, aligned for O_DIRECT */
	uint64_t read_count, write_count, flush_count;
	uint64_t written_bytes;
	uint64_t longest_ns;
	char trouble[200]; /* empty = all held */
	bool is_void; /* the trouble is with our own memory */
};

static atomic_bool interrupted;

static void interrupt(int number)
{
	(void)number;
	atomic_store(&interrupted, true);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t mix(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static uint64_t below(struct worker *worker, uint64_t limit)
{
	return mix(&worker->random) % limit;
}

static void stamp(uint64_t *words, uint64_t seed, uint64_t sector,
		  uint32_t generation)
{
	uint64_t state = seed ^ (sector << 24) ^ generation;

	if (generation == 0) {
		memset(words, 0, SECTOR_BYTES);
		return;
	}
	words[0] = MAGIC;
	words[1] = sector;
	words[2] = generation;
	for (size_t i = 3; i < SECTOR_WORDS; i++)
		words[i] = mix(&state);
}

static void describe(struct worker *worker, uint64_t sector, uint32_t wanted,
		     const uint64_t *found)
{
	size_t zeros = 0;

	for (size_t i = 0; i < SECTOR_WORDS; i++)
		zeros += found[i] == 0;
	if (zeros == SECTOR_WORDS)
		snprintf(worker->trouble, sizeof(worker->trouble),
			 "sector %" PRIu64 ": zeros instead of generation %u",
			 sector, wanted);
	else if (found[0] != MAGIC)
		snprintf(worker->trouble, sizeof(worker->trouble),
			 "sector %" PRIu64 ": foreign bytes instead of "
			 "generation %u",
			 sector, wanted);
	else
		snprintf(worker->trouble, sizeof(worker->trouble),
			 "sector %" PRIu64 ": generation %" PRIu64
			 " of sector %" PRIu64 " instead of generation %u",
			 sector, found[2], found[1], wanted);
}

/* Once something is wrong: is it what we know of the sector? */
static bool knows(const struct region *region, uint64_t sector)
{
	uint32_t generation = region->generations[sector];

	return region->complements[sector] == (generation ? ~generation : 0);
}

static void describe_memory(struct worker *worker, uint64_t sector)
{
	const struct region *region = worker->region;

	worker->is_void = true;
	snprintf(worker->trouble, sizeof(worker->trouble),
		 "memory: sector %" PRIu64 " has generation %u here and %u "
		 "there",
		 sector, region->generations[sector],
		 ~region->complements[sector]);
}

static bool check(struct worker *worker, uint64_t first, uint64_t count)
{
	const struct region *region = worker->region;
	uint64_t wanted[SECTOR_WORDS];

	for (uint64_t i = 0; i < count; i++) {
		const uint64_t *found = worker->buffer + i * SECTOR_WORDS;
		uint32_t generation = region->generations[first + i];

		stamp(wanted, region->seed, first + i, generation);
		if (memcmp(found, wanted, SECTOR_BYTES) != 0) {
			if (knows(region, first + i))
				describe(worker, first + i, generation, found);
			else
				describe_memory(worker, first + i);
			return false;
		}
	}
	return true;
}

/* Turns an operation's result into a verdict and notes how long it took. */
static bool passed(struct worker *worker, const char *what, uint64_t start_ns,
		   ssize_t result, uint64_t wanted)
{
	uint64_t took_ns = now_ns() - start_ns;

	if (took_ns > worker->longest_ns)
		worker->longest_ns = took_ns;
	if (result >= 0 && (uint64_t)result == wanted)
		return true;
	snprintf(worker->trouble, sizeof(worker->trouble), "%s: %s", what,
		 result < 0 ? strerror(errno) : "short");
	return false;
}

static bool do_read(struct worker *worker, uint64_t first, uint64_t count)
{
	uint64_t length = count * SECTOR_BYTES;
	uint64_t offset = worker->region->offset_bytes + first * SECTOR_BYTES;
	uint64_t start_ns = now_ns();
	ssize_t got = pread(worker->fd, worker->buffer, length, (off_t)offset);

	worker->read_count++;
	return passed(worker, "read", start_ns, got, length) &&
	       check(worker, first, count);
}

static bool do_write(struct worker *worker, uint64_t first, uint64_t count)
{
	struct region *region = worker->region;
	uint64_t length = count * SECTOR_BYTES;
	uint64_t offset = region->offset_bytes + first * SECTOR_BYTES;
	uint64_t start_ns;
	ssize_t put;

	for (uint64_t i = 0; i < count; i++) {
		uint32_t generation = ++region->generations[first + i];

		region->complements[first + i] = ~generation;
		stamp(worker->buffer + i * SECTOR_WORDS, region->seed,
		      first + i, generation);
	}
	start_ns = now_ns();
	put = pwrite(worker->fd, worker->buffer, length, (off_t)offset);
	worker->write_count++;
	worker->written_bytes += length;
	return passed(worker, "write", start_ns, put, length);
}

static bool do_flush(struct worker *worker)
{
	uint64_t start_ns = now_ns();
	int result = fdatasync(worker->fd);

	worker->flush_count++;
	return passed(worker, "flush", start_ns, result, 0);
}

static bool step(struct worker *worker)
{
	const struct region *region = worker->region;
	uint64_t own = region->chunk_count / region->thread_count;
	uint64_t chunk = below(worker, own) * region->thread_count;
	uint64_t first = (chunk + worker->index) * CHUNK_SECTORS;
	uint64_t at = below(worker, CHUNK_SECTORS);
	uint64_t count = 1 + below(worker, 2 * BLOCK_SECTORS);
	uint64_t dice = below(worker, 100);

	if (below(worker, 10) < 7) {
		at -= at % BLOCK_SECTORS;
		count = BLOCK_SECTORS * (1 + below(worker, 8));
	}
	if (count > CHUNK_SECTORS - at)
		count = CHUNK_SECTORS - at;
	if (dice < 3)
		return do_flush(worker);
	if (dice < 50)
		return do_write(worker, first + at, count);
	return do_read(worker, first + at, count);
}

static void *work(void *opaque)
{
	struct worker *worker = opaque;
	const struct region *region = worker->region;
	uint64_t stride = region->thread_count;

	while (!atomic_load(&interrupted) && now_ns() < region->end_ns)
		if (!step(worker))
			return NULL;
	if (!do_flush(worker))
		return NULL;
	for (uint64_t i = worker->index; i < region->chunk_count; i += stride)
		if (!do_read(worker, i * CHUNK_SECTORS, CHUNK_SECTORS))
			return NULL;
	return NULL;
}

static bool worker_open(struct worker *worker, struct region *region,
			unsigned int index)
{
	void *buffer;

	*worker = (struct worker){.region = region, .index = index};
	worker->random = region->seed * 1000003u + index;
	worker->fd = open(region->path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (worker->fd < 0 || posix_memalign(&buffer, 4096, CHUNK_BYTES) != 0)
		return false;
	worker->buffer = buffer;
	return true;
}

/* Returns: the exit status, or -1 if all held. */
static int report_trouble(const struct worker *workers, unsigned int count)
{
	const struct worker *void_one = NULL;

	for (unsigned int i = 0; i < count; i++) {
		if (workers[i].is_void) {
			void_one = &workers[i];
		} else if (workers[i].trouble[0]) {
			printf("VERIFY failed %s\n", workers[i].trouble);
			return 1;
		}
	}
	if (!void_one)
		return -1;
	printf("VERIFY void %s\n", void_one->trouble);
	return 2;
}

/* Adds up the workers and prints the one line; returns the exit status. */
static int report(const struct worker *workers, unsigned int count,
		  uint64_t start_ns)
{
	struct worker sum = {0};
	int status = report_trouble(workers, count);

	if (status >= 0)
		return status;
	for (unsigned int i = 0; i < count; i++) {
		sum.read_count += workers[i].read_count;
		sum.write_count += workers[i].write_count;
		sum.flush_count += workers[i].flush_count;
		sum.written_bytes += workers[i].written_bytes;
		if (workers[i].longest_ns > sum.longest_ns)
			sum.longest_ns = workers[i].longest_ns;
	}
	printf("VERIFY ok reads=%" PRIu64 " writes=%" PRIu64 " flushes=%" PRIu64
	       " written_bytes=%" PRIu64 " longest_ms=%" PRIu64
	       " took_ms=%" PRIu64 "\n",
	       sum.read_count, sum.write_count, sum.flush_count,
	       sum.written_bytes, sum.longest_ns / 1000000u,
	       (now_ns() - start_ns) / 1000000u);
	return 0;
}

static int run(struct region *region)
{
	struct worker workers[MAX_THREADS];
	pthread_t threads[MAX_THREADS];
	uint64_t start_ns = now_ns();

	for (unsigned int i = 0; i < region->thread_count; i++)
		if (!worker_open(&workers[i], region, i)) {
			printf("VERIFY failed open %s: %s\n", region->path,
			       strerror(errno));
			return 1;
		}
	for (unsigned int i = 0; i < region->thread_count; i++)
		if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0)
			abort();
	for (unsigned int i = 0; i < region->thread_count; i++)
		pthread_join(threads[i], NULL);
	return report(workers, region->thread_count, start_ns);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	if (*text == '\0' || *end != '\0') {
		printf("VERIFY failed not a number: %s\n", text);
		exit(1);
	}
	return value;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = interrupt,
				   .sa_flags = SA_RESTART};
	struct region region;
	int status;

	sigaction(SIGINT, &action, NULL);
	if (argc != 7) {
		printf("VERIFY failed usage: guest-verify PATH OFFSET LENGTH "
		       "SECONDS SEED THREADS\n");
		return 1;
	}
	region = (struct region){.path = argv[1]};
	region.offset_bytes = number(argv[2]);
	region.chunk_count = number(argv[3]) / CHUNK_BYTES;
	region.end_ns = now_ns() + number(argv[4]) * 1000000000u;
	region.seed = number(argv[5]);
	region.thread_count = (unsigned int)number(argv[6]);
	if (region.thread_count == 0 || region.thread_count > MAX_THREADS ||
	    region.chunk_count < region.thread_count) {
		printf("VERIFY failed 1 to %u threads, a chunk of %" PRIu64
		       " bytes each\n",
		       MAX_THREADS, CHUNK_BYTES);
		return 1;
	}
	region.generations = calloc(region.chunk_count * CHUNK_SECTORS,
				    sizeof(*region.generations));
	region.complements = calloc(region.chunk_count * CHUNK_SECTORS,
				    sizeof(*region.complements));
	if (!region.generations || !region.complements)
		abort();
	status = run(&region);
	free(region.generations);
	free(region.complements);
	return status;
}
