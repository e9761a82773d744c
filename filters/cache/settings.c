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

/* forebayd does that: the filter's own close keeps what it has. */
static const char *const on_close[] = {
	"drain",
	"hold",
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
		.description = "Most space that this disk's cache takes on the "
			       "SSD. How much it has, the disks of a pool "
			       "share by use.",
		.type = FOREBAY_PROPERTY_SIZE,
		.default_integer = INT64_C(1) << 30,
		.minimum = INT64_C(64) << 20,
		.maximum = INT64_C(16) << 40,
		.online = true,
	},
	{
		.name = "reservation",
		.description = "Space on the SSD that this disk's cache has "
			       "for certain while the disk is open; 32 MiB of "
			       "it in any case.",
		.type = FOREBAY_PROPERTY_SIZE,
		.default_integer = 0,
		.minimum = 0,
		.maximum = INT64_C(16) << 40,
		.online = true,
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
		.name = "max_dirty_bytes",
		.description = "Most data that the backend may lack; from half "
			       "of it on, writes are slowed to its pace. 0, "
			       "and at most: 70 % of the cache's space.",
		.type = FOREBAY_PROPERTY_SIZE,
		.default_integer = 0,
		.minimum = 0,
		.maximum = INT64_C(16) << 40,
		.online = true,
	},
	{
		.name = "destage_bandwidth",
		.description = "Bytes a second that are written back at most, "
			       "but when writes or somebody else would wait "
			       "for it. 0: no such limit.",
		.type = FOREBAY_PROPERTY_SIZE,
		.default_integer = 0,
		.minimum = 0,
		.maximum = INT64_C(1) << 40,
		.online = true,
	},
	{
		.name = "on_close",
		.description = "What a close of the disk does with data that "
			       "the backend lacks: it is written back at once, "
			       "or when another close asks for it.",
		.type = FOREBAY_PROPERTY_STRING,
		.choices = on_close,
		.default_string = "drain",
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

static uint64_t size_of(const struct forebay_host *host,
			struct forebay_instance *instance, const char *name)
{
	int64_t bytes = 0;

	host->property_integer(instance, name, &bytes);
	assert(bytes >= 0);
	return (uint64_t)bytes;
}

uint64_t settings_limit(const struct forebay_host *host,
			struct forebay_instance *instance)
{
	return size_of(host, instance, "limit");
}

uint64_t settings_reservation(const struct forebay_host *host,
			      struct forebay_instance *instance)
{
	return size_of(host, instance, "reservation");
}

uint64_t settings_max_dirty_bytes(const struct forebay_host *host,
				  struct forebay_instance *instance)
{
	return size_of(host, instance, "max_dirty_bytes");
}

uint64_t settings_destage_rate(const struct forebay_host *host,
			       struct forebay_instance *instance)
{
	return size_of(host, instance, "destage_bandwidth");
}
