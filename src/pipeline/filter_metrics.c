// SPDX-License-Identifier: Apache-2.0
/*
 * filter_metrics.c - values in the units of the API: seconds are nanoseconds in
 * here.
 *
 * A histogram is the one that latency.h has for the requests of the exports;
 * what is shown of it are powers of two, where its counts are exact.
 */
#include "filter_metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "latency.h"

/* Shown bounds of histograms: 8 us to 17 s, 512 bytes to 32 MiB, 1 to 2^20. */
#define SECONDS_FIRST_BITS LATENCY_HISTOGRAM_FIRST_BITS
#define SECONDS_LAST_BITS LATENCY_HISTOGRAM_LAST_BITS
#define BYTES_FIRST_BITS 9u
#define BYTES_LAST_BITS 25u
#define PLAIN_FIRST_BITS 0u
#define PLAIN_LAST_BITS 20u
#define NS_IN_SECOND 1e9

struct value {
	int64_t number; /* of a histogram, the sum */
	struct latency *histogram; /* NULL: it isn't one */
};

struct filter_metrics {
	const struct forebay_metric *table;
	uint32_t count;
	struct value values[];
};

static const char *kind_name(enum forebay_metric_kind kind)
{
	switch (kind) {
	case FOREBAY_METRIC_COUNTER:
		return "counter";
	case FOREBAY_METRIC_GAUGE:
		return "gauge";
	case FOREBAY_METRIC_HISTOGRAM:
		return "histogram";
	}
	return NULL;
}

static const char *unit_name(enum forebay_metric_unit unit)
{
	switch (unit) {
	case FOREBAY_UNIT_NONE:
		return "";
	case FOREBAY_UNIT_BYTES:
		return "bytes";
	case FOREBAY_UNIT_SECONDS:
		return "seconds";
	}
	return NULL;
}

static uint32_t count_of(const struct forebay_metric *table)
{
	uint32_t count = 0;

	while (table && table[count].name)
		count++;
	return count;
}

static bool name_valid(const char *name)
{
	size_t length = strnlen(name, FILTER_METRIC_NAME_MAX + 1);

	return length > 0 && length <= FILTER_METRIC_NAME_MAX &&
	       name[0] >= 'a' && name[0] <= 'z' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == length;
}

static bool is_named_before(const struct forebay_metric *table, uint32_t index)
{
	for (uint32_t i = 0; i < index; i++)
		if (strcmp(table[i].name, table[index].name) == 0)
			return true;
	return false;
}

int filter_metrics_check(const struct forebay_metric *table, const char *filter,
			 struct error *error)
{
	uint32_t count = count_of(table);

	if (count > FILTER_METRICS_MAX)
		return error_set(error, -EINVAL,
				 "filter %s declares %u metrics, more than %u",
				 filter, count, FILTER_METRICS_MAX);
	for (uint32_t i = 0; i < count; i++) {
		const struct forebay_metric *metric = &table[i];

		if (!name_valid(metric->name) || !metric->help ||
		    !kind_name(metric->kind) || !unit_name(metric->unit))
			return error_set(
				error, -EINVAL,
				"filter %s declares its metric number %u "
				"wrongly: a name is 1 to %u of a-z, 0-9 and "
				"'_', and help, kind and unit are given",
				filter, i, FILTER_METRIC_NAME_MAX);
		if (is_named_before(table, i))
			return error_set(error, -EINVAL,
					 "filter %s declares the metric '%s' "
					 "twice",
					 filter, metric->name);
	}
	return 0;
}

static json_t *describe(const struct forebay_metric *metric)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "name", metric->name, "kind",
			 kind_name(metric->kind), "unit",
			 unit_name(metric->unit), "help", metric->help);
}

json_t *filter_metrics_describe(const struct forebay_metric *table)
{
	json_t *list = json_array();
	uint32_t count = count_of(table);

	for (uint32_t i = 0; i < count; i++)
		json_array_append_new(list, describe(&table[i]));
	return list;
}

