// SPDX-License-Identifier: Apache-2.0
/*
 * backend.c - finds the driver that a URI names and hands the call to it.
 */
#include "backend.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "driver.h"

#define SCHEMES_TEXT_BYTES 128u

static const struct backend_driver *const drivers[] = {
	&file_driver,
	&nbd_driver,
	&nbd_unix_driver,
};

#define DRIVER_COUNT (sizeof(drivers) / sizeof(drivers[0]))

/* "file:, nbd+unix:" */
static void list_schemes(char text[SCHEMES_TEXT_BYTES])
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < DRIVER_COUNT && used < SCHEMES_TEXT_BYTES; i++)
		used += (size_t)snprintf(text + used, SCHEMES_TEXT_BYTES - used,
					 "%s%s:", i > 0 ? ", " : "",
					 drivers[i]->scheme);
}

/* Returns: the driver with *ret_location behind the scheme, or NULL. */
static const struct backend_driver *driver_of(const char *uri,
					      const char **ret_location,
					      struct error *error)
{
	char schemes[SCHEMES_TEXT_BYTES];

	for (size_t i = 0; i < DRIVER_COUNT; i++) {
		size_t length = strlen(drivers[i]->scheme);

		if (strncmp(uri, drivers[i]->scheme, length) != 0 ||
		    uri[length] != ':')
			continue;
		*ret_location = drivers[i]->whole_uri ? uri : uri + length + 1;
		return drivers[i];
	}
	list_schemes(schemes);
	error_set(error, -EINVAL,
		  "backend '%s': no driver for such a URI; known schemes: %s",
		  uri, schemes);
	return NULL;
}

static void answer_refused(struct loop_deferred *deferred)
{
	struct backend_open_request *request = deferred->owner;

	request->done(request, request->error.code, NULL, &request->error);
}

void backend_clear(const struct backend_io *io, uint64_t first)
{
	for (unsigned int i = 0; i < io->iov_count; i++) {
		size_t bytes = io->iov[i].iov_len;

		if (first >= bytes) {
			first -= bytes;
			continue;
		}
		memset((char *)io->iov[i].iov_base + first, 0, bytes - first);
		first = 0;
	}
}

void backend_refuse(struct loop *loop, struct backend_open_request *request)
{
	request->answer = (struct loop_deferred){
		.run = answer_refused,
		.owner = request,
	};
	loop_defer(loop, &request->answer);
}

int backend_keep(const char *uri, bool read_only, struct error *error)
{
	const struct backend_driver *driver;
	const char *location;

	driver = driver_of(uri, &location, error);
	if (!driver)
		return -EINVAL;
	return driver->keep ? driver->keep(location, read_only, error) : 0;
}

void backend_open(struct loop *loop, struct backend_open_request *request)
{
	const struct backend_driver *driver;
	const char *location;

	request->error = (struct error){0};
	driver = driver_of(request->uri, &location, &request->error);
	if (driver)
		driver->open(loop, request, location);
	else
		backend_refuse(loop, request);
}

const struct backend_info *backend_info(const struct backend *backend)
{
	return &backend->info;
}

void backend_status(const struct backend *backend,
		    struct backend_status *ret_status)
{
	*ret_status = (struct backend_status){0};
	if (backend->driver->status)
		backend->driver->status(backend, ret_status);
}

void backend_facts(const struct backend *backend,
		   struct backend_facts *ret_facts)
{
	*ret_facts = (struct backend_facts){0};
	if (backend->driver->facts)
		backend->driver->facts(backend, ret_facts);
}

bool backend_beside(const char *uri, char *ret_folder, size_t folder_bytes)
{
	const char *location;
	const struct backend_driver *driver = driver_of(uri, &location, NULL);

	return driver && driver->beside &&
	       driver->beside(location, ret_folder, folder_bytes);
}

const char *backend_path(const char *uri)
{
	const char *location;
	const struct backend_driver *driver = driver_of(uri, &location, NULL);

	return driver && driver->beside ? location : NULL;
}

void backend_submit(struct backend *backend, struct backend_io *io)
{
	backend->driver->submit(backend, io);
}

int backend_grow(struct backend *backend, uint64_t size_bytes,
		 struct error *error)
{
	assert(size_bytes > backend->info.size_bytes);
	return backend->driver->grow(backend, size_bytes, error);
}

void backend_close(struct backend *backend)
{
	if (backend)
		backend->driver->close(backend);
}

int backend_probe(const char *uri, uint64_t *ret_size_bytes,
		  struct error *error)
{
	const struct backend_driver *driver;
	const char *location;

	driver = driver_of(uri, &location, error);
	return driver ? driver->probe(location, ret_size_bytes, error)
		      : -EINVAL;
}

int backend_make(const char *uri, uint64_t size_bytes, struct error *error)
{
	const struct backend_driver *driver;
	const char *location;

	driver = driver_of(uri, &location, error);
	return driver ? driver->make(location, size_bytes, error) : -EINVAL;
}

int backend_delete(const char *uri, struct error *error)
{
	const struct backend_driver *driver;
	const char *location;

	driver = driver_of(uri, &location, error);
	return driver ? driver->remove(location, error) : -EINVAL;
}
