/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history.c - the store's side of history.h; what processes write is parsed in
 * history_record.c.
 *
 * Entries are numbered. The head of a disk's history is the lock: every change
 * expects it as it was read, so that two threads never use a number twice.
 */
#include "history.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "disk.h"
#include "documents.h"
#include "fd.h"
#include "history_record.h"
#include "log.h"

/* Entries in one transaction, with as many that go for them. */
#define BATCH_MAX 16u
/* Read at once; a longer line is left out. */
#define CHUNK_BYTES (64u << 10)
#define ATTEMPTS 8

static_assert(1 + 2 * BATCH_MAX <= DOCUMENTS_CHANGES_MAX, "they fit");

struct head {
	int64_t revision; /* 0: there is none yet */
	uint64_t first; /* number of the oldest entry */
	uint64_t next;
	uint64_t taken; /* bytes of the process's file */
};

static uint64_t number(const json_t *object, const char *member)
{
	return (uint64_t)json_integer_value(json_object_get(object, member));
}

static int load_head(struct agent *agent, const char *id, struct head *ret_head)
{
	json_auto_t *document = NULL;
	int result;

	*ret_head = (struct head){0};
	result = documents_get(agent->store, &document, &ret_head->revision,
			       "history-heads/%s", id);
	if (result == -ENOENT)
		return 0;
	if (result < 0)
		return result;
	ret_head->first = number(document, "first");
	ret_head->next = number(document, "next");
	ret_head->taken = number(document, "taken");
	return 0;
}

/* Adds @entries, borrowed. Returns: 0, -ESTALE or -errno. */
static int append(struct agent *agent, const char *id, const struct head *head,
		  const json_t *entries, uint64_t taken)
{
	struct documents_txn txn = {0};
	uint64_t first = head->first, next = head->next;

	documents_expect(&txn, head->revision, "history-heads/%s", id);
	for (size_t i = 0; i < json_array_size(entries); i++) {
		json_t *entry = json_incref(json_array_get(entries, i));

		documents_put(&txn, entry, "history/%s/%016" PRIx64, id,
			      next++);
		if (next - first > HISTORY_ENTRIES_MAX)
			documents_delete(&txn, "history/%s/%016" PRIx64, id,
					 first++);
	}
	documents_put(&txn,
		      json_pack("{s:I, s:I, s:I}", "first", (json_int_t)first,
				"next", (json_int_t)next, "taken",
				(json_int_t)taken),
		      "history-heads/%s", id);
	return documents_commit(agent->store, &txn);
}

/* -- what operators do -------------------------------------------------- */

