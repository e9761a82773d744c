// SPDX-License-Identifier: Apache-2.0
/*
 * oracle.c - see oracle.h.
 */
#include "oracle.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS (ORACLE_SECTOR_BYTES / sizeof(uint64_t))

void oracle_init(struct oracle *oracle, uint64_t sector_count)
{
	*oracle = (struct oracle){
		.sectors = calloc(sector_count, sizeof(struct oracle_sector)),
		.sector_count = sector_count,
		.time = 1,
		.next_version = 1,
	};
	assert(oracle->sectors);
}

void oracle_free(struct oracle *oracle)
{
	for (uint64_t i = 0; i < oracle->sector_count; i++)
		free(oracle->sectors[i].versions);
	free(oracle->sectors);
	*oracle = (struct oracle){0};
}

uint64_t oracle_tick(struct oracle *oracle)
{
	return ++oracle->time;
}

/* Every word of a sector says which sector and version it is. */
static void stamp(void *bytes, uint64_t sector, uint64_t version)
{
	uint64_t words[WORDS];

	for (size_t i = 0; i < WORDS; i++)
		words[i] = i % 2 ? version : sector * 0x10001ull + 1;
	memcpy(bytes, words, sizeof(words));
}

/* Newest submission among what had been acked at @time. */
static uint64_t acked_floor(const struct oracle_sector *sector, uint64_t time,
			    bool doubtful)
{
	uint64_t floor = 0;

	for (uint32_t i = 0; i < sector->count; i++) {
		const struct oracle_version *version = &sector->versions[i];

		if (version->acked != 0 && version->acked <= time &&
		    !version->unsure && (doubtful || !version->doubtful) &&
		    version->submitted > floor)
			floor = version->submitted;
	}
	return floor;
}

/* Forgets versions that neither a crash nor a read under way may show. */
static void prune(const struct oracle *oracle, struct oracle_sector *sector)
{
	uint64_t floor = acked_floor(sector, oracle->oldest_read, true);
	uint32_t kept = 0;

	if (sector->durable_floor < floor)
		floor = sector->durable_floor;
	for (uint32_t i = 0; i < sector->count; i++) {
		const struct oracle_version *version = &sector->versions[i];

		if (version->acked == 0 || version->acked >= floor)
			sector->versions[kept++] = *version;
	}
	sector->count = kept;
}

static struct oracle_version *add(struct oracle *oracle, uint64_t sector_number)
{
	struct oracle_sector *sector = &oracle->sectors[sector_number];

	if (sector->count == sector->capacity) {
		prune(oracle, sector);
		sector->capacity = sector->count * 2 + 8;
		sector->versions =
			realloc(sector->versions,
				sector->capacity * sizeof(*sector->versions));
		assert(sector->versions);
	}
	sector->versions[sector->count++] = (struct oracle_version){
		.version = oracle->next_version++,
		.submitted = oracle_tick(oracle),
	};
	return &sector->versions[sector->count - 1];
}

uint64_t oracle_write(struct oracle *oracle, uint64_t sector_number,
		      void *bytes)
{
	uint64_t version = add(oracle, sector_number)->version;

	stamp(bytes, sector_number, version);
	return version;
}

uint64_t oracle_zero(struct oracle *oracle, uint64_t sector_number)
{
	struct oracle_version *version = add(oracle, sector_number);

	version->zero = true;
	return version->version;
}

static struct oracle_version *find(const struct oracle_sector *sector,
				   uint64_t version)
{
	for (uint32_t i = sector->count; i > 0; i--) {
		if (sector->versions[i - 1].version == version)
			return &sector->versions[i - 1];
	}
	return NULL;
}

uint64_t oracle_change(struct oracle *oracle, uint64_t sector_number,
		       uint64_t of, void *bytes)
{
	struct oracle_sector *sector = &oracle->sectors[sector_number];
	uint64_t version = oracle_write(oracle, sector_number, bytes);
	const struct oracle_version *original = find(sector, of);

	/* It is the same write, so it began when that began. */
	if (original)
		sector->versions[sector->count - 1].submitted =
			original->submitted;
	return version;
}

