/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.h - what this host's disks and pools do, for Prometheus. */
#ifndef FOREBAY_AGENT_METRICS_H
#define FOREBAY_AGENT_METRICS_H

#include "agent.h"
#include "problem.h"

/*
 * All families, always; a disk whose process doesn't answer in time has no
 * samples of what only that knows. @ret_text: the caller frees it. Blocks for a
 * few seconds at most.
 */
int metrics_render(struct agent *agent, char **ret_text,
		   struct problem *problem);

#endif
