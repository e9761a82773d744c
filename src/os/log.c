// SPDX-License-Identifier: Apache-2.0
/*
 * log.c - lines to standard error, each by one write(2).
 *
 * One write a line keeps the lines of several processes apart when they share
 * a log file opened for appending. A line longer than LINE_BYTES is cut. The
 * name and the threshold are set once, before any thread starts.
 */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 1024u
#define PROGRAM_BYTES 96u

static char log_program[PROGRAM_BYTES] = "forebay";
static enum log_level log_threshold = LOG_LEVEL_INFO;

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

void log_open(const char *program, enum log_level threshold)
{
	snprintf(log_program, sizeof(log_program), "%s", program);
	log_threshold = threshold;
}

/* Returns: how many bytes of @line are taken, without a NUL. */
static size_t write_head(char *line, size_t line_bytes, enum log_level level)
{
	struct timespec now;
	struct tm utc;
	size_t used;
	int count;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	used = strftime(line, line_bytes, "%Y-%m-%dT%H:%M:%S", &utc);
	count = snprintf(line + used, line_bytes - used,
			 ".%03ldZ %s %s: ", now.tv_nsec / 1000000,
			 level_names[level], log_program);
	return used + (size_t)count;
}

/* Messages carry words of guests and peers: they must not forge a line. */
static void one_line(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = ' ';
}

void log_write(enum log_level level, const char *format, ...)
{
	char line[LINE_BYTES];
	int saved_errno = errno;
	va_list arguments;
	size_t used;
	ssize_t written;

	if (level > log_threshold)
		return;
	used = write_head(line, sizeof(line), level);
	va_start(arguments, format);
	vsnprintf(line + used, sizeof(line) - used - 1, format, arguments);
	va_end(arguments);
	one_line(line);
	used = strlen(line);
	line[used] = '\n';
	/* Nowhere is left to report that the log itself can't be written. */
	written = write(STDERR_FILENO, line, used + 1);
	(void)written;
	errno = saved_errno;
}
