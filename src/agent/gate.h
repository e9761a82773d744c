/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate.h - where the words of a request are checked, once.
 *
 * Pure: no file, no store. Behind the gate names are names and sizes are sizes.
 */
#ifndef FOREBAY_AGENT_GATE_H
#define FOREBAY_AGENT_GATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "problem.h"

#define GATE_NAME_LENGTH_MAX 63u
#define GATE_PATH_LENGTH_MAX 1023u
#define GATE_LIST_MAX 16u
/* Of a disk; beyond what any file system holds, far from overflow. */
#define GATE_SIZE_MAX (UINT64_C(1) << 60)

/* Members @known (ends with NULL) and no others. */
int gate_object(const json_t *object, const char *const *known,
		struct problem *problem);
/* A string member. A missing one is NULL, or refused if @required. */
int gate_string(const json_t *object, const char *member, bool required,
		const char **ret_text, struct problem *problem);
/* A list member of 1 to GATE_LIST_MAX values; NULL if missing, as above. */
int gate_list(const json_t *object, const char *member, bool required,
	      const json_t **ret_list, struct problem *problem);
/* The member `name`: a-z 0-9 . - _, 1 to 63, no id. @kind: "disk". */
int gate_name(const json_t *object, const char *kind, const char **ret_name,
	      struct problem *problem);
/* An optional disk size: a multiple of 512; *ret_bytes = 0 if missing. */
int gate_size(const json_t *object, const char *member, uint64_t *ret_bytes,
	      struct problem *problem);
/*
 * "file:" and an absolute path, which is returned; or the URI of an NBD export,
 * for which *ret_path is NULL.
 */
int gate_backend(const char *uri, const char **ret_path,
		 struct problem *problem);
/* "true" or "false"; NULL = false. */
int gate_flag(const char *parameter, const char *text, bool *ret_value,
	      struct problem *problem);

/* An optional member from 1 to @maximum; *ret_number stays if it's missing. */
int gate_number(const json_t *object, const char *member, unsigned int maximum,
		unsigned int *ret_number, struct problem *problem);
/* An optional member true or false; false if it's missing. */
int gate_boolean(const json_t *object, const char *member, bool *ret_value,
		 struct problem *problem);

bool gate_is_name(const char *text);
/* Absolute, within the limit, no control characters. */
bool gate_is_path(const char *text);

#endif