void oracle_acked(struct oracle *oracle, uint64_t sector_number,
		  uint64_t version_number, bool durable)
{
	struct oracle_sector *sector = &oracle->sectors[sector_number];
	struct oracle_version *version = find(sector, version_number);

	if (!version)
		return;
	version->acked = oracle->time;
	oracle->promises++;
	if (durable && version->submitted > sector->durable_floor)
		sector->durable_floor = version->submitted;
}

uint64_t oracle_floor(const struct oracle *oracle, uint64_t sector_number,
		      uint64_t time)
{
	const struct oracle_sector *sector = &oracle->sectors[sector_number];
	uint64_t floor = acked_floor(sector, time, true);

	return floor > sector->durable_floor ? floor : sector->durable_floor;
}

void oracle_flushed(struct oracle *oracle, uint64_t submitted)
{
	oracle->promises++;
	for (uint64_t i = 0; i < oracle->sector_count; i++) {
		struct oracle_sector *sector = &oracle->sectors[i];
		uint64_t floor = acked_floor(sector, submitted, false);

		if (floor > sector->durable_floor)
			sector->durable_floor = floor;
	}
}

void oracle_write_failed(struct oracle *oracle, uint64_t sector_number,
			 uint64_t version, uint64_t changed)
{
	struct oracle_sector *sector = &oracle->sectors[sector_number];

	for (uint32_t i = 0; i < sector->count; i++) {
		if (sector->versions[i].version == version ||
		    sector->versions[i].version == changed)
			sector->versions[i].doubtful = true;
	}
}

void oracle_flush_failed(struct oracle *oracle)
{
	for (uint64_t i = 0; i < oracle->sector_count; i++) {
		struct oracle_sector *sector = &oracle->sectors[i];

		for (uint32_t j = 0; j < sector->count; j++)
			if (sector->versions[j].submitted >
			    sector->durable_floor)
				sector->versions[j].doubtful |=
					sector->versions[j].acked != 0;
	}
}

static bool holds(const struct oracle_version *version, uint64_t floor)
{
	return version->acked == 0 || version->acked >= floor;
}

/* The newest zeros that hold, and that no read has shown to be overwritten if
 * there are any such. */
static const struct oracle_version *find_zeros(
	const struct oracle_sector *sector, uint64_t floor)
{
	const struct oracle_version *found = NULL;

	for (uint32_t i = 0; i < sector->count; i++) {
		const struct oracle_version *version = &sector->versions[i];

		if (version->zero && holds(version, floor) &&
		    (!found || found->overwritten != 0 ||
		     version->overwritten == 0))
			found = version;
	}
	return found;
}

uint64_t oracle_identify(uint64_t sector_number, const void *bytes)
{
	uint8_t expected[ORACLE_SECTOR_BYTES] = {0};
	uint64_t words[2];

	memcpy(words, bytes, sizeof(words));
	if (words[1] != 0)
		stamp(expected, sector_number, words[1]);
	return memcmp(bytes, expected, sizeof(expected)) == 0 ? words[1]
							      : UINT64_MAX;
}

bool oracle_allows(const struct oracle *oracle, uint64_t sector_number,
		   uint64_t version_number, uint64_t floor)
{
	const struct oracle_sector *sector = &oracle->sectors[sector_number];
	const struct oracle_version *version =
		version_number != 0 ? find(sector, version_number)
				    : find_zeros(sector, floor);

	/* Never written: older than everything. */
	return (version && holds(version, floor)) ||
	       (version_number == 0 && floor == 0);
}

bool oracle_in_doubt(const struct oracle *oracle, uint64_t sector_number)
{
	const struct oracle_sector *sector = &oracle->sectors[sector_number];

	for (uint32_t i = 0; i < sector->count; i++) {
		if (sector->versions[i].doubtful)
			return true;
	}
	return false;
}

bool oracle_allows_between(const struct oracle *oracle, uint64_t sector_number,
			   uint64_t version_number, uint64_t floor,
			   uint64_t until)
{
	const struct oracle_sector *sector = &oracle->sectors[sector_number];

	if (version_number == 0 && floor == 0)
		return true;
	for (uint32_t i = 0; i < sector->count; i++) {
		const struct oracle_version *version = &sector->versions[i];

		if ((version_number == 0
			     ? version->zero
			     : version->version == version_number) &&
		    holds(version, floor) && version->submitted <= until)
			return true;
	}
	return false;
}

