/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rude_filter.c - a filter that is right in all that it says, and does what
 * nobody asked for while it is loaded. RUDE_NAME and RUDE_DEED choose.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "forebay/filter.h"

enum deed {
	CRASH,
	HANG,
	CALL_HOME,
	WRITE_A_FILE,
	READ_A_FILE,
	MAKE_A_CHILD,
	CHANGE_A_MODE,
	NOTHING,
};

/* What it must not have done, if it gets here. */
static void succeed(int result)
{
	static const char boast[] = "rude: it was let\n";

	if (result < 0 || write(STDERR_FILENO, boast, sizeof(boast) - 1) < 0)
		return;
	_exit(99);
}

__attribute__((constructor)) static void be_rude(void)
{
	switch (RUDE_DEED) {
	case CRASH:
		raise(SIGSEGV);
		break;
	case HANG:
		for (volatile int forever = 1; forever;)
			continue;
		break;
	case CALL_HOME:
		succeed(socket(AF_UNIX, SOCK_STREAM, 0));
		break;
	case WRITE_A_FILE:
		succeed(open("/tmp", O_TMPFILE | O_RDWR, 0600));
		break;
	case READ_A_FILE:
		succeed(open("/etc/passwd", O_RDONLY));
		break;
	case MAKE_A_CHILD:
		succeed(fork());
		break;
	case CHANGE_A_MODE:
		succeed(chmod("/tmp", 01777));
		break;
	case NOTHING:
		break;
	}
}

static void rude_open(struct forebay_instance *instance,
		      const struct forebay_host *host,
		      const struct forebay_disk *disk, void **ret_state)
{
	(void)disk;
	*ret_state = (void *)host;
	host->open_done(instance, 0);
}

static void rude_close(void *state)
{
	(void)state;
	abort();
}

static void rude_submit(void *state, struct forebay_request *request)
{
	const struct forebay_host *host = state;

	host->request_forward(request);
}

const struct forebay_filter forebay_filter = {
	.abi_version = FOREBAY_FILTER_ABI,
	.struct_size = sizeof(struct forebay_filter),
	.name = RUDE_NAME,
	.version = "1.0.0",
	.description = "Does more than it says.",
	.filter_class = FOREBAY_CLASS_INSPECTION,
	.operations = FOREBAY_OPERATION_BIT(FOREBAY_READ),
	.open = rude_open,
	.close = rude_close,
	.submit = rude_submit,
};
