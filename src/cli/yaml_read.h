/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_read.h - one YAML document as JSON, with the line of every value.
 *
 * The lines outlive the parsing so that whoever finds a value wrong, this
 * program or forebayd, can be quoted with the place in the file.
 */
#ifndef FOREBAY_CLI_YAML_READ_H
#define FOREBAY_CLI_YAML_READ_H

#include <jansson.h>
#include <stdio.h>

struct error;

#define YAML_READ_MAX_BYTES (1u << 20)
#define YAML_READ_MAX_DEPTH 32u
#define YAML_READ_MAX_VALUES 10000u

struct yaml_source {
	char *name; /* of the file, for messages */
	json_t *value;
	json_t *lines; /* JSON pointer of every value -> line number */
};

/*
 * Reads @stream to its end. YAML's core schema: plain words become null, bool,
 * integer, real; the rest, and everything quoted, strings. Anchors, aliases,
 * tags, duplicate keys and second documents are refused.
 *
 * Returns: 0 or -EINVAL, -EIO, -ENOMEM with @error saying "FILE:LINE: ...".
 * Owns: the caller ends *@ret_source with yaml_source_close().
 */
int yaml_read(FILE *stream, const char *name, struct yaml_source *ret_source,
	      struct error *error);
void yaml_source_close(struct yaml_source *source);

/* The line of @pointer or of the nearest value around it; 1 if none is known.
 */
int yaml_source_line(const struct yaml_source *source, const char *pointer);

#endif
