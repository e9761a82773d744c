/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bundle_format.h - what a bundle is, byte by byte.
 *
 *	NAME-VERSION.fbundle = one zstd frame of this archive:
 *
 *	  head  manifest.json     padded with zeros to 512
 *	  head  manifest.sig      the same; only in a signed bundle
 *	  head  file              for each file, in the order of the manifest
 *	  1024 zeros
 *
 * A head is 512 bytes of the ustar format, and each byte of it follows from the
 * path and the size (archive_head.h). So every tar program reads the archive,
 * and we needn't read tar: a head is the one that we expect, or the bundle is
 * refused. There are no links, no folders, no owners, no times, no room for
 * anything else.
 */
#ifndef FOREBAY_BUNDLE_FORMAT_H
#define FOREBAY_BUNDLE_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define BUNDLE_FORMAT 1
#define BUNDLE_SUFFIX ".fbundle"
#define BUNDLE_MANIFEST_PATH "manifest.json"
#define BUNDLE_SIGNATURE_PATH "manifest.sig"

#define BUNDLE_BLOCK_BYTES 512u
#define BUNDLE_END_BYTES (2 * BUNDLE_BLOCK_BYTES)
#define BUNDLE_MANIFEST_BYTES_MAX (256u << 10)
#define BUNDLE_FILES_MAX 64u
#define BUNDLE_PATH_LENGTH_MAX 80u
/* Of all files together. */
#define BUNDLE_FILE_BYTES_MAX (UINT64_C(64) << 20)
/* Of the whole archive: the files, the manifest, heads and padding. */
#define BUNDLE_ARCHIVE_BYTES_MAX (UINT64_C(65) << 20)
/* Of the bundle as it is sent: zstd makes nothing much larger than it was. */
#define BUNDLE_PACKED_BYTES_MAX (UINT64_C(66) << 20)
/* Memory that a frame may ask its reader for, as a power of two. */
#define BUNDLE_WINDOW_LOG_MAX 23

/* Bytes that somebody else owns. */
struct bundle_span {
	const uint8_t *bytes;
	size_t count;
};

#endif
