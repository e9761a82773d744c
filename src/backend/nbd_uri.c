// SPDX-License-Identifier: Apache-2.0
/* nbd_uri.c - the generic syntax is uriparser's, its meaning is NBD's. */
#include "nbd_uri.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <uriparser/Uri.h>

/* IANA's for NBD. */
#define DEFAULT_PORT "10809"

static char *copy(const UriTextRangeA *range)
{
	return range->first ? strndup(range->first,
				      (size_t)(range->afterLast - range->first))
			    : NULL;
}

static bool is(const UriTextRangeA *range, const char *text)
{
	size_t length = (size_t)(range->afterLast - range->first);

	return length == strlen(text) &&
	       memcmp(range->first, text, length) == 0;
}

/*
 * All behind the path's first slash, decoded. An empty segment points nowhere
 * in the URI, so the segments are joined again. Returns: NULL without memory.
 */
static char *export_of(const UriUriA *parts, size_t uri_length)
{
	char *name = malloc(uri_length + 1);
	size_t used = 0;

	if (!name)
		return NULL;
	for (const UriPathSegmentA *segment = parts->pathHead; segment;
	     segment = segment->next) {
		size_t length =
			(size_t)(segment->text.afterLast - segment->text.first);

		if (segment != parts->pathHead)
			name[used++] = '/';
		memcpy(name + used, segment->text.first, length);
		used += length;
	}
	name[used] = '\0';
	uriUnescapeInPlaceA(name);
	return name;
}

/* Returns: 0, or -EINVAL with words. */
static int find_socket(const char *uri, const UriUriA *parts,
		       struct nbd_uri *ret, struct error *error)
{
	UriQueryListA *list = NULL;

	if (parts->query.first &&
	    uriDissectQueryMallocExA(&list, NULL, parts->query.first,
				     parts->query.afterLast, URI_FALSE,
				     URI_BR_DONT_TOUCH) != URI_SUCCESS)
		return error_set(error, -ENOMEM, "backend %s: no memory", uri);
	for (const UriQueryListA *item = list; item; item = item->next)
		if (strcmp(item->key, "socket") == 0 && item->value &&
		    !ret->socket_path)
			ret->socket_path = strdup(item->value);
	uriFreeQueryListA(list);
	if (ret->socket_path && ret->socket_path[0] == '/')
		return 0;
	return error_set(error, -EINVAL,
			 "backend %s: names no socket; write "
			 "nbd+unix:///EXPORT?socket=/PATH",
			 uri);
}

static int find_host(const char *uri, const UriUriA *parts, struct nbd_uri *ret,
		     struct error *error)
{
	ret->host = copy(&parts->hostText);
	ret->port = parts->portText.first < parts->portText.afterLast
			    ? copy(&parts->portText)
			    : strdup(DEFAULT_PORT);
	if (ret->host && ret->host[0] != '\0') {
		uriUnescapeInPlaceA(ret->host);
		return ret->port ? 0 : -ENOMEM;
	}
	return error_set(error, -EINVAL,
			 "backend %s: names no server; write "
			 "nbd://HOST:PORT/EXPORT",
			 uri);
}

static int understand(const char *uri, const UriUriA *parts,
		      struct nbd_uri *ret, struct error *error)
{
	if (!parts->scheme.first)
		return error_set(error, -EINVAL, "backend %s: is not a URI",
				 uri);
	ret->export_name = export_of(parts, strlen(uri));
	if (!ret->export_name)
		return error_set(error, -ENOMEM, "backend %s: no memory", uri);
	if (is(&parts->scheme, "nbd+unix"))
		return find_socket(uri, parts, ret, error);
	if (is(&parts->scheme, "nbd"))
		return find_host(uri, parts, ret, error);
	return error_set(error, -EINVAL, "backend %s: is not an NBD URI", uri);
}

int nbd_uri_parse(const char *uri, struct nbd_uri *ret_uri, struct error *error)
{
	const char *end;
	UriUriA parts;
	int status;

	*ret_uri = (struct nbd_uri){0};
	if (uriParseSingleUriA(&parts, uri, &end) != URI_SUCCESS)
		return error_set(error, -EINVAL,
				 "backend %s: is not a URI: it can't be read "
				 "from \"%s\" on",
				 uri, end ? end : uri);
	status = understand(uri, &parts, ret_uri, error);
	uriFreeUriMembersA(&parts);
	return status;
}

void nbd_uri_release(struct nbd_uri *uri)
{
	free(uri->export_name);
	free(uri->socket_path);
	free(uri->host);
	free(uri->port);
	*uri = (struct nbd_uri){0};
}
