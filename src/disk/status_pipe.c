// SPDX-License-Identifier: Apache-2.0
/*
 * status_pipe.c - a line is below PIPE_BUF, so it arrives in one piece.
 *
 * What forebayd waits for takes no memory: who is ready and can't say so would
 * be starting for ever.
 */
#include "status_pipe.h"

#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"

#define STATE_LINE_BYTES 64

static void write_line(int fd, json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT);
	size_t length = text ? strlen(text) : 0;

	json_decref(object);
	if (!text)
		return;
	/* The NUL's place takes the newline. */
	text[length] = '\n';
	if (fd >= 0)
		(void)file_write_all(fd, text, length + 1);
	free(text);
}

static void write_state(int fd, const char *state)
{
	char line[STATE_LINE_BYTES];
	int length =
		snprintf(line, sizeof(line), "{\"state\":\"%s\"}\n", state);

	assert(length > 0 && (size_t)length < sizeof(line));
	if (fd >= 0)
		(void)file_write_all(fd, line, (size_t)length);
}

void status_pipe_opening(int fd, const char *reason)
{
	write_line(fd, json_pack("{s:s, s:s}", "state", "opening", "reason",
				 reason));
}

void status_pipe_ready(int fd)
{
	write_state(fd, "ready");
}

void status_pipe_parked(int fd, const char *state)
{
	write_state(fd, state);
}

void status_pipe_draining(int fd, const char *reason)
{
	write_line(fd, json_pack("{s:s, s:s}", "state", "draining", "reason",
				 reason));
}

void status_pipe_failed(int fd, const char *message)
{
	write_line(fd, json_pack("{s:s, s:s}", "state", "failed", "message",
				 message));
}

void status_pipe_closed(int fd)
{
	write_state(fd, "closed");
}
