// SPDX-License-Identifier: Apache-2.0
/*
 * test_memory_fault.c - memory that is taken away becomes zeros where it is
 * watched, and a crash where it is not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memory_fault.h"

#define PAGE_BYTES 4096u
#define BYTES (4 * PAGE_BYTES)

struct memory {
	int fd;
	volatile uint8_t *map;
	volatile sig_atomic_t lost;
};

static void memory_make(struct memory *memory)
{
	void *map;

	memory->fd = memfd_create("memory", MFD_CLOEXEC);
	assert_true(memory->fd >= 0);
	assert_int_equal(ftruncate(memory->fd, BYTES), 0);
	map = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory->fd,
		   0);
	assert_true(map != MAP_FAILED);
	memset(map, 'x', BYTES);
	memory->map = map;
	memory->lost = 0;
}

static void memory_release(struct memory *memory)
{
	memory_fault_forget((const void *)memory->map);
	munmap((void *)memory->map, BYTES);
	close(memory->fd);
}

static void a_watched_range_becomes_zeros_from_end_to_end(void **state)
{
	struct memory memory;

	(void)state;
	memory_make(&memory);
	assert_int_equal(
		memory_fault_watch((void *)memory.map, BYTES, &memory.lost), 0);
	assert_int_equal(ftruncate(memory.fd, PAGE_BYTES), 0);
	assert_int_equal(memory.map[0], 'x');
	assert_int_equal(memory.lost, 0);
	assert_int_equal(memory.map[3 * PAGE_BYTES], 0);
	assert_int_equal(memory.lost, 1);
	assert_int_equal(memory.map[0], 0);
	/* It can be written, too, and goes nowhere. */
	memory.map[BYTES - 1] = 'y';
	assert_int_equal(memory.map[BYTES - 1], 'y');
	memory_release(&memory);
}

static void another_range_stays_what_it_is(void **state)
{
	struct memory taken, other;

	(void)state;
	memory_make(&taken);
	memory_make(&other);
	assert_int_equal(
		memory_fault_watch((void *)taken.map, BYTES, &taken.lost), 0);
	assert_int_equal(
		memory_fault_watch((void *)other.map, BYTES, &other.lost), 0);
	assert_int_equal(ftruncate(taken.fd, 0), 0);
	taken.map[0] = 'z';
	assert_int_equal(taken.lost, 1);
	assert_int_equal(other.lost, 0);
	assert_int_equal(other.map[0], 'x');
	memory_release(&taken);
	memory_release(&other);
}

/* In a child that dies of it. Returns: the signal, or 0. */
static int signal_of_access(struct memory *memory)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		const struct rlimit none = {0, 0};

		setrlimit(RLIMIT_CORE, &none);
		/* A test program's own handlers aren't what is tested. */
		signal(SIGALRM, SIG_DFL);
		alarm(20);
		memory->map[0] = 'z';
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void a_fault_elsewhere_ends_the_process_by_its_signal(void **state)
{
	struct memory watched, other;

	(void)state;
	/* The test program's own handler isn't what is tested. */
	signal(SIGBUS, SIG_DFL);
	memory_make(&watched);
	memory_make(&other);
	assert_int_equal(
		memory_fault_watch((void *)watched.map, BYTES, &watched.lost),
		0);
	assert_int_equal(ftruncate(watched.fd, 0), 0);
	assert_int_equal(ftruncate(other.fd, 0), 0);
	assert_int_equal(signal_of_access(&watched), 0);
	assert_int_equal(signal_of_access(&other), SIGBUS);
	memory_fault_forget((const void *)watched.map);
	assert_int_equal(signal_of_access(&watched), SIGBUS);
	memory_release(&watched);
	memory_release(&other);
}

static void more_ranges_than_there_is_room_for_are_refused(void **state)
{
	static char places[MEMORY_FAULT_RANGES_MAX];
	volatile sig_atomic_t lost = 0;

	(void)state;
	for (unsigned int i = 0; i < MEMORY_FAULT_RANGES_MAX; i++)
		assert_int_equal(memory_fault_watch(&places[i], 1, &lost), 0);
	assert_int_equal(memory_fault_watch(&places[0], 1, &lost), -ENOSPC);
	for (unsigned int i = 0; i < MEMORY_FAULT_RANGES_MAX; i++)
		memory_fault_forget(&places[i]);
	assert_int_equal(memory_fault_watch(&places[0], 1, &lost), 0);
	memory_fault_forget(&places[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_watched_range_becomes_zeros_from_end_to_end),
		cmocka_unit_test(another_range_stays_what_it_is),
		cmocka_unit_test(
			a_fault_elsewhere_ends_the_process_by_its_signal),
		cmocka_unit_test(
			more_ranges_than_there_is_room_for_are_refused),
	};

	return cmocka_run_group_tests_name("memory_fault", tests, NULL, NULL);
}
