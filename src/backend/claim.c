// SPDX-License-Identifier: Apache-2.0
/*
 * claim.c - see claim.h.
 */
#include "claim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "clock.h"
#include "failpoint.h"
#include "fd.h"
#include "log.h"
#include "uuid_text.h"

/* Steps of the clock that stamps a file: one of these at most. */
#define TICK_NS (4 * (long)NS_PER_MS)
#define TICKS_MAX 3u

void claim_keep(const struct claim_spec *spec)
{
	struct sidecar sidecar;
	struct error error;

	if (spec->folder)
		sidecar_open(spec->folder, spec->owner_of, !spec->read_only,
			     &sidecar, &error);
}

static uint64_t draw_generation(uint64_t before)
{
	uint32_t lot = 0;

	/* Never fails for so few bytes, and zero would do as well. */
	if (getrandom(&lot, sizeof(lot), 0) != sizeof(lot))
		lot = (uint32_t)clock_monotonic_ns();
	return (((before >> 32) + 1) << 32) | lot;
}

static int write_record(struct claim *claim, const struct claim_record *record,
			struct error *error)
{
	char text[SIDECAR_TEXT_BYTES];
	int status;

	claim_format(record, text);
	status = sidecar_write(&claim->sidecar, text, error);
	if (status == 0)
		claim->now = *record;
	return status;
}

static int read_record(struct claim *claim, struct error *error)
{
	struct claim_record first = {0};
	char text[SIDECAR_TEXT_BYTES];
	int status = sidecar_read(&claim->sidecar, text, error);

	if (status < 0)
		return status;
	if (claim_parse(text, &claim->found) < 0)
		return error_set(error, -EUCLEAN,
				 "sidecar %s: can't be understood: a newer "
				 "Forebay wrote it",
				 claim->sidecar.path);
	claim->now = claim->found;
	if (claim->found.generation != 0 || claim->spec->read_only)
		return 0;
	/* 0 is for whoever has never seen a sidecar here. */
	first.generation = draw_generation(0);
	memcpy(first.disk_uuid, claim->spec->disk_uuid, 16);
	status = write_record(claim, &first, error);
	claim->found = first;
	return status;
}

static bool is_ours(const struct claim *claim)
{
	const struct claim_spec *spec = claim->spec;

	return memcmp(claim->found.host_uuid, spec->host_uuid, 16) == 0 &&
	       memcmp(claim->found.disk_uuid, spec->disk_uuid, 16) == 0;
}

/* The marker of somebody else: who, and what can be done. */
static int refuse_foreign(const struct claim *claim, struct error *error)
{
	const struct claim_record *found = &claim->found;
	char host[UUID_TEXT_BYTES], disk[UUID_TEXT_BYTES];
	const char *name = found->host_name[0] ? found->host_name : "unnamed";

	uuid_format(found->host_uuid, host);
	uuid_format(found->disk_uuid, disk);
	return error_set(
		error, -ESTALE,
		"disk %s: the cache of host %s (%s) may hold data of disk %s "
		"that the backend lacks: open and close the disk there; if "
		"that host's cache is gone for ever, 'forebay disk open "
		"--discard-dirty' here gives up what it held",
		claim->spec->disk_name, name, host, disk);
}

static void compare_facts(struct claim *claim, const struct backend *backend)
{
	const struct backend_facts *before = &claim->found.closed;
	const struct backend_facts *now = &backend_info(backend)->found;

	if (!before->known || !now->known)
		return;
	claim->rewritten = now->inode != before->inode ||
			   now->size_bytes != before->size_bytes ||
			   now->mtime_ns != before->mtime_ns;
	claim->changed = claim->rewritten || now->ctime_ns != before->ctime_ns;
}

int claim_begin(const struct claim_spec *spec, const struct backend *backend,
		struct claim *ret_claim, struct error *error)
{
	struct claim *claim = ret_claim;
	int status;