int filter_metrics_create(const struct forebay_metric *table,
			  struct filter_metrics **ret_set)
{
	uint32_t count = count_of(table);
	struct filter_metrics *set =
		calloc(1, sizeof(*set) + count * sizeof(set->values[0]));

	if (!set)
		return -ENOMEM;
	set->table = table;
	set->count = count;
	for (uint32_t i = 0; i < count; i++) {
		if (table[i].kind != FOREBAY_METRIC_HISTOGRAM)
			continue;
		set->values[i].histogram =
			calloc(1, sizeof(*set->values[i].histogram));
		if (!set->values[i].histogram) {
			filter_metrics_destroy(set);
			return -ENOMEM;
		}
	}
	*ret_set = set;
	return 0;
}

void filter_metrics_destroy(struct filter_metrics *set)
{
	if (!set)
		return;
	for (uint32_t i = 0; i < set->count; i++)
		free(set->values[i].histogram);
	free(set);
}

static bool is(const struct filter_metrics *set, uint32_t index,
	       enum forebay_metric_kind kind)
{
	return index < set->count && set->table[index].kind == kind;
}

int filter_metrics_add(struct filter_metrics *set, uint32_t index,
		       uint64_t value)
{
	if (!is(set, index, FOREBAY_METRIC_COUNTER))
		return -EINVAL;
	set->values[index].number += (int64_t)value;
	return 0;
}

int filter_metrics_set(struct filter_metrics *set, uint32_t index,
		       int64_t value)
{
	if (!is(set, index, FOREBAY_METRIC_GAUGE))
		return -EINVAL;
	set->values[index].number = value;
	return 0;
}

int filter_metrics_observe(struct filter_metrics *set, uint32_t index,
			   uint64_t value)
{
	if (!is(set, index, FOREBAY_METRIC_HISTOGRAM))
		return -EINVAL;
	set->values[index].number += (int64_t)value;
	/* A bound of seconds is no exact figure; one of bytes often is one, and
	 * belongs to what is at most that. */
	if (set->table[index].unit != FOREBAY_UNIT_SECONDS && value > 0)
		value--;
	latency_add(set->values[index].histogram, value);
	return 0;
}

static json_t *scaled(double value, enum forebay_metric_unit unit)
{
	return json_real(unit == FOREBAY_UNIT_SECONDS ? value / NS_IN_SECOND
						      : value);
}

static json_t *buckets(const struct latency *histogram,
		       enum forebay_metric_unit unit)
{
	json_t *list = json_array();
	unsigned int bits = PLAIN_FIRST_BITS;
	unsigned int last = PLAIN_LAST_BITS;

	if (unit == FOREBAY_UNIT_SECONDS) {
		bits = SECONDS_FIRST_BITS;
		last = SECONDS_LAST_BITS;
	} else if (unit == FOREBAY_UNIT_BYTES) {
		bits = BYTES_FIRST_BITS;
		last = BYTES_LAST_BITS;
	}
	for (; bits <= last; bits++) {
		uint64_t bound = UINT64_C(1) << bits;

		json_array_append_new(
			list,
			json_pack("[o, I]", scaled((double)bound, unit),
				  (json_int_t)latency_below(histogram, bits)));
	}
	return list;
}

static json_t *document(const struct forebay_metric *metric,
			const struct value *value)
{
	json_t *object = describe(metric);

	if (!value->histogram) {
		json_object_set_new(
			object, "value",
			metric->unit == FOREBAY_UNIT_SECONDS
				? scaled((double)value->number, metric->unit)
				: json_integer(value->number));
		return object;
	}
	json_object_set_new(object, "count",
			    json_integer((json_int_t)value->histogram->count));
	json_object_set_new(object, "sum",
			    scaled((double)value->number, metric->unit));
	json_object_set_new(object, "buckets",
			    buckets(value->histogram, metric->unit));
	return object;
}

json_t *filter_metrics_document(const struct filter_metrics *set)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < set->count; i++)
		json_array_append_new(
			list, document(&set->table[i], &set->values[i]));
	return list;
}
