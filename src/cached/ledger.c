// SPDX-License-Identifier: Apache-2.0
/* ledger.c - see ledger.h. */
#include "ledger.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache_file.h"
#include "cached.h"
#include "client.h"
#include "clock.h"
#include "log.h"
#include "quantity.h"
#include "roster.h"
#include "survey.h"

#define TURN_NS (1 * NS_PER_SECOND)
/* Use of so long ago counts no more. */
#define USE_MEMORY_NS (90 * NS_PER_SECOND)
/* After caches were deleted there is more to give. */
#define DECISIONS_MAX 3u
#define SIZE_TEXT_BYTES 32u

static uint64_t bytes_of(uint64_t granules)
{
	return granules * POOL_GRANULE_BYTES;
}

static uint64_t granules_up(uint64_t bytes)
{
	return (bytes + POOL_GRANULE_BYTES - 1) / POOL_GRANULE_BYTES;
}

static struct ledger_disk *find(struct cached *cached,
				const uint8_t uuid[UUID_BYTES])
{
	list_for_each (node, &cached->ledger.disks) {
		struct ledger_disk *disk =
			list_entry(node, struct ledger_disk, node);

		if (memcmp(disk->uuid, uuid, UUID_BYTES) == 0)
			return disk;
	}
	return NULL;
}

static void disk_remove(struct cached *cached, struct ledger_disk *disk)
{
	if (!disk)
		return;
	list_remove(&disk->node);
	free(disk);
	if (list_is_empty(&cached->ledger.disks))
		loop_timer_cancel(cached->loop, &cached->ledger.turn);
}

/* The newest connection of a disk speaks for it. */
static struct ledger_disk *disk_add(struct cached *cached,
				    struct client *client)
{
	const uint8_t *uuid = client_uuid(client);
	struct ledger_disk *disk = calloc(1, sizeof(*disk));

	if (!disk)
		return NULL;
	disk_remove(cached, find(cached, uuid));
	memcpy(disk->uuid, uuid, UUID_BYTES);
	disk->owner = client;
	if (list_is_empty(&cached->ledger.disks))
		loop_timer_arm(cached->loop, &cached->ledger.turn, TURN_NS);
	list_append(&cached->ledger.disks, &disk->node);
	return disk;
}

/* -- a turn ------------------------------------------------------------- */

static void tell(struct ledger_disk *disk)
{
	struct pool_may may = {
		.type = POOL_MAY,
		.granted_bytes = bytes_of(disk->granted),
		.reserved_bytes = bytes_of(disk->reserved),
	};

	if (disk->granted == disk->granted_told &&
	    disk->reserved == disk->reserved_told)
		return;
	disk->granted_told = disk->granted;
	disk->reserved_told = disk->reserved;
	client_answer(disk->owner, &may, sizeof(may));
}

/* One that waits is told to ask again when there is room. */
static void call(struct ledger_disk *disk, uint64_t free)
{
	uint64_t base = share_base(disk->reserved, disk->limit);
	struct pool_may may = {
		.type = POOL_MAY,
		.granted_bytes = bytes_of(base),
	};

	if (free >= base)
		client_answer(disk->owner, &may, sizeof(may));
}

static bool evict(struct cached *cached, const struct pool_directory *directory,
		  const struct survey *survey)
{
	bool any = false;

	for (size_t i = 0; i < survey->count; i++) {
		const uint8_t *uuid = survey->files[i].uuid;
		char text[UUID_TEXT_BYTES];
		struct error error;

		if (!survey->shares[i].evict)
			continue;
		uuid_format(uuid, text);
		if (cache_file_evict(directory, uuid, &error) < 0) {
			log_warning("disk %s: its cache stays: %s", text,
				    error.message);
			continue;
		}
		roster_forget(cached->config_path, uuid);
		kept_memory_forget(&cached->kept, uuid);
		log_info("disk %s: the cache of the closed disk, %" PRIu64
			 " MiB, makes room for others in %s",
			 text, bytes_of(survey->shares[i].held) >> 20,
			 directory->path);
		any = true;
	}
	return any;
}

/* What was decided; nobody is told yet. */
static void note(const struct survey *survey)
{
	for (size_t i = 0; i < survey->count; i++) {
		struct ledger_disk *disk = survey->files[i].disk;

		if (disk && disk->open)
			disk->granted = survey->shares[i].granted;
	}
}

