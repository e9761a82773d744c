/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - one line an event to standard error: time, level, program, message.
 */
#ifndef FOREBAY_OS_LOG_H
#define FOREBAY_OS_LOG_H

enum log_level {
	LOG_LEVEL_ERROR = 0,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

/* @program stands in every line, e.g. "forebay-disk[name]"; copied. */
void log_open(const char *program, enum log_level threshold);
void log_write(enum log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
