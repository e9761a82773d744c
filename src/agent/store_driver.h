/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_driver.h - what a driver of store.h provides.
 *
 * A driver embeds `struct store` as its first member. Keys and values have
 * been checked against their limits when a driver sees them.
 */
#ifndef FOREBAY_AGENT_STORE_DRIVER_H
#define FOREBAY_AGENT_STORE_DRIVER_H

#include "store.h"

struct store_driver {
	void (*close)(struct store *store);
	int (*get)(struct store *store, const char *key,
		   struct store_entry *ret_entry);
	int (*list)(struct store *store, const char *prefix,
		    struct store_list *ret_list);
	int (*txn)(struct store *store, const struct store_txn *txn);
};

struct store {
	const struct store_driver *driver;
};

/* Copies. Returns: 0 or -ENOMEM, then nothing is allocated. */
int store_entry_fill(struct store_entry *ret_entry, const char *key,
		     const char *value, int64_t revision);
/* Appends a copy. Returns: 0 or -ENOMEM. */
int store_list_append(struct store_list *list, const char *key,
		      const char *value, int64_t revision);

#endif
