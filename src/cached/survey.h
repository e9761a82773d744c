/* SPDX-License-Identifier: Apache-2.0 */
/*
 * survey.h - one directory's cache files and open disks as the rule wants them.
 *
 * A picture of one moment: it is made, decided on, and thrown away.
 */
#ifndef FOREBAY_CACHED_SURVEY_H
#define FOREBAY_CACHED_SURVEY_H

#include "error.h"
#include "list.h"
#include "pool.h"
#include "share.h"
#include "uuid_text.h"

struct client;

/* A disk that has told us of itself. Units: granules. */
struct ledger_disk {
	struct list node;
	struct client *owner;
	uint8_t uuid[UUID_BYTES];
	bool open; /* else it waits for room */
	char directory[POOL_PATH_BYTES];
	uint64_t reserved;
	uint64_t limit;
	uint64_t granted;
	uint64_t used;
	double use; /* bytes, and it fades */
	uint64_t granted_told;
	uint64_t reserved_told;
};

struct survey_file {
	uint8_t uuid[UUID_BYTES];
	struct ledger_disk *disk; /* NULL: it isn't open */
};

struct survey {
	struct share_disk *shares;
	struct survey_file *files; /* the same ones */
	size_t count;
	size_t capacity;
	uint64_t room; /* for all of them, in granules */
	uint64_t free_bytes; /* of the file system */
};

/*
 * @disks: of struct ledger_disk. Returns: 0, or a negative errno with words and
 * nothing to release.
 */
int survey_make(const struct pool_directory *directory,
		const struct list *disks, struct survey *ret_survey,
		struct error *error);
/* Which closed disks' files are needed: takes a look at each. */
void survey_look(const struct pool_directory *directory, struct survey *survey);
void survey_release(struct survey *survey);

#endif
