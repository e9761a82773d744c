/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bundle.h - the archive of a bundle, in memory: found to be one, and made.
 *
 * Pure: bytes in, spans of them out. Reading has two steps, so that a manifest
 * is looked at by nobody before its signature: bundle_read_head() finds the
 * manifest and the signature by their places; what they say is not read.
 * bundle_read_files() then holds the rest against the parsed manifest.
 *
 *	head -> (verify) -> manifest_parse() -> files
 */
#ifndef FOREBAY_BUNDLE_BUNDLE_H
#define FOREBAY_BUNDLE_BUNDLE_H

#include "bundle_format.h"
#include "bundle_issue.h"
#include "manifest.h"

struct bundle_head {
	struct bundle_span manifest;
	struct bundle_span signature; /* no bytes: unsigned */
	size_t files_at; /* where the rest of the archive begins */
};

/* Spans are of @archive. Returns: 0 or -EBADMSG. */
int bundle_read_head(struct bundle_span archive, struct bundle_head *ret_head,
		     struct bundle_refusal *refusal);
/*
 * Every file of @manifest with its size and hash, in order, and nothing else.
 * @ret_files: one for each. Returns: 0 or -EBADMSG.
 */
int bundle_read_files(struct bundle_span archive,
		      const struct bundle_head *head,
		      const struct manifest *manifest,
		      struct bundle_span ret_files[BUNDLE_FILES_MAX],
		      struct bundle_refusal *refusal);

/*
 * The archive of @manifest, @signature (NULL: unsigned) and @files, in fresh
 * memory. Returns: 0 or -ENOMEM. Owns: the caller frees it.
 */
int bundle_write(struct bundle_span manifest_text,
		 const struct signature *signature,
		 const struct manifest *manifest,
		 const struct bundle_span *files, uint8_t **ret_archive,
		 size_t *ret_bytes);

#endif
