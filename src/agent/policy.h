/* SPDX-License-Identifier: Apache-2.0 */
/* policy.h - named, versioned lists of filters with properties. */
#ifndef FOREBAY_AGENT_POLICY_H
#define FOREBAY_AGENT_POLICY_H

#include <jansson.h>

#include "agent.h"
#include "problem.h"

int policy_create(struct agent *agent, const json_t *body, json_t **ret_policy,
		  struct problem *problem);
/*
 * An existing policy gets the filters of @body; its open disks are told. The
 * answer's `untold` names those that weren't, and why.
 */
int policy_update(struct agent *agent, const char *reference,
		  const json_t *body, json_t **ret_policy,
		  struct problem *problem);
int policy_show(struct agent *agent, const char *name, json_t **ret_policy,
		struct problem *problem);
int policy_list(struct agent *agent, json_t **ret_policies,
		struct problem *problem);

/* For policy_update.c. A body's two members, and whether the list is right;
 * @ret_filters is a new one, normalised. */
int policy_read(const json_t *body, const char **ret_name,
		const json_t **ret_list, struct problem *problem);
int policy_check_filters(struct agent *agent, const json_t *list,
			 json_t **ret_filters, struct problem *problem);
int policy_refuse_unknown(struct problem *problem, const char *name);

#endif
