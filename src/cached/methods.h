/* SPDX-License-Identifier: Apache-2.0 */
/*
 * methods.h - what the control plane can ask of forebay-cached.
 *
 *   status       {}              version, pid, clients, kept memory
 *   pools        {"pools": []}   sets the pools
 *   pool-stats   {}              space, files and disks of each directory
 *   disk-info    {"uuid"}        the disk's cache file
 *   disk-delete  {"uuid"}        -EBUSY while a process holds its lock
 */
#ifndef FOREBAY_CACHED_METHODS_H
#define FOREBAY_CACHED_METHODS_H

#include "cached.h"
#include "control.h"

/* For control_server_create(); their owner is the `struct cached`. */
extern const struct control_method methods[];

#endif
