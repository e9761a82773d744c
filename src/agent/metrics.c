// SPDX-License-Identifier: Apache-2.0
/*
 * metrics.c - which figure of which document is which metric.
 *
 * The figures are the API's: disk documents, what a disk's process says of
 * itself, and pools. Names and units are Prometheus': bytes, seconds, _total
 * for what only grows (until the disk's process is another one).
 */
#include "metrics.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data_plane.h"
#include "disk_view.h"
#include "exposition.h"
#include "metrics_filters.h"
#include "pool.h"

/* Of latency.h, where the counts come from: bounds from 2^13 ns on. */
#define HISTOGRAM_FIRST_NS 8192.0
#define NS 1e-9

#define LABELS(...) ((const struct exposition_label[]){__VA_ARGS__, {0}})

/* A number somewhere in a document. */
struct figure {
	const char *family;
	const char *help;
	enum exposition_type type;
	double scale;
	const char *path; /* members, with '.' between */
};

static const struct figure disk_figures[] = {
	{"forebay_disk_size_bytes", "Size of the disk.", EXPOSITION_GAUGE, 1,
	 "size_bytes"},
	{"forebay_disk_dirty_bytes", "Data that the backend lacks.",
	 EXPOSITION_GAUGE, 1, "dirty_bytes"},
	{"forebay_disk_dirty_age_seconds",
	 "How long the oldest data waits to be written back.", EXPOSITION_GAUGE,
	 NS, "dirty_age_ns"},
	{"forebay_disk_lost_bytes",
	 "Data that can't be read from the SSD and stands nowhere else.",
	 EXPOSITION_GAUGE, 1, "lost.bytes"},
	{"forebay_disk_writes_waiting",
	 "1 while writes wait for the backend, since no more may be dirty.",
	 EXPOSITION_GAUGE, 1, "mode.writes_wait"},
	{"forebay_disk_restarts_total",
	 "Starts of the disk's process that nobody asked for.",
	 EXPOSITION_COUNTER, 1, "restarts"},
};

static const struct figure process_figures[] = {
	{"forebay_disk_requests_in_flight", "Requests under way.",
	 EXPOSITION_GAUGE, 1, "in_flight"},
	{"forebay_disk_stuck_requests",
	 "Requests that an export gave up and the backend hasn't ended.",
	 EXPOSITION_GAUGE, 1, "stuck.requests"},
	{"forebay_disk_copied_bytes_total",
	 "Data that were copied on their way, instead of going straight to or "
	 "from the VM's memory.",
	 EXPOSITION_COUNTER, 1, "copied_bytes"},
	{"forebay_disk_backend_errors_total",
	 "Requests that the backend failed.", EXPOSITION_COUNTER, 1,
	 "backend_errors"},
};

static const struct figure cache_figures[] = {
	{"forebay_cache_read_hit_bytes_total", "Read from the cache.",
	 EXPOSITION_COUNTER, 1, "read_hit_bytes"},
	{"forebay_cache_read_miss_bytes_total", "Read from the backend.",
	 EXPOSITION_COUNTER, 1, "read_miss_bytes"},
	{"forebay_cache_write_bytes_total", "Written by the VM.",
	 EXPOSITION_COUNTER, 1, "write_bytes"},
	{"forebay_cache_dirty_limit_bytes", "Most that may be dirty.",
	 EXPOSITION_GAUGE, 1, "dirty_limit_bytes"},
	{"forebay_cache_cached_bytes", "Data in the cache.", EXPOSITION_GAUGE,
	 1, "cached_bytes"},
	{"forebay_cache_capacity_bytes", "Room for the log on the SSD.",
	 EXPOSITION_GAUGE, 1, "capacity_bytes"},
	{"forebay_cache_occupancy_ratio",
	 "Share of that room that data in the cache take.", EXPOSITION_GAUGE, 1,
	 "occupancy_ratio"},
	{"forebay_cache_destaged_bytes_total", "Written back to the backend.",
	 EXPOSITION_COUNTER, 1, "destaged_bytes"},
	{"forebay_cache_ssd_written_bytes_total",
	 "Written to the SSD, with the log's own records.", EXPOSITION_COUNTER,
	 1, "ssd_written_bytes"},
	{"forebay_cache_reappended_bytes_total",
	 "Cached data that were written again to stay.", EXPOSITION_COUNTER, 1,
	 "reappended_bytes"},
	{"forebay_cache_forgotten_bytes_total",
	 "Cached data that were given up.", EXPOSITION_COUNTER, 1,
	 "forgotten_bytes"},
	{"forebay_cache_segments", "Segments of the log.", EXPOSITION_GAUGE, 1,
	 "log.segments"},
	{"forebay_cache_segments_free", "Segments that are free.",
	 EXPOSITION_GAUGE, 1, "log.segments_free"},
	{"forebay_cache_ssd_flushes_total", "Flushes of the SSD.",
	 EXPOSITION_COUNTER, 1, "log.ssd_flushes"},
	{"forebay_cache_backend_flushes_total", "Flushes of the backend.",
	 EXPOSITION_COUNTER, 1, "log.below_flushes"},
	{"forebay_cache_destage_failures_total",
	 "Writes back that the backend failed; they are tried again.",
	 EXPOSITION_COUNTER, 1, "log.destage_failures"},
	{"forebay_cache_throttled_seconds_total",
	 "Time for which writes were held back to the backend's pace.",
	 EXPOSITION_COUNTER, NS, "log.throttled_ns"},
};

