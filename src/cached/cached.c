// SPDX-License-Identifier: Apache-2.0
/*
 * cached.c - changes to what forebay-cached knows.
 */
#include "cached.h"

#include <errno.h>

#include "config.h"
#include "log.h"
#include "roster.h"

static bool all_listed(const struct pool_set *set)
{
	for (unsigned int i = 0; i < set->count; i++) {
		if (!set->directories[i].listed)
			return false;
	}
	return true;
}

int cached_find(const struct cached *cached, const uint8_t uuid[UUID_BYTES],
		const struct pool_directory **ret_directory,
		struct error *error)
{
	int status = pool_set_find(&cached->pools, uuid, ret_directory, error);

	if (status == 0 || status == -ENOENT || status == -ENOTUNIQ ||
	    !all_listed(&cached->pools) ||
	    roster_knows(cached->config_path, uuid))
		return status;
	return error_set(error, -ENOENT, "no pool has had a file of it");
}

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
		roster_list(cached->config_path, &set);
	if (status == 0)
		status = config_store(cached->config_path, &set, error);
	if (status < 0)
		return status;
	cached->pools = set;
	log_info("pools set: %u directories", set.count);
	return 0;
}
