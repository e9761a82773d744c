// SPDX-License-Identifier: Apache-2.0
/*
 * sandbox.c - the order of the layers.
 *
 * The user first, because that needs privileges; then the privileges; then
 * what needs none. Memory before files, because what there is of it is read
 * from one. The list of system calls is last: it forbids all the others.
 */
#include "sandbox.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "log.h"
#include "sandbox_private.h"

/* The kernel undoes the first at a change of user: hence after it. */
static bool forbid_dumps(void)
{
	const struct rlimit none = {0, 0};

	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 &&
	       setrlimit(RLIMIT_CORE, &none) == 0;
}

/* Returns: whether the layer is in force. */
static bool in_force(const char *layer, int status)
{
	if (status < 0)
		log_warning("sandbox: no %s here: %s", layer,
			    strerror(-status));
	return status == 0;
}

int sandbox_enter(const struct sandbox_spec *spec, struct sandbox *ret_sandbox,
		  struct error *error)
{
	struct sandbox sandbox = {.entered = true};
	int status = 0;

	sandbox_shrink_bounds();
	if (spec->change_user)
		status = sandbox_change_user(spec);
	if (status < 0)
		return error_set(error, status,
				 "can't become user %u, group %u: %s",
				 (unsigned int)spec->uid,
				 (unsigned int)spec->gid, strerror(-status));
	sandbox.own_user = spec->change_user;
	sandbox.no_capabilities =
		in_force("end of capabilities", sandbox_drop_capabilities());
	sandbox.no_new_privileges = in_force(
		"end of new privileges",
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : -errno);
	sandbox.no_dump = in_force("end of dumps", forbid_dumps() ? 0 : -errno);
	if (spec->memory_bytes_max > 0)
		sandbox.memory_limit =
			in_force("limit of memory",
				 sandbox_limit_memory(spec->memory_bytes_max));
	sandbox.files = in_force("Landlock", sandbox_limit_files(spec));
	sandbox.system_calls =
		in_force("list of system calls",
			 sandbox_limit_system_calls(spec->purpose));
	*ret_sandbox = sandbox;
	return 0;
}
