/* SPDX-License-Identifier: Apache-2.0 */
/* backend_uri.c - tells a URI from a path by its scheme, as RFC 3986 does. */
#include "backend_uri.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool has_scheme(const char *text)
{
	size_t length = 0;

	if (!isalpha((unsigned char)text[0]))
		return false;
	while (isalnum((unsigned char)text[length]) ||
	       (text[length] && strchr("+-.", text[length])))
		length++;
	return text[length] == ':';
}

char *backend_uri_absolute(const char *path)
{
	char *directory;
	char *absolute = NULL;

	if (path[0] == '/')
		return strdup(path);
	while (strncmp(path, "./", 2) == 0)
		path += 2;
	directory = getcwd(NULL, 0);
	if (!directory)
		return NULL;
	if (strcmp(path, ".") == 0 || path[0] == '\0')
		return directory;
	if (asprintf(&absolute, "%s/%s",
		     strcmp(directory, "/") == 0 ? "" : directory, path) < 0)
		absolute = NULL;
	free(directory);
	return absolute;
}

char *backend_uri_from_text(const char *text)
{
	char *path;
	char *uri = NULL;

	if (strncmp(text, "file:", 5) == 0)
		/* "file:///srv/x" is the long form of "file:/srv/x". */
		text += strncmp(text, "file:///", 8) == 0 ? 7 : 5;
	else if (has_scheme(text))
		return strdup(text);
	path = backend_uri_absolute(text);
	if (path && asprintf(&uri, "file:%s", path) < 0)
		uri = NULL;
	free(path);
	return uri;
}
