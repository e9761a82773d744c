// SPDX-License-Identifier: Apache-2.0
/*
 * crash.c - the handlers; on a stack of their own, because one that is full is
 * a reason to be here.
 *
 * When the handler has returned, the instruction faults again and nothing
 * catches it. A signal that somebody sent is sent again.
 */
#include "crash.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

static void (*teller)(const struct crash *crash);
static atomic_flag told = ATOMIC_FLAG_INIT;

/* A crash of the teller, or of another thread meanwhile, has no words. */
static void tell_once(const struct crash *crash)
{
	if (teller && !atomic_flag_test_and_set(&told))
		teller(crash);
}

void crash_tell(int signal, const char *name)
{
	const struct crash crash = {.signal = signal, .name = name};

	tell_once(&crash);
}

/* Enough for a line of text and what the kernel saves of a large CPU. */
#define STACK_BYTES (64u * 1024)

/* A sanitizer has handlers and a stack of its own for all but the last. */
static const struct {
	int signal;
	const char *name;
} signals[] = {
#ifndef SANITIZED
	{SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"},
	{SIGILL, "SIGILL"},   {SIGFPE, "SIGFPE"},
#endif
	{SIGABRT, "SIGABRT"},
};

#define SIGNALS (sizeof(signals) / sizeof(signals[0]))

static void on_crash(int number, siginfo_t *info, void *context)
{
	int saved_errno = errno;
	struct crash crash = {.signal = number, .name = "?"};
	bool sent = info->si_code <= 0;

	(void)context;
	for (size_t i = 0; i < SIGNALS; i++)
		if (signals[i].signal == number)
			crash.name = signals[i].name;
	crash.has_address = !sent && (number == SIGSEGV || number == SIGBUS);
	if (crash.has_address)
		crash.address = (uintptr_t)info->si_addr;
	tell_once(&crash);
	signal(number, SIG_DFL);
	if (sent)
		raise(number);
	errno = saved_errno;
}

#ifdef SANITIZED

void __sanitizer_set_death_callback(void (*callback)(void));

static void on_death(void)
{
	const struct crash crash = {.name = "sanitizer"};

	tell_once(&crash);
}

static int prepare(void)
{
	__sanitizer_set_death_callback(on_death);
	return 0;
}

#else

static unsigned char stack[STACK_BYTES];

static int prepare(void)
{
	const stack_t own = {.ss_sp = stack, .ss_size = sizeof(stack)};

	return sigaltstack(&own, NULL) < 0 ? -errno : 0;
}

#endif

int crash_watch(void (*tell)(const struct crash *crash))
{
	struct sigaction action = {
		.sa_sigaction = on_crash,
		.sa_flags = SA_SIGINFO | SA_ONSTACK,
	};
	int status = prepare();

	if (status < 0)
		return status;
	teller = tell;
	for (size_t i = 0; i < SIGNALS; i++)
		if (sigaction(signals[i].signal, &action, NULL) < 0)
			return -errno;
	return 0;
}