/* Decides once. Returns: whether there is more to give now. */
static bool decide(struct cached *cached,
		   const struct pool_directory *directory, uint64_t *ret_free)
{
	struct survey survey;
	bool more;

	*ret_free = 0;
	if (survey_make(directory, &cached->ledger.disks, &survey, NULL) < 0)
		return false;
	if (share_is_short(survey.shares, survey.count))
		survey_look(directory, &survey);
	share_decide(survey.shares, survey.count, survey.room);
	note(&survey);
	*ret_free = share_free(survey.shares, survey.count, survey.room);
	more = evict(cached, directory, &survey);
	survey_release(&survey);
	return more;
}

static void directory_turn(struct cached *cached,
			   const struct pool_directory *directory,
			   const struct ledger_disk *answered)
{
	uint64_t free = 0;

	assert(directory);
	for (unsigned int i = 0; i < DECISIONS_MAX; i++) {
		if (!decide(cached, directory, &free))
			break;
	}
	list_for_each (node, &cached->ledger.disks) {
		struct ledger_disk *disk =
			list_entry(node, struct ledger_disk, node);

		if (disk == answered ||
		    strcmp(disk->directory, directory->path) != 0)
			continue;
		if (disk->open)
			tell(disk);
		else
			call(disk, free);
	}
}

static void uses_fade(struct ledger *ledger, uint64_t now_ns)
{
	double since_ns = (double)(now_ns - ledger->turned_ns);
	double stays = since_ns < (double)USE_MEMORY_NS
			       ? 1.0 - since_ns / (double)USE_MEMORY_NS
			       : 0.0;

	ledger->turned_ns = now_ns;
	list_for_each (node, &ledger->disks)
		list_entry(node, struct ledger_disk, node)->use *= stays;
}

static void turn(struct loop_timer *timer)
{
	struct cached *cached = timer->owner;

	loop_timer_arm(cached->loop, timer, TURN_NS);
	uses_fade(&cached->ledger, loop_now_ns(cached->loop));
	for (unsigned int i = 0; i < cached->pools.count; i++)
		directory_turn(cached, &cached->pools.directories[i], NULL);
}

void ledger_init(struct cached *cached)
{
	list_init(&cached->ledger.disks);
	cached->ledger.turn.expired = turn;
	cached->ledger.turn.owner = cached;
}

void ledger_clear(struct cached *cached)
{
	list_for_each_safe (node, &cached->ledger.disks)
		disk_remove(cached, list_entry(node, struct ledger_disk, node));
}

/* -- a disk opens ------------------------------------------------------- */

/* "64MiB by disk UUID, ...", as much of it as there is place for. */
static void name_holders(const struct survey *survey, char *text, size_t bytes)
{
	size_t length = 0;

	for (size_t i = 0; i < survey->count && length < bytes; i++) {
		const struct share_disk *share = &survey->shares[i];
		bool open = survey->files[i].disk != NULL;
		uint64_t granules =
			open ? share_base(share->reserved, share->limit)
			     : share->held;
		char size[SIZE_TEXT_BYTES];
		char uuid[UUID_TEXT_BYTES];

		if (share->state == SHARE_CLOSED || granules == 0)
			continue;
		uuid_format(survey->files[i].uuid, uuid);
		quantity_format_size(bytes_of(granules), size, sizeof(size));
		length += (size_t)snprintf(
			text + length, bytes - length, "%s%s by %s%s",
			length > 0 ? ", " : "", size,
			open ? "" : "the data of closed ", uuid);
	}
}

static int refuse(const struct pool_directory *directory,
		  const struct survey *survey, uint64_t base,
		  struct error *error)
{
	char wanted[SIZE_TEXT_BYTES], room[SIZE_TEXT_BYTES];
	char holders[200] = "nothing";

	name_holders(survey, holders, sizeof(holders));
	return error_set(
		error, -ENOSPC,
		"pool directory %s has room for %s of caches, and %s more "
		"can't be reserved there: free or add space, or lower the "
		"policies' reservation; taken for certain: %s",
		directory->path,
		quantity_format_size(bytes_of(survey->room), room,
				     sizeof(room)),
		quantity_format_size(bytes_of(base), wanted, sizeof(wanted)),
		holders);
}

struct candidate {
	struct cached *cached;
	uint64_t base;
	const uint8_t *uuid;
};

/* Returns: what is free there, in granules, or a negative errno. */
static int64_t weigh(void *owner, const struct pool_directory *directory,
		     struct error *error)
{
	const struct candidate *candidate = owner;
	struct survey survey;
	int64_t result = survey_make(
		directory, &candidate->cached->ledger.disks, &survey, error);

