/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter_metrics.h - the counters, gauges and histograms that a filter
 * declares, as one instance has counted them.
 */
#ifndef FOREBAY_PIPELINE_FILTER_METRICS_H
#define FOREBAY_PIPELINE_FILTER_METRICS_H

#include <jansson.h>
#include <stdint.h>

#include "error.h"
#include "forebay/filter.h"

/* Most metrics of one filter. */
#define FILTER_METRICS_MAX 64u
/* Longest name of one. */
#define FILTER_METRIC_NAME_MAX 47u

struct filter_metrics;

/* Checks what a filter declares. */
int filter_metrics_check(const struct forebay_metric *table, const char *filter,
			 struct error *error);
/* The table as a JSON array. Owns: the caller. */
json_t *filter_metrics_describe(const struct forebay_metric *table);

/* @table: NULL for none; outlives the set. Returns: 0 or -ENOMEM. */
int filter_metrics_create(const struct forebay_metric *table,
			  struct filter_metrics **ret_set);
/* NULL is fine. */
void filter_metrics_destroy(struct filter_metrics *set);

/* Each returns: 0, or -EINVAL if no metric of that kind is there. */
int filter_metrics_add(struct filter_metrics *set, uint32_t index,
		       uint64_t value);
int filter_metrics_set(struct filter_metrics *set, uint32_t index,
		       int64_t value);
int filter_metrics_observe(struct filter_metrics *set, uint32_t index,
			   uint64_t value);
/*
 * An array of {name, kind, unit, help} with a value, or with count, sum, and
 * buckets: [[bound, how many at most that], ...]. Owns: the caller.
 */
json_t *filter_metrics_document(const struct filter_metrics *set);

#endif
