// SPDX-License-Identifier: Apache-2.0
/*
 * nbd_probe.c - connects, looks at the export, and leaves; on the caller's
 * thread, which waits for the server up to a deadline.
 */
#include <errno.h>
#include <libnbd.h>

#include "nbd_private.h"

/* Returns: 0, or -errno with words. */
static int wait_ready(struct nbd_handle *handle, const char *uri,
		      struct error *error)
{
	uint64_t deadline = clock_monotonic_ns() + NBD_CONNECT_TIMEOUT_NS;

	if (nbd_aio_connect_uri(handle, uri) < 0)
		return error_set(error,
				 nbd_get_errno() == ENOENT ? -ENOENT : -EIO,
				 "backend %s: %s", uri, nbd_get_error());
	while (nbd_aio_is_ready(handle) != 1) {
		uint64_t now = clock_monotonic_ns();

		if (now >= deadline)
			return error_set(error, -ETIMEDOUT,
					 "backend %s: the server doesn't "
					 "answer within %u s",
					 uri,
					 (unsigned int)(NBD_CONNECT_TIMEOUT_NS /
							NS_PER_SECOND));
		if (nbd_poll(handle, (int)((deadline - now) / NS_PER_MS + 1)) <
		    0)
			return error_set(error, -EIO, "backend %s: %s", uri,
					 nbd_get_error());
	}
	return 0;
}

int nbd_probe(const char *uri, uint64_t *ret_size_bytes, struct error *error)
{
	struct nbd_facts facts = {0};
	struct nbd_handle *handle;
	struct error why = {0};
	struct nbd_uri address;
	int status = nbd_uri_parse(uri, &address, error);

	nbd_uri_release(&address);
	if (status < 0)
		return status;
	handle = nbd_link_make_handle();
	if (!handle)
		return error_set(error, -ENOMEM, "backend %s: no memory", uri);
	status = wait_ready(handle, uri, error);
	if (status == 0) {
		status = nbd_facts_read(handle, &facts, &why);
		if (status < 0)
			error_set(error, status, "backend %s: %s", uri,
				  why.message);
		nbd_aio_disconnect(handle, 0);
	}
	nbd_close(handle);
	if (status == 0)
		*ret_size_bytes = facts.size_bytes;
	return status;
}
