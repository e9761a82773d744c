// SPDX-License-Identifier: Apache-2.0
/*
 * metrics_filters.c - the format wants all samples of a family together, and
 * they come disk by disk: so they are gathered first.
 *
 * What a filter calls its metrics was checked by the disk's process, which is
 * not to be believed: a name that the format can't have is left out.
 */
#include "metrics_filters.h"

#include <stdbool.h>
#include <string.h>

#define LABELS(...) ((const struct exposition_label[]){__VA_ARGS__, {0}})
#define FAMILY_BYTES 160u

static const char *text(const json_t *object, const char *member)
{
	const char *value = json_string_value(json_object_get(object, member));

	return value ? value : "";
}

/* -- of every filter ------------------------------------------------------- */

struct common {
	const char *family;
	const char *help;
	enum exposition_type type;
	const char *object; /* member of the filter's document */
	const char *member;
};

static const struct common common[] = {
	{"forebay_filter_blocked_total",
	 "Callbacks of the filter that kept the disk's loop for 10 ms or more.",
	 EXPOSITION_COUNTER, "blocked", "count"},
	{"forebay_filter_held_requests", "Requests that the filter has now.",
	 EXPOSITION_GAUGE, "held", "requests"},
	{"forebay_filter_overdue_requests",
	 "Requests that it has had for over a minute without saying that it "
	 "holds requests.",
	 EXPOSITION_GAUGE, "held", "overdue"},
};

/* Whether the disk has a filter of that name before place @index. */
static bool is_repeated(const json_t *filters, size_t index)
{
	const char *name = text(json_array_get(filters, index), "name");

	for (size_t i = 0; i < index; i++)
		if (strcmp(text(json_array_get(filters, i), "name"), name) == 0)
			return true;
	return false;
}

static void write_common(struct exposition *out, const json_t *disks,
			 const struct common *figure)
{
	const json_t *entry, *filter;
	size_t index, at;

	exposition_family(out, figure->family, figure->type, figure->help);
	json_array_foreach(disks, index, entry)
	{
		const char *disk = text(json_object_get(entry, "disk"), "name");
		const json_t *filters = json_object_get(
			json_object_get(entry, "stats"), "filters");

		json_array_foreach(filters, at, filter)
		{
			const json_t *value = json_object_get(
				json_object_get(filter, figure->object),
				figure->member);

			if (json_is_number(value) && !is_repeated(filters, at))
				exposition_sample(
					out, "",
					LABELS({"disk", disk},
					       {"filter",
						text(filter, "name")}),
					json_number_value(value));
		}
	}
}

/* -- what they declare ----------------------------------------------------- */

static bool has_suffix(const char *name, const char *suffix)
{
	size_t length = strlen(name);
	size_t end = strlen(suffix);

	return length > end && strcmp(name + length - end, suffix) == 0;
}

/* Returns: false if no family can be called so. */
static bool family_name(const json_t *filter, const json_t *metric,
			char *buffer, size_t bytes)
{
	const char *unit = text(metric, "unit");
	bool counts = strcmp(text(metric, "kind"), "counter") == 0;
	const char *name = text(metric, "name");
	int length =
		snprintf(buffer, bytes, "forebay_filter_%s_%s%s%s%s",
			 text(filter, "name"), name, *unit ? "_" : "", unit,
			 counts && !has_suffix(name, "_total") ? "_total" : "");

	for (char *c = buffer; *c; c++)
		if (*c == '-')
			*c = '_';
	return *name && length > 0 && (size_t)length < bytes &&
	       strspn(buffer, "abcdefghijklmnopqrstuvwxyz0123456789_") ==
		       (size_t)length;
}

static void gather_one(json_t *families, const char *name, const char *disk,
		       json_t *metric)
{
	json_t *family = json_object_get(families, name);

	if (!family) {
		family = json_pack("{s:O, s:[]}", "first", metric, "samples");
		json_object_set_new(families, name, family);
	}
	json_array_append_new(
		json_object_get(family, "samples"),
		json_pack("{s:s, s:O}", "disk", disk, "metric", metric));
}

static void gather(json_t *families, const char *disk, const json_t *filters)
{
	const json_t *filter;
	json_t *metric;
	char name[FAMILY_BYTES];
	size_t index, at;

	json_array_foreach(filters, index, filter)
	{
		if (is_repeated(filters, index))
			continue;
		json_array_foreach(json_object_get(filter, "metrics"), at,
				   metric)
		{
			if (family_name(filter, metric, name, sizeof(name)))
				gather_one(families, name, disk, metric);
		}
	}
}

static enum exposition_type type_of(const json_t *metric)
{
	const char *kind = text(metric, "kind");

	if (strcmp(kind, "counter") == 0)
		return EXPOSITION_COUNTER;
	return strcmp(kind, "histogram") == 0 ? EXPOSITION_HISTOGRAM
					      : EXPOSITION_GAUGE;
}

static void write_histogram(struct exposition *out, const char *disk,
			    const json_t *metric)
{
	double count = json_number_value(json_object_get(metric, "count"));
	const json_t *bucket;
	char at_most[32];
	size_t index;

	json_array_foreach(json_object_get(metric, "buckets"), index, bucket)
	{
		snprintf(at_most, sizeof(at_most), "%.10g",
			 json_number_value(json_array_get(bucket, 0)));
		exposition_sample(out, "_bucket",
				  LABELS({"disk", disk}, {"le", at_most}),
				  json_number_value(json_array_get(bucket, 1)));
	}
	exposition_sample(out, "_bucket",
			  LABELS({"disk", disk}, {"le", "+Inf"}), count);
	exposition_sample(out, "_sum", LABELS({"disk", disk}),
			  json_number_value(json_object_get(metric, "sum")));
	exposition_sample(out, "_count", LABELS({"disk", disk}), count);
}

static void write_family(struct exposition *out, const char *name,
			 const json_t *family)
{
	const json_t *first = json_object_get(family, "first");
	enum exposition_type type = type_of(first);
	const json_t *sample;
	size_t index;

	exposition_family(out, name, type, text(first, "help"));
	json_array_foreach(json_object_get(family, "samples"), index, sample)
	{
		const json_t *metric = json_object_get(sample, "metric");

		/* Another version of the filter, on another disk. */
		if (type_of(metric) != type)
			continue;
		if (type == EXPOSITION_HISTOGRAM)
			write_histogram(out, text(sample, "disk"), metric);
		else
			exposition_sample(
				out, "", LABELS({"disk", text(sample, "disk")}),
				json_number_value(
					json_object_get(metric, "value")));
	}
}

void metrics_filters_write(struct exposition *out, const json_t *disks)
{
	json_auto_t *families = json_object();
	const json_t *entry, *family;
	const char *name;
	size_t index;

	for (size_t i = 0; i < sizeof(common) / sizeof(*common); i++)
		write_common(out, disks, &common[i]);
	json_array_foreach(disks, index, entry)
	{
		gather(families, text(json_object_get(entry, "disk"), "name"),
		       json_object_get(json_object_get(entry, "stats"),
				       "filters"));
	}
	json_object_foreach(families, name, family)
		write_family(out, name, family);
}
