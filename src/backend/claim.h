/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claim.h - whose a backend is, and whether it is still what it was.
 *
 * Beside a backend stands (sidecar.h):
 *
 *   generation  higher after each open for writing; its lower half is drawn by
 *               lot, so that two openers never give the same one
 *   marker      a host's cache may hold what the backend lacks
 *   facts       of the image, as the last close in order left them
 *   void        a log of that generation is of no use any more
 *   filters     that are attached to the disk: whoever isn't among them is new
 *
 *   claim_begin   the backend is locked: looks, and refuses what is another's
 *   claim_state   what a filter that keeps copies must know
 *   claim_attach  the filters that there are from now on
 *   claim_take    durably a new generation, and no facts: from here on the
 *                 backend may be written
 *   claim_hold    a filter holds, or no longer holds, what the backend lacks
 *   claim_void    a filter's store has failed: nobody is to believe it later
 *   claim_end     marker and facts as they are now
 *
 * Order: a filter that keeps copies has noted both generations in its own store
 * before claim_take(): whichever of the two a successor finds here, it knows
 * that nobody else was there.
 *
 * Thread: the loop's. The calls block as the sidecar's do.
 */
#ifndef FOREBAY_BACKEND_CLAIM_H
#define FOREBAY_BACKEND_CLAIM_H

#include <stdbool.h>
#include <stdint.h>

#include "backend.h"
#include "error.h"
#include "sidecar.h"

#define CLAIM_HOST_NAME_BYTES 65u
/* The names of all filters that a disk may have, with blanks between. */
#define CLAIM_FILTERS_BYTES 520u

/* Who claims what. Strings live as long as the claim. */
struct claim_spec {
	const char *disk_name; /* for people */
	uint8_t disk_uuid[16];
	uint8_t host_uuid[16];
	const char *host_name; /* for people */
	const char *folder; /* of the sidecar; NULL: the backend has none */
	const char *owner_of; /* whose owner gets what is made; NULL: ours */
	uint64_t epoch;
	bool read_only;
};

/* What stands in the sidecar. */
struct claim_record {
	uint64_t generation;
	uint8_t disk_uuid[16]; /* of the last opener */
	bool marked; /* and then: */
	uint8_t host_uuid[16];
	char host_name[CLAIM_HOST_NAME_BYTES];
	uint64_t epoch;
	uint64_t marked_generation;
	uint64_t voided; /* 0: none was */
	char filters[CLAIM_FILTERS_BYTES]; /* that are attached */
	struct backend_facts closed; /* known: by a close in order */
};

struct claim {
	const struct claim_spec *spec;
	struct sidecar sidecar;
	bool told; /* there is a sidecar, and it is locked */
	bool taken;
	bool answered; /* somebody has said whether he holds anything */
	bool holds;
	bool changed; /* the image isn't as it was closed, in any way */
	bool rewritten; /* its contents may be other ones */
	uint64_t next_generation;
	struct claim_record found;
	struct claim_record now;
	/*
	 * NULL, or called before the backend gets a generation: who notes the
	 * two of them elsewhere has done so durably when it returns. Order: set
	 * after claim_begin(). Returns: 0 or @error's code.
	 */
	int (*raising)(void *owner, uint64_t found, uint64_t next,
		       struct error *error);
	void *raising_owner;
	struct error absent; /* why there is no sidecar; code 0: there is,
				or there is no place for one */
};

/* What a filter may know of the layers below. */
struct claim_state {
	bool told; /* else nothing else is known */
	bool marked; /* by a filter of this disk on this host */
	bool changed;
	bool rewritten;
	uint64_t generation; /* as found */
	uint64_t next_generation;
	uint64_t voided;
};

/*
 * For a process that closes its doors before it opens the backend. What can't
 * be kept is found out again by claim_begin(). Order: backend_keep() was
 * called.
 */
void claim_keep(const struct claim_spec *spec);
/*
 * Order: @backend is open. @spec lives as long as the claim.
 * Returns: 0; -EBUSY (another opener has the sidecar, a predecessor perhaps:
 * try again) or another code of @error.
 */
int claim_begin(const struct claim_spec *spec, const struct backend *backend,
		struct claim *ret_claim, struct error *error);
void claim_state(const struct claim *claim, struct claim_state *ret_state);
/*
 * Refuses if a marker of ours stands and nobody has answered for what was held.
 * Twice is once. Returns: 0 or @error's code.
 */
int claim_take(struct claim *claim, struct error *error);
/*
 * Whether there is a place for the filters' names, that may be written.
 */
bool claim_knows_filters(const struct claim *claim);
/* Those that were attached to this disk, as found; with blanks between. */
const char *claim_filters(const struct claim *claim);
/*
 * @filters: names with blanks between. It is durable with claim_take(), or when
 * this returns if that was before. Returns: 0 or @error's code.
 */
int claim_attach(struct claim *claim, const char *filters, struct error *error);
/*
 * We are about to change the backend before anybody has taken it: how it was
 * closed says nothing from here on, or a kill in between would look like
 * somebody else's change. Returns: 0 or @error's code.
 */
int claim_will_change(struct claim *claim, struct error *error);
/*
 * @holds: durable before it returns, and takes the claim. Otherwise it is
 * written at the end. Returns: 0 or @error's code.
 */
int claim_hold(struct claim *claim, bool holds, struct error *error);
/*
 * What a filter has stored under this open's generation is of no use from now
 * on, and the open goes on under another one. @lost: some of it never came
 * below, so the marker stands until somebody gives that up. Durable before it
 * returns. Returns: 0, -ENOENT (there is no sidecar) or @error's code.
 */
int claim_void(struct claim *claim, bool lost, struct error *error);
/* @in_order: nothing is in flight. A claim that was never begun is fine. */
void claim_end(struct claim *claim, const struct backend *backend,
	       bool in_order);

/*
 * For the control plane, on any thread: removes the marker, and with it the way
 * back for what that host's cache holds. @host_uuid: only if it is this one's;
 * NULL: whoever's it is. *ret_record: as it was before.
 * Returns: 0, -ENOENT (no sidecar), -EBUSY (it is open) or @error's code.
 */
int claim_discard(const char *folder, const uint8_t *host_uuid,
		  struct claim_record *ret_record, struct error *error);

/* The text of a record, and back. Returns: 0, or -EUCLEAN. */
void claim_format(const struct claim_record *record,
		  char ret_text[SIDECAR_TEXT_BYTES]);
int claim_parse(const char *text, struct claim_record *ret_record);

#endif
