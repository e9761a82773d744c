/* SPDX-License-Identifier: Apache-2.0 */
/* yaml_write.h - a JSON value as a YAML document. */
#ifndef FOREBAY_CLI_YAML_WRITE_H
#define FOREBAY_CLI_YAML_WRITE_H

#include <jansson.h>
#include <stdio.h>

/* Reads back as the same value. Returns: 0, -EIO or -ENOMEM. */
int yaml_write(FILE *stream, const json_t *value);

#endif
