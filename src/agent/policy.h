/* SPDX-License-Identifier: Apache-2.0 */
/* policy.h - named, versioned lists of filters with properties. */
#ifndef FOREBAY_AGENT_POLICY_H
#define FOREBAY_AGENT_POLICY_H

#include <jansson.h>

#include "agent.h"
#include "problem.h"

int policy_create(struct agent *agent, const json_t *body, json_t **ret_policy,
		  struct problem *problem);
int policy_show(struct agent *agent, const char *name, json_t **ret_policy,
		struct problem *problem);
int policy_list(struct agent *agent, json_t **ret_policies,
		struct problem *problem);

#endif
