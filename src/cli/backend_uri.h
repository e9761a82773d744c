/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend_uri.h - what a person types for a place, as forebayd needs it.
 *
 * forebayd has another working directory than the shell, so relative paths are
 * made absolute here.
 */
#ifndef FOREBAY_CLI_BACKEND_URI_H
#define FOREBAY_CLI_BACKEND_URI_H

/*
 * "disk.raw", "/srv/disk.raw", "file:disk.raw" become "file:/...". Every other
 * URI stays as it is. Owns: the caller frees it; NULL: errno says why.
 */
char *backend_uri_from_text(const char *text);
/* @path under the working directory, unless it is absolute already. The same
 * ownership. */
char *backend_uri_absolute(const char *path);

#endif