	*claim = (struct claim){.spec = spec};
	if (!spec->folder)
		return 0;
	status = sidecar_open(spec->folder, spec->owner_of, !spec->read_only,
			      &claim->sidecar, &claim->absent);
	if (status == -ENOENT) {
		if (!spec->read_only)
			log_warning("%s: nothing shows whether the backend is "
				    "changed elsewhere",
				    claim->absent.message);
		return 0;
	}
	if (status < 0)
		return error_set(error, status, "%s", claim->absent.message);
	status = sidecar_lock(&claim->sidecar);
	if (status < 0)
		return error_set(error, status,
				 status == -EBUSY
					 ? "sidecar %s: another opener of the "
					   "backend has it, on this host or "
					   "another one"
					 : "sidecar %s: can't be locked",
				 claim->sidecar.path);
	claim->told = true;
	status = read_record(claim, error);
	if (status == 0 && claim->found.marked && !is_ours(claim))
		status = refuse_foreign(claim, error);
	if (status < 0) {
		claim_end(claim, backend, false);
		return status;
	}
	compare_facts(claim, backend);
	claim->next_generation =
		spec->read_only ? claim->found.generation
				: draw_generation(claim->found.generation);
	return 0;
}

void claim_state(const struct claim *claim, struct claim_state *ret_state)
{
	*ret_state = (struct claim_state){
		.told = claim->told,
		.marked = claim->found.marked,
		.changed = claim->changed,
		.rewritten = claim->rewritten,
		.generation = claim->found.generation,
		.next_generation = claim->next_generation,
		.voided = claim->found.voided,
	};
}

/* The record of an open backend. */
static int write_open(struct claim *claim, bool marked, struct error *error)
{
	const struct claim_spec *spec = claim->spec;
	struct claim_record record = {
		.generation = claim->next_generation,
		.marked = marked,
		.epoch = spec->epoch,
		.marked_generation = claim->next_generation,
		.voided = claim->now.voided,
	};
	int status;

	memcpy(record.filters, claim->now.filters, sizeof(record.filters));
	memcpy(record.disk_uuid, spec->disk_uuid, 16);
	memcpy(record.host_uuid, spec->host_uuid, 16);
	snprintf(record.host_name, sizeof(record.host_name), "%s",
		 spec->host_name ? spec->host_name : "");
	/* It stands in a line of its own. */
	for (char *at = record.host_name; *at; at++)
		if ((unsigned char)*at < ' ')
			*at = '?';
	if (claim->raising) {
		status = claim->raising(claim->raising_owner,
					claim->now.generation,
					claim->next_generation, error);
		if (status < 0)
			return status;
	}
	status = write_record(claim, &record, error);
	if (status == 0)
		claim->taken = true;
	failpoint(FAILPOINT_CLAIM_RAISED);
	return status;
}

int claim_take(struct claim *claim, struct error *error)
{
	if (!claim->told || claim->taken)
		return 0;
	if (claim->found.marked && !claim->answered)
		return error_set(error, -ESTALE,
				 "disk %s: its cache holds data that the "
				 "backend lacks, and its policy has no cache: "
				 "open and close it with the policy that it "
				 "had",
				 claim->spec->disk_name);
	if (claim->spec->read_only)
		return 0;
	return write_open(claim, claim->found.marked || claim->holds, error);
}

bool claim_knows_filters(const struct claim *claim)
{
	return claim->told && !claim->spec->read_only;
}

const char *claim_filters(const struct claim *claim)
{
	/* Another disk's that had this backend are not ours. */
	return claim->told && memcmp(claim->found.disk_uuid,
				     claim->spec->disk_uuid, 16) == 0
		       ? claim->found.filters
		       : "";
}

int claim_attach(struct claim *claim, const char *filters, struct error *error)
{
	struct claim_record record = claim->now;

	if (!claim_knows_filters(claim) || strcmp(record.filters, filters) == 0)
		return 0;
	snprintf(record.filters, sizeof(record.filters), "%s", filters);
	if (claim->taken)
		return write_record(claim, &record, error);
	claim->now = record;
	return 0;
}

int claim_will_change(struct claim *claim, struct error *error)
{
	struct claim_record record = claim->now;

	/* What somebody else has changed shall still be seen. */
	if (!claim->told || claim->spec->read_only || claim->taken ||
	    claim->changed || !record.closed.known)
		return 0;
	record.closed = (struct backend_facts){0};
	return write_record(claim, &record, error);
}

