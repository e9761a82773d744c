/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.c - what all drivers share: limits, and the memory of the answers.
 */
#include "store.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store_driver.h"

void store_close(struct store *store)
{
	if (store)
		store->driver->close(store);
}

int store_get(struct store *store, const char *key,
	      struct store_entry *ret_entry)
{
	return store->driver->get(store, key, ret_entry);
}

int store_list(struct store *store, const char *prefix,
	       struct store_list *ret_list)
{
	return store->driver->list(store, prefix, ret_list);
}

int store_txn(struct store *store, const struct store_txn *txn)
{
	for (size_t i = 0; i < txn->change_count; i++) {
		const struct store_change *change = &txn->changes[i];

		if (strlen(change->key) > STORE_KEY_BYTES_MAX)
			return -E2BIG;
		if (change->value &&
		    strlen(change->value) > STORE_VALUE_BYTES_MAX)
			return -E2BIG;
	}
	return store->driver->txn(store, txn);
}

int store_put(struct store *store, const char *key, const char *value)
{
	const struct store_change change = {.key = key, .value = value};
	const struct store_txn txn = {.changes = &change, .change_count = 1};

	return store_txn(store, &txn);
}

int store_entry_fill(struct store_entry *ret_entry, const char *key,
		     const char *value, int64_t revision)
{
	struct store_entry entry = {.revision = revision};

	assert(revision > 0);
	entry.key = strdup(key);
	entry.value = strdup(value);
	if (!entry.key || !entry.value) {
		store_entry_free(&entry);
		return -ENOMEM;
	}
	*ret_entry = entry;
	return 0;
}

int store_list_append(struct store_list *list, const char *key,
		      const char *value, int64_t revision)
{
	struct store_entry *entries;
	int result;

	entries =
		reallocarray(list->entries, list->count + 1, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	list->entries = entries;
	result = store_entry_fill(&entries[list->count], key, value, revision);
	if (result == 0)
		list->count++;
	return result;
}

void store_entry_free(struct store_entry *entry)
{
	free(entry->key);
	free(entry->value);
	*entry = (struct store_entry){0};
}

void store_list_free(struct store_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		store_entry_free(&list->entries[i]);
	free(list->entries);
	*list = (struct store_list){0};
}
