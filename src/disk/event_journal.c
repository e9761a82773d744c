// SPDX-License-Identifier: Apache-2.0
/* event_journal.c - see event_journal.h. On the disk's loop. */
#include "event_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "log.h"

#define STAT_BLOCK_BYTES 512

void event_journal_open(struct event_journal *journal, const char *path)
{
	*journal = (struct event_journal){.fd = -1};
	if (!path)
		return;
	journal->fd = open(
		path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
		0600);
	if (journal->fd < 0) {
		log_warning("no history is kept: %s: %s", path,
			    strerror(errno));
		return;
	}
	/* A predecessor may have been killed within a line. */
	(void)file_write_all(journal->fd, "\n", 1);
}

void event_journal_close(struct event_journal *journal)
{
	if (journal->fd >= 0)
		close(journal->fd);
	journal->fd = -1;
}

static bool is_full(const struct event_journal *journal)
{
	struct stat status;

	return fstat(journal->fd, &status) < 0 ||
	       status.st_blocks * STAT_BLOCK_BYTES >= EVENT_JOURNAL_BYTES_MAX;
}

static json_int_t wall_clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (json_int_t)now.tv_sec * 1000 + now.tv_nsec / (long)NS_PER_MS;
}

void event_journal_write(struct event_journal *journal, json_t *record)
{
	char *text = NULL;
	size_t length;

	if (journal->fd >= 0 && record) {
		json_object_set_new(record, "time_ms",
				    json_integer(wall_clock_ms()));
		if (journal->missed)
			json_object_set_new(
				record, "missed",
				json_integer((json_int_t)journal->missed));
		text = json_dumps(record, JSON_COMPACT);
	}
	json_decref(record);
	if (!text || is_full(journal)) {
		journal->missed++;
		free(text);
		return;
	}
	/* The NUL's place takes the newline. */
	length = strlen(text);
	text[length] = '\n';
	if (file_write_all(journal->fd, text, length + 1) < 0)
		journal->missed++;
	else
		journal->missed = 0;
	free(text);
}