int claim_hold(struct claim *claim, bool holds, struct error *error)
{
	claim->answered = true;
	claim->holds = holds;
	/* Without a word from anybody the backend is nobody's. */
	if (!holds || !claim->spec || claim->spec->read_only)
		return 0;
	if (claim->absent.code)
		return error_set(error, claim->absent.code,
				 "disk %s can't be cached write-back: other "
				 "hosts couldn't see that: %s; name a "
				 "directory with --sidecar when the disk is "
				 "created",
				 claim->spec->disk_name, claim->absent.message);
	if (!claim->told || (claim->taken && claim->now.marked))
		return 0;
	return write_open(claim, true, error);
}

int claim_void(struct claim *claim, bool lost, struct error *error)
{
	struct claim_record before = claim->now;
	uint64_t generation = claim->next_generation;
	int status;

	/* What isn't written below is as it was, with a log or without. */
	if (claim->spec && claim->spec->read_only)
		return 0;
	if (!claim->spec || !claim->told)
		return error_set(error, -ENOENT,
				 "disk %s has no sidecar to say it in",
				 claim->spec ? claim->spec->disk_name : "");
	claim->now.voided = generation;
	claim->next_generation = draw_generation(generation);
	status = write_open(claim, lost, error);
	if (status < 0) {
		claim->now = before;
		claim->next_generation = generation;
		return status;
	}
	claim->holds = lost;
	return 0;
}

/*
 * Files are stamped with a clock that moves in steps. A change in the step of
 * our own last one would leave no trace, so the step has to be over.
 */
static void wait_for_tick(const struct backend_facts *facts)
{
	const struct timespec tick = {.tv_nsec = TICK_NS};

	for (unsigned int i = 0; i < TICKS_MAX; i++) {
		struct timespec now;

		clock_gettime(CLOCK_REALTIME_COARSE, &now);
		if ((int64_t)now.tv_sec * (int64_t)NS_PER_SECOND + now.tv_nsec >
		    facts->ctime_ns)
			return;
		nanosleep(&tick, NULL);
	}
}

void claim_end(struct claim *claim, const struct backend *backend,
	       bool in_order)
{
	struct claim_record record = claim->now;
	struct error error;

	if (!claim->told)
		return;
	if (claim->taken && in_order) {
		record.marked = claim->holds;
		backend_facts(backend, &record.closed);
		if (record.closed.known)
			wait_for_tick(&record.closed);
		if (write_record(claim, &record, &error) < 0)
			log_error("%s", error.message);
		failpoint(FAILPOINT_CLAIM_CLEARED);
	}
	sidecar_unlock(&claim->sidecar);
	failpoint(FAILPOINT_CLAIM_UNLOCKED);
	claim->told = false;
}

static bool is_hosts(const struct claim_record *record,
		     const uint8_t *host_uuid)
{
	return !host_uuid || memcmp(record->host_uuid, host_uuid, 16) == 0;
}

int claim_discard(const char *folder, const uint8_t *host_uuid,
		  struct claim_record *ret_record, struct error *error)
{
	struct claim claim = {0};
	struct claim_spec spec = {.read_only = true};
	struct claim_record record;
	int status;

	claim.spec = &spec;
	status = sidecar_open_once(folder, true, &claim.sidecar, error);
	if (status < 0)
		return status;
	status = sidecar_lock(&claim.sidecar);
	if (status < 0)
		error_set(error, status, "sidecar %s: the backend is open",
			  claim.sidecar.path);
	if (status == 0)
		status = read_record(&claim, error);
	if (status == 0)
		*ret_record = claim.found;
	if (status == 0 && claim.found.marked &&
	    is_hosts(&claim.found, host_uuid)) {
		record = claim.found;
		record.marked = false;
		/* Whoever's cache it was, it holds what nobody wants now. */
		record.generation = draw_generation(record.generation);
		status = write_record(&claim, &record, error);
	}
	fd_close(claim.sidecar.fd);
	return status;
}