static const struct figure share_figures[] = {
	{"forebay_pool_disk_reserved_bytes",
	 "What a disk's cache has for certain.", EXPOSITION_GAUGE, 1,
	 "reserved_bytes"},
	{"forebay_pool_disk_granted_bytes",
	 "What a disk's cache may have now; of a closed disk, what it has.",
	 EXPOSITION_GAUGE, 1, "granted_bytes"},
	{"forebay_pool_disk_used_bytes",
	 "What holds something of a disk's cache.", EXPOSITION_GAUGE, 1,
	 "used_bytes"},
	{"forebay_pool_disk_limit_bytes",
	 "The most that a disk's cache may have; none of a closed disk.",
	 EXPOSITION_GAUGE, 1, "limit_bytes"},
};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const char *const states[] = {"closed",	   "opening",  "open",
				     "restarting", "incoming", "closing",
				     "draining",   "stuck",    "failed"};

static const char *text(const json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member));
}

static const json_t *follow(const json_t *document, const char *path)
{
	while (document && *path) {
		size_t length = strcspn(path, ".");
		char member[64];

		if (length >= sizeof(member))
			return NULL;
		memcpy(member, path, length);
		member[length] = '\0';
		document = json_object_get(document, member);
		path += length + (path[length] == '.');
	}
	return document;
}

/* Returns: NAN if it isn't known. */
static double number(const json_t *value)
{
	if (json_is_boolean(value))
		return json_is_true(value) ? 1 : 0;
	return json_is_number(value) ? json_number_value(value) : NAN;
}

static const json_t *whole_stats(const json_t *stats)
{
	return stats;
}

static const json_t *cache_status(const json_t *stats)
{
	return data_plane_cache_status(stats);
}

/* @disks: [{disk, stats}]; @part: the document that the figures are in. */
static void write_figures(struct exposition *out, const json_t *disks,
			  const struct figure *figures, size_t count,
			  const char *from,
			  const json_t *(*part)(const json_t *))
{
	for (size_t i = 0; i < count; i++) {
		const struct figure *figure = &figures[i];
		const json_t *entry;
		size_t index;

		exposition_family(out, figure->family, figure->type,
				  figure->help);
		json_array_foreach(disks, index, entry)
		{
			const json_t *disk = json_object_get(entry, "disk");
			double value = number(
				follow(part(json_object_get(entry, from)),
				       figure->path));

			if (!isnan(value))
				exposition_sample(
					out, "",
					LABELS({"disk", text(disk, "name")}),
					value * figure->scale);
		}
	}
}

