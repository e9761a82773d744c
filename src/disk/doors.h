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
 * Filters that will be opened again are loaded for good; the backend has been
 * kept. Returns: 0 or @error's code.
 */
int doors_close(const struct config *config, struct sandbox *ret_sandbox,
		struct error *error);
/* What is in force, by name. */
json_t *doors_describe(const struct sandbox *sandbox);

#endif
