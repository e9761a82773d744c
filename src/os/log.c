// SPDX-License-Identifier: Apache-2.0
/*
 * log.c - lines to standard error, each by one write(2).
 *
 * One write a line keeps the lines of several processes apart when they share
 * a log file opened for appending. A line longer than LINE_BYTES is cut. The
 * name and the threshold are set once, before any thread starts. No lock and no
 * memory is taken, so that the handler of a crash can say what it was.
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
#define SECONDS_PER_DAY 86400

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

static int days_of_year(int year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 366
								     : 365;
}

static int days_of_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30,
				   31, 31, 30, 31, 30, 31};

	return month == 1 && days_of_year(year) == 366 ? 29 : days[month];
}

/*
 * gmtime_r() takes a lock, which a thread that crashes may have. Returns: how
 * many bytes of @line are taken, without a NUL.
 */
static size_t write_head(char *line, size_t line_bytes, enum log_level level)
{
	struct timespec now;
	int second;
	int year = 1970;
	int month = 0;
	int day;

	clock_gettime(CLOCK_REALTIME, &now);
	day = (int)(now.tv_sec / SECONDS_PER_DAY);
	second = (int)(now.tv_sec % SECONDS_PER_DAY);
	for (; day >= days_of_year(year); year++)
		day -= days_of_year(year);
	for (; day >= days_of_month(year, month); month++)
		day -= days_of_month(year, month);
	return (size_t)snprintf(
		line, line_bytes,
		"%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %s %s: ", year, month + 1,
		day + 1, second / 3600, second / 60 % 60, second % 60,
		now.tv_nsec / 1000000, level_names[level], log_program);
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
