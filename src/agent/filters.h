/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filters.h - the filters installed on this host: NAME.so in one folder.
 *
 * forebayd never loads a filter: `forebay-disk --describe-filter` does, in a
 * process of its own that may crash or hang as it likes. What it said is kept
 * until the file changes.
 *
 * Thread: any.
 */
#ifndef FOREBAY_AGENT_FILTERS_H
#define FOREBAY_AGENT_FILTERS_H

#include <jansson.h>

#include "error.h"
#include "host.h"
#include "problem.h"

struct filters;

int filters_create(const struct host *host, struct filters **ret_filters);
/* NULL is fine. */
void filters_destroy(struct filters *filters);

/* All, in order of names, broken ones with an "issue" (api: Filter). */
int filters_list(struct filters *filters, json_t **ret_list,
		 struct problem *problem);
/* One of them, with `schema` of its properties unless it has an issue. */
int filters_show(struct filters *filters, const char *name, json_t **ret_filter,
		 struct problem *problem);
/* One that works (api: Filter). Returns: 0 or a problem. */
int filters_find(struct filters *filters, const char *name, json_t **ret_filter,
		 struct problem *problem);

#endif
