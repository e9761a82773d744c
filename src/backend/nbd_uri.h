/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_uri.h - where an NBD server is, and which of its exports.
 *
 * As in the specification "NBD URI", the two kinds of transport that disks use:
 *
 *   nbd://HOST[:PORT]/EXPORT
 *   nbd+unix:///EXPORT?socket=/PATH
 */
#ifndef FOREBAY_BACKEND_NBD_URI_H
#define FOREBAY_BACKEND_NBD_URI_H

#include "error.h"

struct nbd_uri {
	char *export_name; /* "" is the server's default */
	char *socket_path; /* or NULL, and then: */
	char *host;
	char *port; /* a number */
};

/* Returns: 0, or -EINVAL or -ENOMEM with words that name @uri.
 * Owns: nbd_uri_release() what was filled in, also after an error. */
int nbd_uri_parse(const char *uri, struct nbd_uri *ret_uri,
		  struct error *error);
void nbd_uri_release(struct nbd_uri *uri);

#endif
