/* SPDX-License-Identifier: Apache-2.0 */
/* bundle_file.h - a .fbundle of the user's: read whole, and written. */
#ifndef FOREBAY_CLI_BUNDLE_FILE_H
#define FOREBAY_CLI_BUNDLE_FILE_H

#include "bundle.h"
#include "error.h"

struct bundle_file {
	uint8_t *archive;
	size_t bytes;
	struct bundle_head head;
	struct manifest manifest;
	struct bundle_span files[BUNDLE_FILES_MAX]; /* parts of the archive */
};

/*
 * Unpacks @path and checks all but the signature.
 * Returns: 0 or a negative errno with "PATH: CODE: what; what to do" in @error.
 */
int bundle_file_read(const char *path, struct bundle_file *ret_file,
		     struct error *error);
void bundle_file_release(struct bundle_file *file);

#define _cleanup_bundle_ __attribute__((cleanup(bundle_file_release)))

/* Replaces or makes @path; @signature NULL: unsigned. */
int bundle_file_write(const char *path, const struct bundle_file *file,
		      const struct signature *signature, struct error *error);

/* Of a bundle at @path. Returns: -EINVAL. */
int bundle_file_refuse(const char *path, const struct bundle_refusal *refusal,
		       struct error *error);

#endif
