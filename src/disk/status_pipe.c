// SPDX-License-Identifier: Apache-2.0
/* status_pipe.c - a line is below PIPE_BUF, so it arrives in one piece. */
#include "status_pipe.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"

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

void status_pipe_opening(int fd, const char *reason)
{
	write_line(fd, json_pack("{s:s, s:s}", "state", "opening", "reason",
				 reason));
}

void status_pipe_ready(int fd)
{
	write_line(fd, json_pack("{s:s}", "state", "ready"));
}

void status_pipe_parked(int fd, const char *state)
{
	write_line(fd, json_pack("{s:s}", "state", state));
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
	write_line(fd, json_pack("{s:s}", "state", "closed"));
}
