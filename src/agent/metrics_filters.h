/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics_filters.h - the metrics of filters: those that each of them has, and
 * those that it declares itself, as forebay_filter_FILTER_NAME.
 *
 * Where a disk has the same filter twice, the one nearer to the VM is shown.
 */
#ifndef FOREBAY_AGENT_METRICS_FILTERS_H
#define FOREBAY_AGENT_METRICS_FILTERS_H

#include <jansson.h>

#include "exposition.h"

/* @disks: [{disk, stats}]. */
void metrics_filters_write(struct exposition *out, const json_t *disks);

#endif
