/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest.h - manifest.json, through its one gate.
 *
 *	{"format": 1, "name": "null", "version": "1.0.0",
 *	 "class": "inspection", "description": "...", "abi_version": 1,
 *	 "architecture": "x86_64", "library": "null.so",
 * *	 "needs": {"files": [], "devices": [], "sockets": [], "keys": [],
 *		   "memory_bytes": 0},
 *	 "files": [{"path": "null.so", "bytes": 1, "sha256": "..."}]}
 *
 * interface is the rest of what `forebay-disk --describe-filter` says of the
 * library: operations, properties, and what later versions of Forebay say more.
 * Files are the library, README.md, LICENSE and what is in docs/.
 * Every member is needed and no other is allowed.
 */
#ifndef FOREBAY_BUNDLE_MANIFEST_H
#define FOREBAY_BUNDLE_MANIFEST_H

#include <jansson.h>

#include "bundle_format.h"
#include "bundle_issue.h"
#include "signing.h"

#define MANIFEST_NAME_LENGTH_MAX 31u
#define MANIFEST_TEXT_LENGTH_MAX 500u

struct manifest_file {
	const char *path;
	uint64_t bytes;
	uint8_t hash[SIGNING_HASH_BYTES];
};

/* All that is pointed at belongs to @document. */
struct manifest {
	json_t *document;
	const char *name;
	const char *version;
	const char *filter_class;
	const char *architecture;
	const char *library; /* a path of a file */
	uint32_t abi_version;
	const json_t *needs;
	uint32_t file_count;
	struct manifest_file files[BUNDLE_FILES_MAX];
};

/* Returns: 0, -EBADMSG with @refusal or -ENOMEM. Owns: manifest_release(). */
int manifest_parse(struct bundle_span text, struct manifest *ret_manifest,
		   struct bundle_refusal *refusal);
void manifest_release(struct manifest *manifest);

#define _cleanup_manifest_ __attribute__((cleanup(manifest_release)))

/* Of a file, "docs/usage.md". */
bool manifest_path_valid(const char *path);
/* The object `needs`, with all its members. Returns: 0 or -EBADMSG. */
int manifest_check_needs(const json_t *needs, struct bundle_refusal *refusal);
/* @given with empty members in the place of missing ones. Owns: the caller. */
json_t *manifest_complete_needs(const json_t *given);
/*
 * What a library says of itself, against the manifest. Of the interface that
 * counts of which both speak: another version of Forebay may have built the
 * bundle. Returns: 0 or -EBADMSG.
 */
int manifest_check_description(const struct manifest *manifest,
			       const json_t *description,
			       struct bundle_refusal *refusal);

#endif
