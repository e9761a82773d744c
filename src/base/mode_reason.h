/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mode_reason.h - the codes that say why a disk's cache isn't in the mode that
 * its policy asks for, or can't go on in it.
 *
 * A program may compare them: they are in the API and don't change. The table
 * in docs/modes.md has the same ones, and what to do about each.
 */
#ifndef FOREBAY_BASE_MODE_REASON_H
#define FOREBAY_BASE_MODE_REASON_H

enum mode_reason {
	MODE_REASON_DRAINING,
	MODE_REASON_HOLD,
	MODE_REASON_BACKEND_REFUSING,
	MODE_REASON_BACKEND_SILENT,
	MODE_REASON_DATA_LOST,
	MODE_REASON_SSD_FAILING,
	MODE_REASON_SSD_OUT_OF_USE,
	MODE_REASON_CACHE_FAILED,
	MODE_REASON_POOL_FULL,
	MODE_REASON_CACHE_AWAY,
	MODE_REASON_MIGRATING,
	MODE_REASON_NO_SIDECAR,
	MODE_REASON_NO_POLICY,
	MODE_REASON_NO_CACHE,
	MODE_REASON_POOL_MISSING,
	MODE_REASON_NOT_OPEN,
	MODE_REASON_NO_ANSWER,
	MODE_REASONS
};

/* Its code, in lower-case letters and hyphens. */
const char *mode_reason_code(enum mode_reason reason);
/* What it means, in words for whom the code tells nothing. */
const char *mode_reason_words(enum mode_reason reason);

#endif