uint64_t oracle_which(const struct oracle *oracle, uint64_t sector_number,
		      uint64_t version_number, uint64_t floor)
{
	const struct oracle_version *zeros =
		find_zeros(&oracle->sectors[sector_number], floor);

	return version_number == 0 && zeros ? zeros->version : version_number;
}

uint64_t oracle_check(const struct oracle *oracle, uint64_t sector_number,
		      const void *bytes, uint64_t floor, char *message,
		      size_t message_bytes)
{
	uint64_t version = oracle_identify(sector_number, bytes);
	uint64_t words[2];

	memcpy(words, bytes, sizeof(words));
	if (version == UINT64_MAX) {
		snprintf(message, message_bytes,
			 "sector %llu: not a version of it (%llx %llx)",
			 (unsigned long long)sector_number,
			 (unsigned long long)words[0],
			 (unsigned long long)words[1]);
		return UINT64_MAX;
	}
	if (oracle_allows(oracle, sector_number, version, floor))
		return oracle_which(oracle, sector_number, version, floor);
	snprintf(message, message_bytes,
		 "sector %llu: version %llu is too old: one submitted at %llu "
		 "must hold",
		 (unsigned long long)sector_number, (unsigned long long)version,
		 (unsigned long long)floor);
	return UINT64_MAX;
}

static bool before(uint64_t event, uint64_t time)
{
	return event != 0 && event < time;
}

bool oracle_read(struct oracle *oracle, uint64_t sector_number,
		 uint64_t version_number, uint64_t submitted)
{
	struct oracle_sector *sector = &oracle->sectors[sector_number];
	const struct oracle_version *read = find(sector, version_number);
	bool zero = version_number == 0 || (read && read->zero);
	bool doubtful = read && read->doubtful;
	bool good = true;

	for (uint32_t i = 0; i < sector->count; i++) {
		struct oracle_version *version = &sector->versions[i];

		if (version->version == version_number) {
			good = !before(version->overwritten, submitted);
			/* Zeros that were seen may be older ones. */
			if (version->seen == 0 && !zero)
				version->seen = oracle->time;
		} else if (version->overwritten == 0 && !doubtful &&
			   !(zero && version->zero) &&
			   (before(version->acked, submitted) ||
			    before(version->seen, submitted))) {
			version->overwritten = oracle->time;
		}
	}
	return good;
}

/*
 * Which version stands below isn't known: nobody could read it, or a FLUSH of
 * it failed, so that an older one may stand there whatever a copy in the cache
 * says. All that may have survived can be read until it is written again.
 */
static void keep_in_doubt(struct oracle_sector *sector, uint64_t time)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < sector->count; i++) {
		struct oracle_version *version = &sector->versions[i];

		if (!holds(version, sector->durable_floor))
			continue;
		version->unsure = version->submitted > sector->durable_floor;
		version->acked = version->acked ? version->acked : time;
		version->overwritten = 0;
		sector->versions[kept++] = *version;
	}
	sector->count = kept;
}

void oracle_settle(struct oracle *oracle, uint64_t sector_number,
		   uint64_t version_number)
{
	struct oracle_sector *sector = &oracle->sectors[sector_number];
	struct oracle_version *version = find(sector, version_number);

	if (version && version->doubtful) {
		keep_in_doubt(sector, oracle->time);
		return;
	}
	if (version_number == 0) {
		sector->count = 0;
		sector->durable_floor = 0;
		return;
	}
	/* One that was forgotten already: only a lying SSD brings it back. */
	sector->versions[0] =
		version ? *version
			: (struct oracle_version){.version = version_number,
						  .submitted = 1};
	sector->versions[0].acked = oracle->time;
	sector->versions[0].overwritten = 0;
	sector->durable_floor = sector->versions[0].submitted;
	sector->count = 1;
}

void oracle_unread(struct oracle *oracle, uint64_t sector_number)
{
	keep_in_doubt(&oracle->sectors[sector_number], oracle->time);
}

void oracle_seen(struct oracle *oracle, uint64_t sector_number,
		 uint64_t version_number)
{
	struct oracle_version *version =
		find(&oracle->sectors[sector_number], version_number);

	if (version && version->acked == 0)
		version->acked = oracle->time;
}
