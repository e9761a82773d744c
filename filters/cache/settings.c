// SPDX-License-Identifier: Apache-2.0
/*
 * settings.c - properties come here validated and completed with their
 * defaults, so a failure to read one could only be a name spelt wrong here.
 */
#include "settings.h"

#include <assert.h>
#include <string.h>

static const char *const modes[] = {
	"write-back",
	"write-through",
	"write-around",
	NULL,
};

static const char *const durabilities[] = {
	"flush",
	"write",
	NULL,
};

const struct forebay_property settings_properties[] = {
	{
		.name = "mode",
		.description = "When a write is acknowledged: in the log on "
			       "the SSD, there and on the backend, or on the "
			       "backend alone.",
		.type = FOREBAY_PROPERTY_STRING,
		.choices = modes,
		.default_string = "write-back",
		.online = true,
	},
	{
		.name = "durability",
		.description = "What survives a power failure: what a flush "
			       "has covered, or each write that was "
			       "acknowledged.",
		.type = FOREBAY_PROPERTY_STRING,
		.choices = durabilities,
		.default_string = "flush",
		.online = true,
	},
	{
		.name = "limit",
		.description = "Space of this disk's cache file on the SSD.",
		.type = FOREBAY_PROPERTY_SIZE,
		.default_integer = INT64_C(1) << 30,
		.minimum = INT64_C(64) << 20,
		.maximum = INT64_C(16) << 40,
	},
	{
		.name = "max_dirty_age",
		.description = "Longest time that a write waits on the SSD "
			       "while the backend answers.",
		.type = FOREBAY_PROPERTY_DURATION,
		.default_integer = INT64_C(60) * 1000 * 1000 * 1000,
		.minimum = INT64_C(100) * 1000 * 1000,
		.maximum = INT64_C(7) * 24 * 3600 * 1000 * 1000 * 1000,
		.online = true,
	},
	{
		.name = "pool",
		.description = "Pool that the cache file is made in; empty "
			       "means whichever has most free space.",
		.type = FOREBAY_PROPERTY_STRING,
		.default_string = "",
	},
	{.name = NULL},
};

__attribute__((visibility("default"))) enum engine_mode settings_mode(
	const struct forebay_host *host, struct forebay_instance *instance)
{
	const char *mode = NULL;

	host->property_string(instance, "mode", &mode);
	assert(mode);
	if (strcmp(mode, "write-through") == 0)
		return ENGINE_WRITE_THROUGH;
	if (strcmp(mode, "write-around") == 0)
		return ENGINE_WRITE_AROUND;
	return ENGINE_WRITE_BACK;
}

bool settings_durable_writes(const struct forebay_host *host,
			     struct forebay_instance *instance)
{
	const char *durability = NULL;

	host->property_string(instance, "durability", &durability);
	assert(durability);
	return strcmp(durability, "write") == 0;
}

uint64_t settings_max_dirty_age_ns(const struct forebay_host *host,
				   struct forebay_instance *instance,
				   const struct forebay_disk *disk)
{
	int64_t age_ns = 0;

	/* Below takes no writes: what is dirty stays where it is. */
	if (disk->read_only)
		return INT64_MAX;
	host->property_integer(instance, "max_dirty_age", &age_ns);
	assert(age_ns > 0);
	return (uint64_t)age_ns;
}
