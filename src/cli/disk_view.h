/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_view.h - a disk's documents for people; each is an output_present_fn.
 */
#ifndef FOREBAY_CLI_DISK_VIEW_H
#define FOREBAY_CLI_DISK_VIEW_H

#include <jansson.h>

int disk_view_list(const json_t *list);
int disk_view_show(const json_t *disk);
int disk_view_stats(const json_t *stats);
int disk_view_history(const json_t *history); /* disk_history.c */
/* What filters of a disk say: {items}. */
int disk_view_filters(const json_t *list);
int disk_view_advice(const json_t *advice); /* disk_advice.c */
/* One line each, for what was just done. */
int disk_view_created(const json_t *disk);
int disk_view_opened(const json_t *disk);
int disk_view_restarted(const json_t *disk);
int disk_view_resized(const json_t *disk);
int disk_view_closed(const json_t *disk);
int disk_view_flushed(const json_t *disk);
int disk_view_held(const json_t *disk);
int disk_view_released(const json_t *disk);
int disk_view_notified(const json_t *disk);
int disk_view_deleted(const json_t *deleted);

#endif
