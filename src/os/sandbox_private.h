/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox_private.h - the layers of the sandbox, each in a file of its own. */
#ifndef FOREBAY_OS_SANDBOX_PRIVATE_H
#define FOREBAY_OS_SANDBOX_PRIVATE_H

#include "sandbox.h"

/*
 * Sanitizers look into their own process from a child and open files when they
 * report: in such a build the layers that forbid it are left out.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
	__has_feature(memory_sanitizer)
#define SANDBOX_SANITIZED 1
#endif
#endif
#ifndef SANDBOX_SANITIZED
#define SANDBOX_SANITIZED 0
#endif

/* The bounding set, as far as it may be changed: that takes a capability. */
void sandbox_shrink_bounds(void);
/* Each returns 0 or a negative errno; then nothing of it is in force. */
int sandbox_change_user(const struct sandbox_spec *spec);
int sandbox_drop_capabilities(void);
int sandbox_limit_files(const struct sandbox_spec *spec);
int sandbox_limit_system_calls(enum sandbox_purpose purpose);
int sandbox_limit_memory(uint64_t bytes_max);

#endif
