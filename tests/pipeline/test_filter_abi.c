// SPDX-License-Identifier: Apache-2.0
/*
 * test_filter_abi.c - what filters that were built long ago rely on.
 *
 * Sizes and offsets of the first version of the ABI, on a 64-bit machine. A
 * line here never changes; a table that grew gets another line for its new end.
 */
#include <assert.h>
#include <stddef.h>
#include <stdio.h>

#include <forebay/filter.h>

#define AT(type, member, offset) \
	static_assert(offsetof(struct type, member) == (offset), "ABI")

static_assert(sizeof(void *) == 8, "the figures are of 64-bit machines");

AT(forebay_disk, struct_size, 0);
AT(forebay_disk, size_bytes, 8);
AT(forebay_disk, uuid, 16);
AT(forebay_disk, name, 32);
AT(forebay_disk, read_only, 40);

AT(forebay_io, operation, 0);
AT(forebay_io, file, 8);
AT(forebay_io, iov, 16);
AT(forebay_io, offset, 24);
AT(forebay_io, done, 40);
AT(forebay_io, host_private, 56);
/* Filters embed these: they can't grow. */
static_assert(sizeof(struct forebay_io) == 248, "ABI");
static_assert(sizeof(struct forebay_timer) == 144, "ABI");
static_assert(sizeof(struct forebay_deferred) == 80, "ABI");
static_assert(sizeof(struct forebay_work) == 152, "ABI");
/* Filters have arrays of these: they can't grow either. */
static_assert(sizeof(struct forebay_property) == 64, "ABI");
AT(forebay_property, choices, 16);
AT(forebay_property, default_integer, 32);
AT(forebay_property, type, 56);
AT(forebay_property, online, 60);

AT(forebay_host, struct_size, 4);
AT(forebay_host, request_operation, 8);
AT(forebay_host, request_forward, 56);
AT(forebay_host, io_submit, 72);
AT(forebay_host, now_ns, 80);
AT(forebay_host, defer, 104);
AT(forebay_host, channel_open, 112);
AT(forebay_host, open_done, 136);
AT(forebay_host, explain, 152);
AT(forebay_host, log, 160);
AT(forebay_host, property_integer, 176);
AT(forebay_host, property_boolean, 192);
AT(forebay_host, request_extents, 200);
AT(forebay_host, below_hold, 216);
AT(forebay_host, below_void, 224);
AT(forebay_host, event_end, 232);
AT(forebay_host, file_find, 240);
AT(forebay_host, request_stable, 248);
AT(forebay_host, request_replace, 256);
AT(forebay_host, metric_add, 264);
AT(forebay_host, metric_observe, 280);
AT(forebay_host, call_integer, 288);
AT(forebay_host, call_done, 312);
AT(forebay_host, work_submit, 320);
AT(forebay_host, arena_free, 336);
AT(forebay_host, sidecar_file, 344);
AT(forebay_host, sidecar_resize, 352);
AT(forebay_host, report, 360);

AT(forebay_below, flags, 4);
AT(forebay_below, next_generation, 16);
AT(forebay_below, void_generation, 24);

AT(forebay_sidecar_file, file, 8);
AT(forebay_sidecar_file, length_bytes, 16);
AT(forebay_sidecar_file, last_version, 24);
/* Filters have arrays of these. */
static_assert(sizeof(struct forebay_sidecar) == 64, "ABI");
AT(forebay_sidecar, length_bytes_max, 16);

/* Host and filters share lists of these: they can't grow. */
static_assert(sizeof(struct forebay_extent) == 16, "ABI");
static_assert(sizeof(struct forebay_extents) == 16, "ABI");
AT(forebay_extent, flags, 8);
AT(forebay_extents, capacity, 8);
AT(forebay_extents, count, 12);

AT(forebay_filter, struct_size, 4);
AT(forebay_filter, name, 8);
AT(forebay_filter, filter_class, 32);
AT(forebay_filter, operations, 36);
AT(forebay_filter, properties, 48);
AT(forebay_filter, open, 56);
AT(forebay_filter, completed, 80);
AT(forebay_filter, channel_message, 104);
AT(forebay_filter, action, 128);
AT(forebay_filter, events, 136);
AT(forebay_filter, event, 144);
AT(forebay_filter, files, 152);
/* Filters have arrays of these: they can't grow. */
static_assert(sizeof(struct forebay_file) == 16, "ABI");
AT(forebay_filter, flags, 160);
AT(forebay_filter, metrics, 168);
AT(forebay_filter, call, 184);
static_assert(sizeof(struct forebay_action) == 24, "ABI");
/* Filters have arrays of these. */
static_assert(sizeof(struct forebay_metric) == 24, "ABI");
AT(forebay_filter, sidecars, 192);

AT(forebay_event, phase, 8);
AT(forebay_event, deadline_ns, 16);
AT(forebay_event, name, 32);

/* The compiler has done the work. */
int main(void)
{
	puts("1..1\nok 1 - what_old_filters_rely_on_is_where_it_was");
	return 0;
}
