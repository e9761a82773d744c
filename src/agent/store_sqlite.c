/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_sqlite.c - the store of a single host: one table in one file.
 *
 * One connection under one mutex. Commits are synchronous (WAL with
 * synchronous=FULL): what forebayd has answered survives a power loss. The
 * file's user_version is the layout's version; a greater one was written by a
 * later Forebay and is refused rather than guessed at.
 */
#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "store_driver.h"

#define LAYOUT_VERSION 1

enum statement {
	STATEMENT_GET,
	STATEMENT_LIST,
	STATEMENT_PUT,
	STATEMENT_DELETE,
	STATEMENT_REVISION,
	STATEMENT_COUNT /* not one */
};

static const char *const statement_sql[STATEMENT_COUNT] = {
	[STATEMENT_GET] = "SELECT key, value, revision FROM entry"
			  " WHERE key = ?1",
	[STATEMENT_LIST] = "SELECT key, value, revision FROM entry"
			   " WHERE substr(key, 1, length(?1)) = ?1"
			   " ORDER BY key",
	[STATEMENT_PUT] = "INSERT OR REPLACE INTO entry(key, value, revision)"
			  " VALUES(?1, ?2, (SELECT value FROM counter))",
	[STATEMENT_DELETE] = "DELETE FROM entry WHERE key = ?1",
	[STATEMENT_REVISION] = "UPDATE counter SET value = value + 1",
};

static const char layout_sql[] = "BEGIN IMMEDIATE;"
				 "CREATE TABLE IF NOT EXISTS entry("
				 "  key TEXT PRIMARY KEY NOT NULL,"
				 "  value TEXT NOT NULL,"
				 "  revision INTEGER NOT NULL) WITHOUT ROWID;"
				 "CREATE TABLE IF NOT EXISTS counter("
				 "  only INTEGER PRIMARY KEY CHECK(only = 1),"
				 "  value INTEGER NOT NULL);"
				 "INSERT OR IGNORE INTO counter VALUES(1, 0);"
				 "PRAGMA user_version = 1;"
				 "COMMIT;";

struct store_sqlite {
	struct store store;
	pthread_mutex_t lock;
	sqlite3 *database;
	sqlite3_stmt *statements[STATEMENT_COUNT];
};

static struct store_sqlite *store_sqlite_of(struct store *store)
{
	return (struct store_sqlite *)store;
}

/* sqlite's result as an errno; what surprises us is logged. */
static int failure(struct store_sqlite *sqlite, int code)
{
	int base = code & 0xff;

	log_error("store: %s", sqlite3_errmsg(sqlite->database));
	if (base == SQLITE_FULL)
		return -ENOSPC;
	if (base == SQLITE_READONLY || base == SQLITE_CANTOPEN)
		return -EROFS;
	if (base == SQLITE_NOMEM)
		return -ENOMEM;
	if (base == SQLITE_CORRUPT || base == SQLITE_NOTADB)
		return -EUCLEAN;
	return -EIO;
}

static sqlite3_stmt *bind(struct store_sqlite *sqlite, enum statement which,
			  const char *key, const char *value)
{
	sqlite3_stmt *statement = sqlite->statements[which];

	if (key)
		sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
	if (value)
		sqlite3_bind_text(statement, 2, value, -1, SQLITE_STATIC);
	return statement;
}

/* Runs a statement without rows. */
static int execute(struct store_sqlite *sqlite, enum statement which,
		   const char *key, const char *value)
{
	sqlite3_stmt *statement = bind(sqlite, which, key, value);
	int code = sqlite3_step(statement);

	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return code == SQLITE_DONE ? 0 : failure(sqlite, code);
}

static int read_rows(struct store_sqlite *sqlite, enum statement which,
		     const char *key, struct store_list *ret_list)
{
	sqlite3_stmt *statement = bind(sqlite, which, key, NULL);
	struct store_list list = {0};
	int result = 0, code;

	while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
		result = store_list_append(
			&list, (const char *)sqlite3_column_text(statement, 0),
			(const char *)sqlite3_column_text(statement, 1),
			sqlite3_column_int64(statement, 2));
		if (result < 0)
			break;
	}
	if (result == 0 && code != SQLITE_DONE)
		result = failure(sqlite, code);
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	if (result < 0) {
		store_list_free(&list);
		return result;
	}
	*ret_list = list;
	return 0;
}

static int get_locked(struct store_sqlite *sqlite, const char *key,
		      struct store_entry *ret_entry)
{
	_cleanup_list_ struct store_list list = {0};
	int result = read_rows(sqlite, STATEMENT_GET, key, &list);

	if (result < 0)
		return result;
	if (list.count == 0)
		return -ENOENT;
	*ret_entry = list.entries[0];
	list.entries[0] = (struct store_entry){0};
	return 0;
}

static int sqlite_get(struct store *store, const char *key,
		      struct store_entry *ret_entry)
{
	struct store_sqlite *sqlite = store_sqlite_of(store);
	int result;

	pthread_mutex_lock(&sqlite->lock);
	result = get_locked(sqlite, key, ret_entry);
	pthread_mutex_unlock(&sqlite->lock);
	return result;
}

