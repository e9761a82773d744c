/* SPDX-License-Identifier: Apache-2.0 */
/* installed.h - where Forebay's other files are: beside this program, wherever
 * the tree was moved to, else where it was meant to be. */
#ifndef FOREBAY_CLI_INSTALLED_H
#define FOREBAY_CLI_INSTALLED_H

#include <stddef.h>

/* @path below the prefix: "libexec/forebay/forebay-disk". */
void installed_path(const char *path, char *buffer, size_t buffer_bytes);

#endif
