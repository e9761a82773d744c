/* SPDX-License-Identifier: Apache-2.0 */
/*
 * documents.c - reads, lists and changes documents.
 */
#include "documents.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"

static char *format_key(const char *format, va_list arguments)
{
	char *key;

	return vasprintf(&key, format, arguments) < 0 ? NULL : key;
}

static int parse(const struct store_entry *entry, json_t **ret_document)
{
	json_t *document = json_loads(entry->value, 0, NULL);

	if (!document) {
		log_error("store: %s is not a document", entry->key);
		return -EUCLEAN;
	}
	*ret_document = document;
	return 0;
}

int documents_get(struct store *store, json_t **ret_document,
		  int64_t *ret_revision, const char *key, ...)
{
	_cleanup_entry_ struct store_entry entry = {0};
	va_list arguments;
	char *whole;
	int result;

	va_start(arguments, key);
	whole = format_key(key, arguments);
	va_end(arguments);
	if (!whole)
		return -ENOMEM;
	result = store_get(store, whole, &entry);
	free(whole);
	if (result == 0)
		result = parse(&entry, ret_document);
	if (result == 0 && ret_revision)
		*ret_revision = entry.revision;
	return result;
}

bool documents_has(struct store *store, const char *key, ...)
{
	_cleanup_entry_ struct store_entry entry = {0};
	va_list arguments;
	char *whole;
	int result;

	va_start(arguments, key);
	whole = format_key(key, arguments);
	va_end(arguments);
	if (!whole)
		return false;
	result = store_get(store, whole, &entry);
	free(whole);
	return result == 0;
}

int documents_list(struct store *store, const char *prefix,
		   json_t **ret_documents)
{
	_cleanup_list_ struct store_list list = {0};
	json_auto_t *documents = json_array();
	int result = store_list(store, prefix, &list);

	for (size_t i = 0; result == 0 && i < list.count; i++) {
		json_t *document = NULL;

		result = parse(&list.entries[i], &document);
		if (result == 0 &&
		    json_array_append_new(documents, document) < 0)
			result = -ENOMEM;
	}
	if (result == 0)
		*ret_documents = json_incref(documents);
	return result;
}

void documents_expect(struct documents_txn *txn, int64_t revision,
		      const char *key, ...)
{
	struct store_compare *compare = &txn->compares[txn->compare_count++];
	va_list arguments;

	assert(txn->compare_count <= DOCUMENTS_CHANGES_MAX);
	va_start(arguments, key);
	compare->key = format_key(key, arguments);
	va_end(arguments);
	compare->revision = revision;
	txn->failed |= !compare->key;
}

void documents_put(struct documents_txn *txn, json_t *document, const char *key,
		   ...)
{
	struct store_change *change = &txn->changes[txn->change_count++];
	va_list arguments;

	assert(txn->change_count <= DOCUMENTS_CHANGES_MAX);
	va_start(arguments, key);
	change->key = format_key(key, arguments);
	va_end(arguments);
	change->value = document ? json_dumps(document, JSON_COMPACT) : NULL;
	json_decref(document);
	txn->failed |= !change->key || !change->value;
}

void documents_delete(struct documents_txn *txn, const char *key, ...)
{
	struct store_change *change = &txn->changes[txn->change_count++];
	va_list arguments;

	assert(txn->change_count <= DOCUMENTS_CHANGES_MAX);
	va_start(arguments, key);
	change->key = format_key(key, arguments);
	va_end(arguments);
	change->value = NULL;
	txn->failed |= !change->key;
}

int documents_commit(struct store *store, struct documents_txn *txn)
{
	const struct store_txn whole = {
		.compares = txn->compares,
		.compare_count = txn->compare_count,
		.changes = txn->changes,
		.change_count = txn->change_count,
	};
	int result = txn->failed ? -ENOMEM : store_txn(store, &whole);

	for (size_t i = 0; i < txn->compare_count; i++)
		free((char *)txn->compares[i].key);
	for (size_t i = 0; i < txn->change_count; i++) {
		free((char *)txn->changes[i].key);
		free((char *)txn->changes[i].value);
	}
	*txn = (struct documents_txn){0};
	return result;
}
