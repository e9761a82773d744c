/* SPDX-License-Identifier: Apache-2.0 */
/* disk_view.h - disks as the API shows them. */
#ifndef FOREBAY_AGENT_DISK_VIEW_H
#define FOREBAY_AGENT_DISK_VIEW_H

#include "disk.h"

int disk_view_one(struct agent *agent, const char *reference, json_t **ret_disk,
		  struct problem *problem);
/* All, in order of names. Open ones are asked at the same time. */
int disk_view_all(struct agent *agent, json_t **ret_disks,
		  struct problem *problem);
/* The same as [{disk, stats}]; stats is null for what doesn't answer. */
int disk_view_measured(struct agent *agent, json_t **ret_disks,
		       struct problem *problem);
/* The API's word for what the supervisor sees. */
const char *disk_view_state(const struct unit *unit);
/* What the cache in a stats document holds back; 0 if there is none. */
uint64_t disk_view_dirty_bytes(const json_t *stats);

#endif
