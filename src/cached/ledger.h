/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger.h - which disks are open, what they may have of their directories, and
 * who waits for room.
 *
 * Nothing here is stored. What a cache file takes is what is allocated of it,
 * and is asked of the file system each time; that a disk is open, with which
 * reservation, says the disk itself, with its OPEN or, to a process that was
 * started again, with its next USE. Until then a file is left alone if somebody
 * has its lock.
 *
 * Once a second, and with each OPEN, the rule (share.h) decides for one
 * directory after the other, and those whose grant has changed are told.
 */
#ifndef FOREBAY_CACHED_LEDGER_H
#define FOREBAY_CACHED_LEDGER_H

#include <jansson.h>

#include "error.h"
#include "list.h"
#include "loop.h"
#include "pool.h"
#include "pool_protocol.h"

struct cached;
struct client;

struct ledger {
	struct list disks;
	struct loop_timer turn;
	uint64_t turned_ns; /* when the last one was; 0: never */
};

void ledger_init(struct cached *cached);
/* Order: all clients have left. */
void ledger_clear(struct cached *cached);

struct ledger_place {
	const struct pool_directory *directory;
	uint64_t file_bytes; /* at least */
	uint64_t granted_bytes;
	bool make; /* there is no file yet */
};

/*
 * Finds room for a disk that opens; it counts as open from now on, until its
 * client leaves. Returns: 0, or a negative errno with words: -ENOSPC when its
 * reservation doesn't fit, or when there is no room yet; then it waits.
 */
int ledger_open(struct cached *cached, struct client *client,
		const struct pool_open *open, struct ledger_place *ret_place,
		struct error *error);
void ledger_use(struct cached *cached, struct client *client,
		const struct pool_use *use);
/* Nothing in the disk's file is needed any more. */
void ledger_bye(struct cached *cached, struct client *client);
void ledger_leave(struct cached *cached, const struct client *client);
/*
 * What the disks of a directory have: [{uuid, state, reserved_bytes,
 * granted_bytes, used_bytes, limit_bytes}, ...]. Returns: a new reference.
 */
json_t *ledger_json(struct cached *cached,
		    const struct pool_directory *directory);

#endif
