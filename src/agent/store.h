/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h - what a host remembers: keys, values, revisions.
 *
 * One interface, several drivers; tests/agent/store_test.c is what each of them
 * must do. Every change is a transaction that compares first, so that two
 * writers never overwrite each other unseen. Each committed transaction has a
 * revision greater than all before it, and every key that it puts carries it.
 *
 * Threads: any; a store does its own locking. A call touches local files only
 * and returns soon, so it may be made under another lock. Never the reverse.
 */
#ifndef FOREBAY_AGENT_STORE_H
#define FOREBAY_AGENT_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define STORE_KEY_BYTES_MAX 2048u
#define STORE_VALUE_BYTES_MAX (1u << 20)

struct store;

struct store_entry {
	char *key;
	char *value; /* text; JSON in all our uses */
	int64_t revision; /* of the transaction that put it; > 0 */
};

/* Entries in order of their keys. */
struct store_list {
	struct store_entry *entries;
	size_t count;
};

/* Holds when @key has exactly @revision; 0: when there is no such key. */
struct store_compare {
	const char *key;
	int64_t revision;
};

/* Puts @value, or deletes @key if @value is NULL. */
struct store_change {
	const char *key;
	const char *value;
};

struct store_txn {
	const struct store_compare *compares;
	size_t compare_count;
	const struct store_change *changes;
	size_t change_count;
};

int store_open_sqlite(const char *path, struct store **ret_store,
		      struct error *error);
/* Forgets everything when closed. */
int store_open_mem(struct store **ret_store);
/* NULL is fine. */
void store_close(struct store *store);

/* Returns: 0, -ENOENT, or what the driver failed with. */
int store_get(struct store *store, const char *key,
	      struct store_entry *ret_entry);
int store_list(struct store *store, const char *prefix,
	       struct store_list *ret_list);
/*
 * Makes all changes if all compares hold, else none.
 * Returns: 0, -ESTALE when a compare doesn't hold, -E2BIG for a key or value
 * over its limit, or what the driver failed with (then nothing changed).
 */
int store_txn(struct store *store, const struct store_txn *txn);
/* store_txn() of one change without a compare. */
int store_put(struct store *store, const char *key, const char *value);

/* Frees what store_get() and store_list() returned; zeroed ones are fine. */
void store_entry_free(struct store_entry *entry);
void store_list_free(struct store_list *list);

#define _cleanup_entry_ __attribute__((cleanup(store_entry_free)))
#define _cleanup_list_ __attribute__((cleanup(store_list_free)))

#endif