static int sqlite_list(struct store *store, const char *prefix,
		       struct store_list *ret_list)
{
	struct store_sqlite *sqlite = store_sqlite_of(store);
	int result;

	pthread_mutex_lock(&sqlite->lock);
	result = read_rows(sqlite, STATEMENT_LIST, prefix, ret_list);
	pthread_mutex_unlock(&sqlite->lock);
	return result;
}

static int holds(struct store_sqlite *sqlite,
		 const struct store_compare *compare)
{
	_cleanup_entry_ struct store_entry entry = {0};
	int result = get_locked(sqlite, compare->key, &entry);

	if (result < 0 && result != -ENOENT)
		return result;
	return entry.revision == compare->revision ? 0 : -ESTALE;
}

/* Between BEGIN and COMMIT. */
static int txn_body(struct store_sqlite *sqlite, const struct store_txn *txn)
{
	int result = 0;

	for (size_t i = 0; result == 0 && i < txn->compare_count; i++)
		result = holds(sqlite, &txn->compares[i]);
	if (result == 0)
		result = execute(sqlite, STATEMENT_REVISION, NULL, NULL);
	for (size_t i = 0; result == 0 && i < txn->change_count; i++) {
		const struct store_change *change = &txn->changes[i];

		result = execute(sqlite,
				 change->value ? STATEMENT_PUT
					       : STATEMENT_DELETE,
				 change->key, change->value);
	}
	return result;
}

static int run(struct store_sqlite *sqlite, const char *sql)
{
	int code = sqlite3_exec(sqlite->database, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : failure(sqlite, code);
}

static int sqlite_txn(struct store *store, const struct store_txn *txn)
{
	struct store_sqlite *sqlite = store_sqlite_of(store);
	int result;

	pthread_mutex_lock(&sqlite->lock);
	result = run(sqlite, "BEGIN IMMEDIATE");
	if (result == 0) {
		result = txn_body(sqlite, txn);
		if (result == 0)
			result = run(sqlite, "COMMIT");
		/* A failed COMMIT may have rolled back already. */
		if (result < 0 && !sqlite3_get_autocommit(sqlite->database))
			run(sqlite, "ROLLBACK");
	}
	pthread_mutex_unlock(&sqlite->lock);
	return result;
}

static void sqlite_close(struct store *store)
{
	struct store_sqlite *sqlite = store_sqlite_of(store);

	for (int i = 0; i < STATEMENT_COUNT; i++)
		sqlite3_finalize(sqlite->statements[i]);
	sqlite3_close(sqlite->database);
	pthread_mutex_destroy(&sqlite->lock);
	free(sqlite);
}

static const struct store_driver sqlite_driver = {
	.close = sqlite_close,
	.get = sqlite_get,
	.list = sqlite_list,
	.txn = sqlite_txn,
};

static int layout_version(struct store_sqlite *sqlite, int *ret_version)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(sqlite->database, "PRAGMA user_version",
				      -1, &statement, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*ret_version = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	return code == SQLITE_ROW ? 0 : failure(sqlite, code);
}

static int prepare(struct store_sqlite *sqlite, const char *path,
		   struct error *error)
{
	int version = 0, result;

	sqlite3_busy_timeout(sqlite->database, 5000);
	result = run(sqlite, "PRAGMA journal_mode = WAL;"
			     "PRAGMA synchronous = FULL");
	if (result == 0)
		result = layout_version(sqlite, &version);
	if (result == 0 && version > LAYOUT_VERSION)
		return error_set(error, -EPROTO,
				 "store %s has layout %d, this forebayd knows "
				 "%d: use the later version",
				 path, version, LAYOUT_VERSION);
	if (result == 0 && version < LAYOUT_VERSION)
		result = run(sqlite, layout_sql);
	for (int i = 0; result == 0 && i < STATEMENT_COUNT; i++) {
		int code =
			sqlite3_prepare_v3(sqlite->database, statement_sql[i],
					   -1, SQLITE_PREPARE_PERSISTENT,
					   &sqlite->statements[i], NULL);

		result = code == SQLITE_OK ? 0 : failure(sqlite, code);
	}
	if (result < 0)
		return error_set(error, result, "store %s: %s", path,
				 sqlite3_errmsg(sqlite->database));
	return 0;
}

int store_open_sqlite(const char *path, struct store **ret_store,
		      struct error *error)
{
	struct store_sqlite *sqlite = calloc(1, sizeof(*sqlite));
	int result;

	if (!sqlite)
		return error_set(error, -ENOMEM, "store %s: out of memory",
				 path);
	sqlite->store.driver = &sqlite_driver;
	pthread_mutex_init(&sqlite->lock, NULL);
	if (sqlite3_open_v2(path, &sqlite->database,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
			    NULL) != SQLITE_OK)
		result = error_set(error, -EIO, "store %s: %s", path,
				   sqlite3_errmsg(sqlite->database));
	else
		result = prepare(sqlite, path, error);
	if (result < 0) {
		sqlite_close(&sqlite->store);
		return result;
	}
	*ret_store = &sqlite->store;
	return 0;
}
