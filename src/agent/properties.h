/* SPDX-License-Identifier: Apache-2.0 */
/*
 * properties.h - checks a filter's properties against what the filter says
 * that it takes. Pure.
 */
#ifndef FOREBAY_AGENT_PROPERTIES_H
#define FOREBAY_AGENT_PROPERTIES_H

#include <jansson.h>

#include "problem.h"

/*
 * @description: of one filter, as forebay-disk --describe-filter prints it.
 * @given: an object, or NULL for none.
 * Returns: 0 and in *ret_normal a new object with sizes in bytes and durations
 * in nanoseconds; or a problem that names filter, property, value and choice.
 */
int properties_check(const json_t *description, const json_t *given,
		     json_t **ret_normal, struct problem *problem);

#endif
