// SPDX-License-Identifier: Apache-2.0
/*
 * memory.c - see memory.h.
 */
#include "memory.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE_BYTES 4096u

static struct memory *regions;

static void protect(uint8_t *at, size_t bytes, int protection)
{
	int status = mprotect(at, bytes, protection);

	assert(status == 0);
	(void)status;
}

/* The first write to a page; any other fault ends the program as ever. */
static void page_written(int number, siginfo_t *info, void *context)
{
	const uint8_t *at = info->si_addr;

	(void)context;
	for (struct memory *memory = regions; memory; memory = memory->next) {
		size_t page;

		if (at < memory->base || at >= memory->base + memory->bytes)
			continue;
		page = (size_t)(at - memory->base) / PAGE_BYTES;
		memory->changed[memory->changed_count++] = (uint32_t)page;
		protect(memory->base + page * PAGE_BYTES, PAGE_BYTES,
			PROT_READ | PROT_WRITE);
		return;
	}
	signal(number, SIG_DFL);
}

static void watch(void)
{
	struct sigaction action = {
		.sa_sigaction = page_written,
		.sa_flags = SA_SIGINFO,
	};

	sigaction(SIGSEGV, &action, NULL);
}

void memory_init(struct memory *memory, size_t bytes)
{
	bytes = (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
	*memory = (struct memory){
		.base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		.bytes = bytes,
		.kept = malloc(bytes),
		.changed = calloc(bytes / PAGE_BYTES, sizeof(uint32_t)),
		.next = regions,
	};
	assert(memory->base != MAP_FAILED && memory->kept && memory->changed);
	if (!regions)
		watch();
	regions = memory;
}

void memory_free(struct memory *memory)
{
	struct memory **link = &regions;

	if (!memory->base)
		return;
	while (*link != memory)
		link = &(*link)->next;
	*link = memory->next;
	munmap(memory->base, memory->bytes);
	free(memory->kept);
	free(memory->changed);
	*memory = (struct memory){0};
}

void memory_keep(struct memory *memory)
{
	memcpy(memory->kept, memory->base, memory->bytes);
	memory->changed_count = 0;
	protect(memory->base, memory->bytes, PROT_READ);
}

void memory_back(struct memory *memory)
{
	for (uint32_t i = 0; i < memory->changed_count; i++) {
		size_t at = (size_t)memory->changed[i] * PAGE_BYTES;

		memcpy(memory->base + at, memory->kept + at, PAGE_BYTES);
	}
}

void memory_clear(struct memory *memory)
{
	memory->changed_count = 0;
	protect(memory->base, memory->bytes, PROT_READ | PROT_WRITE);
	memset(memory->base, 0, memory->bytes);
}
