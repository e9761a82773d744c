/* SPDX-License-Identifier: Apache-2.0 */
/* human.c - three significant digits at most, no digit that says nothing. */
#include "human.h"

#include <stdio.h>
#include <string.h>

/* "1.4", "24", "980": a decimal only below ten, and only where it isn't 0. */
static void format_short(double value, char *buffer, size_t buffer_bytes)
{
	size_t length;

	(void)snprintf(buffer, buffer_bytes, value < 9.95 ? "%.1f" : "%.0f",
		       value);
	length = strlen(buffer);
	if (length > 2 && strcmp(buffer + length - 2, ".0") == 0)
		buffer[length - 2] = '\0';
}

char *human_size(uint64_t bytes, char buffer[HUMAN_BYTES])
{
	static const char *const units[] = {"B",   "KiB", "MiB", "GiB",
					    "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	size_t unit = 0;
	char digits[16];

	/* 1023.5 would be rounded to 1024 of its unit. */
	while (value >= 1023.5 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	format_short(value, digits, sizeof(digits));
	(void)snprintf(buffer, HUMAN_BYTES, "%s %s", digits, units[unit]);
	return buffer;
}

char *human_latency(double microseconds, char buffer[HUMAN_BYTES])
{
	static const char *const units[] = {"us", "ms", "s"};
	double value = microseconds;
	size_t unit = 0;
	char digits[16];

	while (value >= 999.5 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1000;
		unit++;
	}
	format_short(value, digits, sizeof(digits));
	(void)snprintf(buffer, HUMAN_BYTES, "%s %s", digits, units[unit]);
	return buffer;
}

char *human_percent(double ratio, char buffer[HUMAN_BYTES])
{
	(void)snprintf(buffer, HUMAN_BYTES, "%.1f %%", ratio * 100);
	return buffer;
}

char *human_factor(double factor, char buffer[HUMAN_BYTES])
{
	(void)snprintf(buffer, HUMAN_BYTES, "%.2f times", factor);
	return buffer;
}

char *human_count(uint64_t count, char buffer[HUMAN_BYTES])
{
	char digits[24];
	int length = snprintf(digits, sizeof(digits), "%llu",
			      (unsigned long long)count);
	char *out = buffer;

	for (int i = 0; i < length; i++) {
		if (i > 0 && (length - i) % 3 == 0)
			*out++ = ' ';
		*out++ = digits[i];
	}
	*out = '\0';
	return buffer;
}