static void write_states(struct exposition *out, const json_t *disks)
{
	const json_t *entry;
	size_t index;

	exposition_family(out, "forebay_disk_state", EXPOSITION_GAUGE,
			  "1 for the state that the disk is in.");
	json_array_foreach(disks, index, entry)
	{
		const json_t *disk = json_object_get(entry, "disk");
		const char *state = text(disk, "state");

		for (size_t i = 0; i < COUNT(states); i++)
			exposition_sample(out, "",
					  LABELS({"disk", text(disk, "name")},
						 {"state", states[i]}),
					  state && strcmp(state, states[i]) ==
							   0);
	}
}

static void write_modes(struct exposition *out, const json_t *disks)
{
	const json_t *entry;
	size_t index;

	exposition_family(out, "forebay_disk_mode_info", EXPOSITION_GAUGE,
			  "1; how the disk's policy wants it to be cached, how "
			  "it is, and the reason of a difference.");
	json_array_foreach(disks, index, entry)
	{
		const json_t *disk = json_object_get(entry, "disk");
		const json_t *mode = json_object_get(disk, "mode");

		exposition_sample(out, "",
				  LABELS({"disk", text(disk, "name")},
					 {"requested", text(mode, "requested")},
					 {"actual", text(mode, "actual")},
					 {"reason", text(mode, "reason")}),
				  1);
	}
}

static void write_bypassed(struct exposition *out, const json_t *disks)
{
	const json_t *entry;
	size_t index;

	exposition_family(out, "forebay_cache_bypassed_bytes_total",
			  EXPOSITION_COUNTER,
			  "Read from the backend and not cached, by reason.");
	json_array_foreach(disks, index, entry)
	{
		const json_t *disk = json_object_get(entry, "disk");
		json_t *bypassed = json_object_get(
			cache_status(json_object_get(entry, "stats")),
			"bypassed");
		const char *member;
		const json_t *value;

		json_object_foreach(bypassed, member, value)
		{
			char reason[64];
			const char *end = strstr(member, "_bytes");

			snprintf(reason, sizeof(reason), "%.*s",
				 (int)(end ? end - member
					   : (ptrdiff_t)strlen(member)),
				 member);
			exposition_sample(out, "",
					  LABELS({"disk", text(disk, "name")},
						 {"reason", reason}),
					  number(value));
		}
	}
}

/* -- requests, by operation ---------------------------------------------- */

struct per_operation {
	struct exposition *out;
	const char *member; /* of an operation's counters; NULL: its times */
};

static void write_times(struct exposition *out, const char *disk,
			const char *operation, const json_t *counters)
{
	const json_t *latency = json_object_get(counters, "latency_us");
	const json_t *histogram = json_object_get(latency, "histogram");
	double bound = HISTOGRAM_FIRST_NS * NS;
	const json_t *count;
	size_t index;
	char at_most[32];

	json_array_foreach(histogram, index, count)
	{
		snprintf(at_most, sizeof(at_most), "%.10g", bound);
		exposition_sample(out, "_bucket",
				  LABELS({"disk", disk},
					 {"operation", operation},
					 {"le", at_most}),
				  number(count));
		bound *= 2;
	}
	exposition_sample(out, "_bucket",
			  LABELS({"disk", disk}, {"operation", operation},
				 {"le", "+Inf"}),
			  number(json_object_get(counters, "count")));
	exposition_sample(out, "_sum",
			  LABELS({"disk", disk}, {"operation", operation}),
			  number(json_object_get(latency, "sum_ns")) * NS);
	exposition_sample(out, "_count",
			  LABELS({"disk", disk}, {"operation", operation}),
			  number(json_object_get(counters, "count")));
}

static void write_operations(const struct per_operation *per,
			     const json_t *disks)
{
	const json_t *entry, *counters;
	const char *operation;
	size_t index;

	json_array_foreach(disks, index, entry)
	{
		const char *disk = text(json_object_get(entry, "disk"), "name");
		json_t *requests = json_object_get(
			json_object_get(entry, "stats"), "requests");

		json_object_foreach(requests, operation, counters)
		{
			if (!per->member)
				write_times(per->out, disk, operation,
					    counters);
			else
				exposition_sample(
					per->out, "",
					LABELS({"disk", disk},
					       {"operation", operation}),
					number(json_object_get(counters,
							       per->member)));
		}
	}
}

