/* SPDX-License-Identifier: Apache-2.0 */
/*
 * documents.h - the store's content as JSON documents.
 *
 *	pools/NAME          {name, paths}
 *	pool-paths/PATH     {pool}: a directory belongs to one pool
 *	policies/NAME       {name, version, filters}
 *	disks/ID            {id, name, size_bytes, backend, policy, exports,
 *	                     desired, clean}
 *	disk-names/NAME     {id}
 *	backends/URI        {id}: a backend belongs to one disk
 *	history/ID/NUMBER   what happened to a disk (history.h)
 *	history-heads/ID    {first, next, taken}
 */
#ifndef FOREBAY_AGENT_DOCUMENTS_H
#define FOREBAY_AGENT_DOCUMENTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "store.h"

/* Enough for a pool with all its paths. */
#define DOCUMENTS_CHANGES_MAX 40u

/*
 * Returns: 0 and a new document with its revision (may be NULL), -ENOENT, or
 * why the store can't say.
 */
int documents_get(struct store *store, json_t **ret_document,
		  int64_t *ret_revision, const char *key, ...)
	__attribute__((format(printf, 4, 5)));
bool documents_has(struct store *store, const char *key, ...)
	__attribute__((format(printf, 2, 3)));
/* A new array, in order of keys. */
int documents_list(struct store *store, const char *prefix,
		   json_t **ret_documents);

/* A transaction being put together. Zero it first; committing frees it. */
struct documents_txn {
	struct store_compare compares[DOCUMENTS_CHANGES_MAX];
	size_t compare_count;
	struct store_change changes[DOCUMENTS_CHANGES_MAX];
	size_t change_count;
	bool failed; /* out of memory on the way */
};

/* The key must have @revision; 0 = must not be there. */
void documents_expect(struct documents_txn *txn, int64_t revision,
		      const char *key, ...)
	__attribute__((format(printf, 3, 4)));
/* Takes the reference to @document; NULL counts as out of memory. */
void documents_put(struct documents_txn *txn, json_t *document, const char *key,
		   ...) __attribute__((format(printf, 3, 4)));
void documents_delete(struct documents_txn *txn, const char *key, ...)
	__attribute__((format(printf, 2, 3)));
/* Returns: 0, -ESTALE or -errno, as store_txn(). */
int documents_commit(struct store *store, struct documents_txn *txn);

#endif