static json_int_t wall_clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (json_int_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void add(struct agent *agent, const char *id, const json_t *entries)
{
	struct head head;
	int result = -ESTALE;

	for (int i = 0; i < ATTEMPTS && result == -ESTALE; i++) {
		result = load_head(agent, id, &head);
		if (result == 0)
			result = append(agent, id, &head, entries, head.taken);
	}
	if (result < 0)
		log_warning("the history of disk %s lacks an entry: %s", id,
			    strerror(-result));
}

void history_note(struct agent *agent, const char *reference, const char *kind,
		  int result, const struct problem *problem, json_t *more)
{
	_cleanup_disk_ struct disk disk = {0};
	json_auto_t *entries = NULL;
	struct problem ignored;
	json_t *entry;

	/* Of one that isn't there, there is none. */
	if (disk_load(agent, reference, &disk, &ignored) < 0) {
		json_decref(more);
		return;
	}
	entry = json_pack("{s:I, s:s, s:s, s:s}", "time_ms", wall_clock_ms(),
			  "source", "operator", "kind", kind, "outcome",
			  result < 0 ? "failed" : "done");
	if (result < 0)
		json_object_set_new(entry, "reason",
				    json_string(problem->detail));
	json_object_update(entry, more);
	json_decref(more);
	entries = json_pack("[o]", entry);
	add(agent, disk.id, entries);
}

/* -- what processes write ----------------------------------------------- */

struct journal {
	int fd;
	uint64_t bytes; /* of the file */
};

/* Returns: 0 or -ENOENT: then nothing is to be read. */
static int open_journal(struct agent *agent, const char *id,
			struct journal *ret_journal)
{
	struct host_path path = host_run(&agent->host, "disks/%s/events", id);
	struct stat status;
	int fd = open(path.text, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return -ENOENT;
	/* The process may put there what it likes. */
	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
		close(fd);
		return -ENOENT;
	}
	*ret_journal = (struct journal){fd, (uint64_t)status.st_size};
	return 0;
}

/*
 * Turns up to BATCH_MAX whole lines from @taken on into entries.
 * Returns: how many bytes they take; 0: there is no whole line.
 */
static size_t read_lines(const struct journal *journal, uint64_t taken,
			 json_t *entries)
{
	char *chunk = malloc(CHUNK_BYTES);
	ssize_t got =
		chunk ? pread(journal->fd, chunk, CHUNK_BYTES, (off_t)taken)
		      : 0;
	size_t at = 0, bytes = got > 0 ? (size_t)got : 0;

	while (at < bytes && json_array_size(entries) < BATCH_MAX) {
		const char *end = memchr(chunk + at, '\n', bytes - at);
		size_t length;

		if (!end)
			break;
		length = (size_t)(end - chunk) - at;
		json_array_append_new(entries,
				      history_record_parse(chunk + at, length,
							   wall_clock_ms()));
		at += length + 1;
	}
	/* Longer than any record is: its end is an unreadable line. */
	if (at == 0 && bytes == CHUNK_BYTES)
		at = bytes;
	free(chunk);
	return at;
}

/* Returns: whether there may be more. */
static bool take_some(struct agent *agent, const char *id,
		      const struct journal *journal)
{
	json_auto_t *entries = json_array();
	struct head head;
	size_t bytes;
	int result = load_head(agent, id, &head);

	if (result < 0)
		return false;
	/* Another file than the one before the machine was started again. */
	if (head.taken > journal->bytes)
		head.taken = 0;
	bytes = read_lines(journal, head.taken, entries);
	if (bytes == 0)
		return false;
	result = append(agent, id, &head, entries, head.taken + bytes);
	if (result == -ESTALE)
		return true;
	if (result < 0) {
		log_warning("the history of disk %s isn't taken over: %s", id,
			    strerror(-result));
		return false;
	}
	/* Its space; the process goes on at the end, as it counts it. */
	if (fallocate(journal->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      0, (off_t)(head.taken + bytes)) < 0)
		log_debug("%s/events: %s", id, strerror(errno));
	return true;
}

/* The next file starts at 0. */
static void forget_journal(struct agent *agent, const char *id)
{
	json_auto_t *none = json_array();
	struct head head;

	if (load_head(agent, id, &head) == 0 && head.taken > 0)
		append(agent, id, &head, none, 0);
}

void history_take(struct agent *agent, const char *id)
{
	_cleanup_fd_ int fd = -1;
	struct journal journal;

	if (open_journal(agent, id, &journal) < 0) {
		forget_journal(agent, id);
		return;
	}
	fd = journal.fd;
	while (take_some(agent, id, &journal))
		continue;
}

void history_take_all(struct agent *agent)
{
	json_auto_t *disks = NULL;
	const json_t *disk;
	size_t index;

	if (documents_list(agent->store, "disks/", &disks) < 0)
		return;
	json_array_foreach(disks, index, disk)
	{
		history_take(agent,
			     json_string_value(json_object_get(disk, "id")));
	}
}

/* -- reading ------------------------------------------------------------ */

struct timed {
	json_t *entry;
	size_t place; /* keeps equal ones in order */
};

static int by_time(const void *a, const void *b)
{
	const struct timed *left = a, *right = b;
	json_int_t earlier =
		json_integer_value(json_object_get(left->entry, "time_ms"));
	json_int_t later =
		json_integer_value(json_object_get(right->entry, "time_ms"));

	if (earlier != later)
		return earlier < later ? -1 : 1;
	return left->place < right->place ? -1 : 1;
}

/* What processes wrote is taken over after what was noted meanwhile. */
static json_t *sorted(const json_t *entries)
{
	size_t count = json_array_size(entries);
	struct timed *timed = calloc(count + 1, sizeof(*timed));
	json_t *list = json_array();

	if (!timed) {
		json_decref(list);
		return NULL;
	}
	for (size_t i = 0; i < count; i++)
		timed[i] = (struct timed){json_array_get(entries, i), i};
	qsort(timed, count, sizeof(*timed), by_time);
	for (size_t i = 0; i < count; i++)
		json_array_append(list, timed[i].entry);
	free(timed);
	return list;
}

int history_show(struct agent *agent, const char *reference,
		 json_t **ret_history, struct problem *problem)
{
	_cleanup_disk_ struct disk disk = {0};
	json_auto_t *entries = NULL;
	char prefix[UUID_TEXT_BYTES + 16];
	json_t *items;
	int result = disk_load(agent, reference, &disk, problem);

	if (result < 0)
		return result;
	history_take(agent, disk.id);
	snprintf(prefix, sizeof(prefix), "history/%s/", disk.id);
	result = documents_list(agent->store, prefix, &entries);
	items = result < 0 ? NULL : sorted(entries);
	if (!items)
		return problem_internal(problem, "history",
					result < 0 ? result : -ENOMEM);
	*ret_history =
		json_pack("{s:s, s:o}", "disk", disk.name, "items", items);
	return 0;
}

void history_forget(struct agent *agent, const char *id)
{
	struct head head;

	if (load_head(agent, id, &head) < 0 || head.revision == 0)
		return;
	/* The head last: who dies in between is asked again. */
	while (head.first < head.next) {
		struct documents_txn txn = {0};

		while (head.first < head.next &&
		       txn.change_count < DOCUMENTS_CHANGES_MAX)
			documents_delete(&txn, "history/%s/%016" PRIx64, id,
					 head.first++);
		if (documents_commit(agent->store, &txn) < 0)
			return;
	}
	{
		struct documents_txn txn = {0};

		documents_delete(&txn, "history-heads/%s", id);
		(void)documents_commit(agent->store, &txn);
	}
}