	if (result < 0)
		return result;
	survey_look(directory, &survey);
	/* Its own file counts as what it reserves. */
	for (size_t i = 0; i < survey.count; i++) {
		if (memcmp(survey.files[i].uuid, candidate->uuid, UUID_BYTES) ==
		    0)
			survey.shares[i].state = SHARE_CLOSED;
	}
	if (share_committed(survey.shares, survey.count) + candidate->base >
	    survey.room)
		result = refuse(directory, &survey, candidate->base, error);
	else
		result = (int64_t)share_free(survey.shares, survey.count,
					     survey.room);
	survey_release(&survey);
	return result;
}

static int find_place(struct cached *cached, const uint8_t *uuid,
		      const struct pool_open *open, struct ledger_place *place,
		      struct error *error)
{
	struct candidate candidate = {
		.cached = cached,
		.base = share_base(granules_up(open->reservation_bytes),
				   open->limit_bytes / POOL_GRANULE_BYTES),
		.uuid = uuid,
	};
	const struct pool_wish wish = {
		.pool = open->pool,
		.weigh = weigh,
		.owner = &candidate,
	};
	int status = cached_find(cached, uuid, &place->directory, error);

	place->make = status == -ENOENT;
	if (status == 0) {
		int64_t free = weigh(&candidate, place->directory, error);

		return free < 0 ? (int)free : 0;
	}
	if (status != -ENOENT)
		return status;
	return pool_set_choose(&cached->pools, &wish, &place->directory, error);
}

static int check_limit(const struct pool_open *open, struct error *error)
{
	if (open->limit_bytes < POOL_FILE_BYTES_MIN ||
	    open->limit_bytes > POOL_FILE_BYTES_MAX)
		return error_set(error, -EINVAL,
				 "a cache file of %" PRIu64 " bytes can't be "
				 "made: set the policy's limit to 64MiB..16TiB",
				 open->limit_bytes);
	if (open->reservation_bytes > open->limit_bytes)
		return error_set(error, -EINVAL,
				 "the policy reserves %" PRIu64
				 " bytes for a cache of %" PRIu64
				 " at most: lower its reservation, or raise "
				 "its limit",
				 open->reservation_bytes, open->limit_bytes);
	return 0;
}

static int wait_for_room(struct ledger_disk *disk, struct error *error)
{
	disk->open = false;
	disk->granted = 0;
	return error_set(error, -ENOSPC,
			 "pool directory %s is full: others are asked to make "
			 "room for this disk's cache",
			 disk->directory);
}

int ledger_open(struct cached *cached, struct client *client,
		const struct pool_open *open, struct ledger_place *ret_place,
		struct error *error)
{
	const uint8_t *uuid = client_uuid(client);
	struct ledger_place place = {0};
	struct cache_file_info info = {.allocated_bytes = 0};
	struct ledger_disk *disk;
	int status = check_limit(open, error);

	/* What an earlier process of it had is this one's now. */
	disk_remove(cached, find(cached, uuid));
	if (status == 0)
		status = find_place(cached, uuid, open, &place, error);
	if (status == 0 && !place.make)
		status =
			cache_file_inspect(place.directory, uuid, &info, error);
	if (status < 0)
		return status;
	disk = disk_add(cached, client);
	if (!disk)
		return error_set(error, -ENOMEM, "no memory for a disk");
	snprintf(disk->directory, sizeof(disk->directory), "%s",
		 place.directory->path);
	disk->open = true;
	disk->limit = open->limit_bytes / POOL_GRANULE_BYTES;
	disk->reserved = granules_up(open->reservation_bytes);
	disk->granted = info.allocated_bytes / POOL_GRANULE_BYTES;
	disk->used = 0; /* it says so when it knows */
	directory_turn(cached, place.directory, disk);
	if (disk->granted < SHARE_FLOOR)
		return wait_for_room(disk, error);
	disk->granted_told = disk->granted;
	disk->reserved_told = disk->reserved;
	place.file_bytes = bytes_of(disk->limit);
	place.granted_bytes = bytes_of(disk->granted);
	*ret_place = place;
	return 0;
}

/* -- an open disk ------------------------------------------------------- */

