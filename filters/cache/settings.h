/* SPDX-License-Identifier: Apache-2.0 */
/* settings.h - the cache filter's properties, and what they mean to the engine.
 */
#ifndef FOREBAY_CACHE_SETTINGS_H
#define FOREBAY_CACHE_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine.h"
#include "forebay/filter.h"

extern const struct forebay_property settings_properties[];

enum engine_mode settings_mode(const struct forebay_host *host,
			       struct forebay_instance *instance);
bool settings_durable_writes(const struct forebay_host *host,
			     struct forebay_instance *instance);
uint64_t settings_max_dirty_age_ns(const struct forebay_host *host,
				   struct forebay_instance *instance,
				   const struct forebay_disk *disk);
uint64_t settings_limit(const struct forebay_host *host,
			struct forebay_instance *instance);
uint64_t settings_reservation(const struct forebay_host *host,
			      struct forebay_instance *instance);
/* As of engine_config: 0 is no limit of its own. */
uint64_t settings_max_dirty_bytes(const struct forebay_host *host,
				  struct forebay_instance *instance);
uint64_t settings_destage_rate(const struct forebay_host *host,
			       struct forebay_instance *instance);

#endif
