/* SPDX-License-Identifier: Apache-2.0 */
/* yaml_scalar.h - what a plain word of YAML means (the core schema of 1.2). */
#ifndef FOREBAY_CLI_YAML_SCALAR_H
#define FOREBAY_CLI_YAML_SCALAR_H

#include <jansson.h>

/*
 * Returns: a new reference: null, bool, integer, real or string; NULL when it
 * is an integer that JSON can't hold, or for lack of memory.
 */
json_t *yaml_scalar_resolve(const char *text);

#endif
