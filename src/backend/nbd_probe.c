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
		      uint64_t deadline_ns, struct error *error)
{
	while (nbd_aio_is_ready(handle) != 1) {
		uint64_t now_ns = clock_monotonic_ns();

		if (now_ns >= deadline_ns)
			return error_set(error, -ETIMEDOUT,
					 "backend %s: the server doesn't "
					 "answer within %u s",
					 uri,
					 (unsigned int)(NBD_CONNECT_TIMEOUT_NS /
							NS_PER_SECOND));
		if (nbd_poll(handle,
			     (int)((deadline_ns - now_ns) / NS_PER_MS + 1)) < 0)
			return error_set(error, -EIO, "backend %s: %s", uri,
					 nbd_get_error());
	}
	return 0;
}

/* Returns: 0, or -errno with words. */
static int connect_to(struct nbd_handle *handle, const char *uri,
		      const struct nbd_uri *address, struct error *error)
{
	uint64_t deadline_ns = clock_monotonic_ns() + NBD_CONNECT_TIMEOUT_NS;
	char reason[NBD_DIAL_REASON_BYTES];
	int fd = nbd_dial(address, reason);

	if (fd < 0)
		return error_set(error, fd, "backend %s: %s", uri, reason);
	if (nbd_aio_connect_socket(handle, fd) < 0)
		return error_set(error, -EIO, "backend %s: %s", uri,
				 nbd_get_error());
	return wait_ready(handle, uri, deadline_ns, error);
}

static int look(struct nbd_handle *handle, const char *uri,
		const struct nbd_uri *address, struct nbd_facts *ret_facts,
		struct error *error)
{
	struct error why = {0};
	int status = connect_to(handle, uri, address, error);

	if (status < 0)
		return status;
	status = nbd_facts_read(handle, ret_facts, &why);
	if (status < 0)
		error_set(error, status, "backend %s: %s", uri, why.message);
	nbd_aio_disconnect(handle, 0);
	return status;
}

int nbd_probe(const char *uri, uint64_t *ret_size_bytes, struct error *error)
{
	struct nbd_handle *handle = NULL;
	struct nbd_facts facts = {0};
	struct nbd_uri address;
	int status = nbd_uri_parse(uri, &address, error);

	if (status == 0) {
		handle = nbd_link_make_handle(address.export_name);
		status = handle ? look(handle, uri, &address, &facts, error)
				: error_set(error, -ENOMEM,
					    "backend %s: no memory", uri);
	}
	nbd_close(handle);
	nbd_uri_release(&address);
	if (status == 0)
		*ret_size_bytes = facts.size_bytes;
	return status;
}
