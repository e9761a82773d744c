/* SPDX-License-Identifier: Apache-2.0 */
/*
 * methods.h - what a disk answers on its control socket.
 *
 *	status          {} -> {state, reason, pid, version, name, uuid}
 *	stats           {} -> pipeline_stats(), "exports", "sandbox"
 *	action          {filter|null, action} -> {}
 *	set-properties  {filter, properties} -> {}
 *	resize          {size_bytes} -> {} when its VM has been told
 *	reopen          {} -> {} when all filters have been opened anew
 *	close           {drain} -> {} when all is closed; the process ends
 */
#ifndef FOREBAY_DISK_METHODS_H
#define FOREBAY_DISK_METHODS_H

#include "control.h"

/* The owner is a struct disk. */
extern const struct control_method disk_methods[];

#endif
