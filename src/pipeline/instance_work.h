/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance_work.h - a filter's work on other threads.
 *
 * The threads start with the first work after instance_work_allow(), for they
 * must be behind the sandbox; until then work is done on the loop.
 */
#ifndef FOREBAY_PIPELINE_INSTANCE_WORK_H
#define FOREBAY_PIPELINE_INSTANCE_WORK_H

#include "forebay/filter.h"

/* From now on the process may have threads. */
void instance_work_allow(void);
/* The host's work_submit(). */
void instance_work_submit(struct forebay_instance *instance,
			  struct forebay_work *work);

#endif
