/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doors.h - what the disk's process gives up before it meets strangers.
 *
 * Until then it has read its configuration, opened its backend and its filters
 * and made its sockets, all with what its starter's user may do; it has not yet
 * accepted anybody. Afterwards it can't go back: see sandbox.h.
 */
#ifndef FOREBAY_DISK_DOORS_H
#define FOREBAY_DISK_DOORS_H

#include <jansson.h>

#include "config.h"
#include "error.h"
#include "sandbox.h"

/* Gives an export's socket to whom it belongs. Returns: 0 or @error's code. */
int doors_share_socket(const struct config *config, const char *path,
		       struct error *error);
/*
 * Private memory that the process may take from then on: what buffers of NBD
 * connections, answers and a filter's own needs come to, several times over.
 */
#define DOORS_MEMORY_BYTES_MAX (UINT64_C(1) << 30)

/*
 * @limit_memory: all that is large has been taken. Filters that will be opened
 * again are loaded for good; the backend has been kept. Returns: 0 or @error's
 * code.
 */
int doors_close(const struct config *config, bool limit_memory,
		struct sandbox *ret_sandbox, struct error *error);
/* What is in force, by name. */
json_t *doors_describe(const struct sandbox *sandbox);

#endif
