/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filters.h - the filters of this host: those that ship with Forebay, NAME.so
 * in one folder, and bundles that were installed, each version in a folder.
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

/* A key is trusted, or not any more: what bundles said has to be asked again.
 */
void filters_forget(struct filters *filters);

/* All, in order of names and versions, broken ones with an "issue" (api:
 * Filter). */
int filters_list(struct filters *filters, json_t **ret_list,
		 struct problem *problem);
/* NAME (the newest) or NAME@VERSION, with `schema` of its properties unless it
 * has an issue. */
int filters_show(struct filters *filters, const char *name, json_t **ret_filter,
		 struct problem *problem);
/* The same, if it works (api: Filter). Returns: 0 or a problem. */
int filters_find(struct filters *filters, const char *name, json_t **ret_filter,
		 struct problem *problem);

#endif