static void write_requests(struct exposition *out, const json_t *disks)
{
	exposition_family(out, "forebay_disk_requests_total",
			  EXPOSITION_COUNTER, "Requests that have ended.");
	write_operations(&(struct per_operation){out, "count"}, disks);
	exposition_family(out, "forebay_disk_request_bytes_total",
			  EXPOSITION_COUNTER, "Bytes of these requests.");
	write_operations(&(struct per_operation){out, "bytes"}, disks);
	exposition_family(out, "forebay_disk_request_errors_total",
			  EXPOSITION_COUNTER, "How many of them failed.");
	write_operations(&(struct per_operation){out, "errors"}, disks);
	exposition_family(out, "forebay_disk_request_duration_seconds",
			  EXPOSITION_HISTOGRAM,
			  "From the export's request to its answer.");
	write_operations(&(struct per_operation){out, NULL}, disks);
}

/* -- pools ----------------------------------------------------------------- */

static void write_directories(struct exposition *out, const json_t *pools,
			      const char *member)
{
	const json_t *pool, *directory;
	size_t index, at;

	json_array_foreach(pools, index, pool)
	{
		json_array_foreach(json_object_get(pool, "paths"), at,
				   directory)
		{
			double value =
				number(json_object_get(directory, member));

			if (!isnan(value))
				exposition_sample(
					out, "",
					LABELS({"pool", text(pool, "name")},
					       {"path",
						text(directory, "path")}),
					value);
		}
	}
}

static void write_path_shares(struct exposition *out, const json_t *pool,
			      const json_t *directory, const char *member)
{
	const json_t *share;
	size_t index;

	json_array_foreach(json_object_get(directory, "shares"), index, share)
		exposition_sample(out, "",
				  LABELS({"pool", text(pool, "name")},
					 {"path", text(directory, "path")},
					 {"disk", text(share, "disk")}),
				  number(json_object_get(share, member)));
}

static void write_shares(struct exposition *out, const json_t *pools,
			 const struct figure *figure)
{
	const json_t *pool, *directory;
	size_t index, at;

	exposition_family(out, figure->family, figure->type, figure->help);
	json_array_foreach(pools, index, pool)
	{
		json_array_foreach(json_object_get(pool, "paths"), at,
				   directory)
			write_path_shares(out, pool, directory, figure->path);
	}
}

static void write_pools(struct exposition *out, const json_t *pools)
{
	exposition_family(out, "forebay_pool_directory_size_bytes",
			  EXPOSITION_GAUGE,
			  "Size of the file system of a pool's directory; "
			  "none while it is missing.");
	write_directories(out, pools, "size_bytes");
	exposition_family(out, "forebay_pool_directory_free_bytes",
			  EXPOSITION_GAUGE, "What is free of it.");
	write_directories(out, pools, "free_bytes");
	for (size_t i = 0; i < COUNT(share_figures); i++)
		write_shares(out, pools, &share_figures[i]);
}

int metrics_render(struct agent *agent, char **ret_text,
		   struct problem *problem)
{
	json_auto_t *disks = NULL, *pools = NULL;
	struct exposition out;
	int result = disk_view_measured(agent, &disks, problem);

	if (result == 0)
		result = pool_list(agent, &pools, problem);
	if (result < 0)
		return result;
	if (exposition_begin(&out) < 0)
		return problem_internal(problem, "metrics", -ENOMEM);
	exposition_family(&out, "forebay_build_info", EXPOSITION_GAUGE,
			  "1; the version of forebayd.");
	exposition_sample(&out, "", LABELS({"version", FOREBAY_VERSION}), 1);
	write_states(&out, disks);
	write_modes(&out, disks);
	write_figures(&out, disks, disk_figures, COUNT(disk_figures), "disk",
		      whole_stats);
	write_requests(&out, disks);
	write_figures(&out, disks, process_figures, COUNT(process_figures),
		      "stats", whole_stats);
	write_figures(&out, disks, cache_figures, COUNT(cache_figures), "stats",
		      cache_status);
	write_bypassed(&out, disks);
	metrics_filters_write(&out, disks);
	write_pools(&out, pools);
	*ret_text = exposition_end(&out);
	return *ret_text ? 0 : problem_internal(problem, "metrics", -ENOMEM);
}