/* One that we don't know: we were started again while it was open. */
static struct ledger_disk *meet(struct cached *cached, struct client *client,
				const struct pool_use *use)
{
	const uint8_t *uuid = client_uuid(client);
	const struct pool_directory *directory;
	struct cache_file_info info;
	struct ledger_disk *disk;
	struct error error;

	if (cached_find(cached, uuid, &directory, &error) < 0 ||
	    cache_file_inspect(directory, uuid, &info, &error) < 0)
		return NULL;
	disk = disk_add(cached, client);
	if (!disk)
		return NULL;
	snprintf(disk->directory, sizeof(disk->directory), "%s",
		 directory->path);
	disk->open = true;
	disk->limit = use->limit_bytes / POOL_GRANULE_BYTES;
	disk->reserved = granules_up(use->reservation_bytes);
	disk->reserved_told = disk->reserved;
	disk->granted_told = use->granted_bytes / POOL_GRANULE_BYTES;
	/* Others may have been given what it hasn't taken yet. */
	disk->granted = info.allocated_bytes / POOL_GRANULE_BYTES;
	if (disk->granted > disk->granted_told)
		disk->granted = disk->granted_told;
	log_info("%s: an open disk has come back with %" PRIu64 " MiB",
		 client_name(client), info.allocated_bytes >> 20);
	return disk;
}

/* A higher one only if it fits. */
static void reserve(struct cached *cached, struct ledger_disk *disk,
		    const struct pool_use *use)
{
	uint64_t wanted = granules_up(use->reservation_bytes);
	const struct pool_directory *directory;
	struct error error = {0};
	struct candidate candidate = {.cached = cached, .uuid = disk->uuid};

	disk->limit = use->limit_bytes / POOL_GRANULE_BYTES;
	if (wanted == disk->reserved)
		return;
	candidate.base = share_base(wanted, disk->limit);
	if (wanted < disk->reserved ||
	    (cached_find(cached, disk->uuid, &directory, &error) == 0 &&
	     weigh(&candidate, directory, &error) >= 0))
		disk->reserved = wanted;
	else if (error.code < 0)
		/* It asks again each second; it is told once a change. */
		log_debug("disk keeps its reservation: %s", error.message);
}

void ledger_use(struct cached *cached, struct client *client,
		const struct pool_use *use)
{
	struct ledger_disk *disk = find(cached, client_uuid(client));

	if (!disk)
		disk = meet(cached, client, use);
	if (!disk || disk->owner != client || !disk->open)
		return;
	/* It says what it has heard last, and hears it again if it must. */
	disk->granted_told = use->granted_bytes / POOL_GRANULE_BYTES;
	disk->used = granules_up(use->used_bytes);
	disk->use += (double)use->use_bytes;
	reserve(cached, disk, use);
}

void ledger_bye(struct cached *cached, struct client *client)
{
	const uint8_t *uuid = client_uuid(client);
	struct ledger_disk *disk = find(cached, uuid);
	const struct pool_directory *directory;

	if (!disk || disk->owner != client || !disk->open)
		return;
	if (cached_find(cached, uuid, &directory, NULL) == 0)
		cache_file_let_go(directory, uuid);
	disk_remove(cached, disk);
}

void ledger_leave(struct cached *cached, const struct client *client)
{
	list_for_each_safe (node, &cached->ledger.disks) {
		struct ledger_disk *disk =
			list_entry(node, struct ledger_disk, node);

		if (disk->owner == client)
			disk_remove(cached, disk);
	}
}

/* -- figures ------------------------------------------------------------ */

static json_t *number(uint64_t granules)
{
	return json_integer((json_int_t)bytes_of(granules));
}

static json_t *share_json(const struct survey_file *file,
			  const struct share_disk *share)
{
	const struct ledger_disk *disk = file->disk;
	char uuid[UUID_TEXT_BYTES];

	uuid_format(file->uuid, uuid);
	if (!disk)
		return json_pack("{s:s, s:s, s:i, s:o, s:o, s:o, s:n}", "uuid",
				 uuid, "state",
				 share->state == SHARE_UNKNOWN ? "open"
							       : "closed",
				 "reserved_bytes", 0, "granted_bytes",
				 number(share->held), "allocated_bytes",
				 number(share->held), "used_bytes",
				 number(share->held), "limit_bytes");
	return json_pack(
		"{s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "uuid", uuid, "state",
		disk->open ? "open" : "waiting", "reserved_bytes",
		number(share_base(disk->reserved, disk->limit)),
		"granted_bytes", number(disk->granted), "allocated_bytes",
		number(share->held), "used_bytes", number(disk->used),
		"limit_bytes", number(disk->limit));
}

json_t *ledger_json(struct cached *cached,
		    const struct pool_directory *directory)
{
	json_t *shares = json_array();
	struct survey survey;

	if (survey_make(directory, &cached->ledger.disks, &survey, NULL) < 0)
		return shares;
	survey_look(directory, &survey);
	for (size_t i = 0; i < survey.count; i++)
		json_array_append_new(shares, share_json(&survey.files[i],
							 &survey.shares[i]));
	survey_release(&survey);
	return shares;
}
