// SPDX-License-Identifier: Apache-2.0
/*
 * crash_report.c - runs in the handler of the signal that ends the process.
 *
 * So it takes no memory and no lock: its formats have no floating point, and
 * the line for the status pipe is written without the JSON library.
 */
#include "crash_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "crash.h"
#include "log.h"
#include "running.h"

#define MESSAGE_BYTES 512u
#define LINE_BYTES (2 * MESSAGE_BYTES + 64)

static char disk[256];
static int status_fd = -1;

/* Who was it, and where. */
static void describe(const struct crash *crash, char *message, size_t bytes)
{
	const struct running_place *place = running_now();
	char cause[64];

	if (crash->has_address)
		snprintf(cause, sizeof(cause), "%s at 0x%" PRIxPTR, crash->name,
			 crash->address);
	else
		snprintf(cause, sizeof(cause), "%s", crash->name);
	if (place && place->filter->name[0])
		snprintf(message, bytes,
			 "disk %s: filter %s crashed in %s (%s)", disk,
			 place->filter->name, place->callback, cause);
	else
		snprintf(message, bytes,
			 "disk %s: forebay-disk crashed outside of its filters "
			 "(%s)",
			 disk, cause);
}

static void tell_status(const char *message)
{
	char line[LINE_BYTES];
	size_t used = (size_t)snprintf(line, sizeof(line),
				       "{\"state\":\"failed\",\"message\":\"");
	ssize_t written;

	for (; *message && used < sizeof(line) - 8; message++) {
		if (*message == '"' || *message == '\\')
			line[used++] = '\\';
		line[used++] = (unsigned char)*message < 0x20 ? ' ' : *message;
	}
	used += (size_t)snprintf(line + used, sizeof(line) - used, "\"}\n");
	/* A supervisor that is gone doesn't read it. */
	written = write(status_fd, line, used);
	(void)written;
}

static void tell(const struct crash *crash)
{
	char message[MESSAGE_BYTES];

	/* A rule that was broken has said it in the log. */
	if (running_last_words()[0]) {
		tell_status(running_last_words());
		return;
	}
	describe(crash, message, sizeof(message));
	log_error("%s", message);
	tell_status(message);
}

int crash_report_start(const char *disk_name, int fd)
{
	snprintf(disk, sizeof(disk), "%s", disk_name);
	status_fd = fd;
	return crash_watch(tell);
}
