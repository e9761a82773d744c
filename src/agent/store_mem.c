/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_mem.c - the store of tests: a sorted array that dies with its process.
 *
 * Simple rather than fast; any thread, one mutex. A transaction is made on a
 * copy that replaces the array at its end, so that running out of memory in the
 * middle changes nothing.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "store_driver.h"

struct store_mem {
	struct store store;
	pthread_mutex_t lock;
	struct store_list content; /* in order of keys */
	int64_t revision;
};

static struct store_mem *store_mem_of(struct store *store)
{
	return (struct store_mem *)store;
}

/* Returns: the entry, or NULL with @ret_place where it would stand. */
static struct store_entry *find(const struct store_list *content,
				const char *key, size_t *ret_place)
{
	size_t i;

	for (i = 0; i < content->count; i++) {
		int order = strcmp(content->entries[i].key, key);

		if (order == 0)
			return &content->entries[i];
		if (order > 0)
			break;
	}
	if (ret_place)
		*ret_place = i;
	return NULL;
}

static int copy(const struct store_list *from, const char *prefix,
		struct store_list *ret_to)
{
	struct store_list to = {0};

	for (size_t i = 0; i < from->count; i++) {
		const struct store_entry *entry = &from->entries[i];

		if (strncmp(entry->key, prefix, strlen(prefix)) != 0)
			continue;
		if (store_list_append(&to, entry->key, entry->value,
				      entry->revision) < 0) {
			store_list_free(&to);
			return -ENOMEM;
		}
	}
	*ret_to = to;
	return 0;
}

static void erase(struct store_list *content, struct store_entry *entry)
{
	size_t index = (size_t)(entry - content->entries);

	store_entry_free(entry);
	content->count--;
	memmove(entry, entry + 1, (content->count - index) * sizeof(*entry));
}

static int change(struct store_list *content, const struct store_change *change,
		  int64_t revision)
{
	size_t place = 0;
	struct store_entry *entry = find(content, change->key, &place);
	struct store_entry added;
	int result;

	if (entry) {
		place = (size_t)(entry - content->entries);
		erase(content, entry);
	}
	if (!change->value)
		return 0;
	result = store_list_append(content, change->key, change->value,
				   revision);
	if (result < 0)
		return result;
	added = content->entries[content->count - 1];
	memmove(&content->entries[place + 1], &content->entries[place],
		(content->count - 1 - place) * sizeof(added));
	content->entries[place] = added;
	return 0;
}

static int txn_locked(struct store_mem *mem, const struct store_txn *txn)
{
	struct store_list next = {0};
	int result;

	for (size_t i = 0; i < txn->compare_count; i++) {
		const struct store_compare *compare = &txn->compares[i];
		const struct store_entry *entry =
			find(&mem->content, compare->key, NULL);

		if ((entry ? entry->revision : 0) != compare->revision)
			return -ESTALE;
	}
	result = copy(&mem->content, "", &next);
	for (size_t i = 0; result == 0 && i < txn->change_count; i++)
		result = change(&next, &txn->changes[i], mem->revision + 1);
	if (result < 0) {
		store_list_free(&next);
		return result;
	}
	store_list_free(&mem->content);
	mem->content = next;
	mem->revision++;
	return 0;
}

static int mem_txn(struct store *store, const struct store_txn *txn)
{
	struct store_mem *mem = store_mem_of(store);
	int result;

	pthread_mutex_lock(&mem->lock);
	result = txn_locked(mem, txn);
	pthread_mutex_unlock(&mem->lock);
	return result;
}

static int mem_get(struct store *store, const char *key,
		   struct store_entry *ret_entry)
{
	struct store_mem *mem = store_mem_of(store);
	const struct store_entry *entry;
	int result = -ENOENT;

	pthread_mutex_lock(&mem->lock);
	entry = find(&mem->content, key, NULL);
	if (entry)
		result = store_entry_fill(ret_entry, entry->key, entry->value,
					  entry->revision);
	pthread_mutex_unlock(&mem->lock);
	return result;
}

static int mem_list(struct store *store, const char *prefix,
		    struct store_list *ret_list)
{
	struct store_mem *mem = store_mem_of(store);
	int result;

	pthread_mutex_lock(&mem->lock);
	result = copy(&mem->content, prefix, ret_list);
	pthread_mutex_unlock(&mem->lock);
	return result;
}

static void mem_close(struct store *store)
{
	struct store_mem *mem = store_mem_of(store);

	store_list_free(&mem->content);
	pthread_mutex_destroy(&mem->lock);
	free(mem);
}

static const struct store_driver mem_driver = {
	.close = mem_close,
	.get = mem_get,
	.list = mem_list,
	.txn = mem_txn,
};

int store_open_mem(struct store **ret_store)
{
	struct store_mem *mem = calloc(1, sizeof(*mem));

	if (!mem)
		return -ENOMEM;
	mem->store.driver = &mem_driver;
	pthread_mutex_init(&mem->lock, NULL);
	*ret_store = &mem->store;
	return 0;
}
