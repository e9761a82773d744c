/* SPDX-License-Identifier: Apache-2.0 */
/* lost.h - what can't be read from the SSD, for people. */
#ifndef FOREBAY_CACHE_LOST_H
#define FOREBAY_CACHE_LOST_H

#include "forebay/filter.h"
#include "runner.h"
#include "status.h"

/* Fills in what @status says of it. */
void lost_find(const struct runner *runner, struct status *status);
/* Tells it in the log: so many ranges, and how many there are. */
void lost_tell(const struct runner *runner, const struct forebay_host *host,
	       struct forebay_instance *instance);

#endif
