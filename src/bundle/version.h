/* SPDX-License-Identifier: Apache-2.0 */
/*
 * version.h - semantic versions: MAJOR.MINOR.PATCH, and perhaps -PRERELEASE.
 *
 * A version is a name of a folder too: it is short and holds digits, letters,
 * '.' and '-' only. Build metadata (+...) orders nothing and is refused.
 */
#ifndef FOREBAY_BUNDLE_VERSION_H
#define FOREBAY_BUNDLE_VERSION_H

#include <stdbool.h>

#define VERSION_LENGTH_MAX 63u

bool version_valid(const char *text);
/* Both valid. Returns: <0, 0 or >0, as strcmp(); a prerelease is older than its
 * release. */
int version_compare(const char *a, const char *b);

#endif
