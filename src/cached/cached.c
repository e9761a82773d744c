// SPDX-License-Identifier: Apache-2.0
/*
 * cached.c - changes to what forebay-cached knows.
 */
#include "cached.h"

#include "config.h"
#include "log.h"

int cached_set_pools(struct cached *cached, const json_t *pools,
		     struct error *error)
{
	struct pool_set set;
	int status = pool_set_parse(pools, &set, error);

	if (status < 0)
		return status;
	pool_set_inherit(&set, &cached->pools);
	status = pool_set_check_leavers(&set, &cached->pools, error);
	if (status == 0)
		status = pool_set_join(&set, error);
	if (status == 0)
		status = config_store(cached->config_path, &set, error);
	if (status < 0)
		return status;
	cached->pools = set;
	log_info("pools set: %u directories", set.count);
	return 0;
}
