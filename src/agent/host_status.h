/* SPDX-License-Identifier: Apache-2.0 */
/* host_status.h - the host at a glance. */
#ifndef FOREBAY_AGENT_HOST_STATUS_H
#define FOREBAY_AGENT_HOST_STATUS_H

#include <jansson.h>

#include "agent.h"
#include "problem.h"

int host_status(struct agent *agent, json_t **ret_status,
		struct problem *problem);

#endif
