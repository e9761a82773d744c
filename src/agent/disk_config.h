/* SPDX-License-Identifier: Apache-2.0 */
/* disk_config.h - the file that tells a forebay-disk process what it is. */
#ifndef FOREBAY_AGENT_DISK_CONFIG_H
#define FOREBAY_AGENT_DISK_CONFIG_H

#include "disk.h"

/*
 * Writes lib/disks/ID.json from the disk and its policy. A process that is
 * started again reads the same file, so a disk keeps the filters that it was
 * opened with. *ret_caches: some filter may keep acknowledged data back.
 */
int disk_config_write(struct agent *agent, const struct disk *disk,
		      bool *ret_caches, struct problem *problem);
void disk_config_delete(struct agent *agent, const char *id);

/*
 * Its policy says that what is dirty when it is closed stays in its cache until
 * somebody asks for it.
 */
bool disk_holds_on_close(struct agent *agent, const struct disk *disk);

/* Whether its policy says `on_failure: bypass` of a filter. */
bool disk_config_may_bypass(struct agent *agent, const struct disk *disk);

#endif
