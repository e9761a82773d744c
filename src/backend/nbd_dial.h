/* SPDX-License-Identifier: Apache-2.0 */
/* nbd_dial.h - connects to an NBD server; waits for it. */
#ifndef FOREBAY_BACKEND_NBD_DIAL_H
#define FOREBAY_BACKEND_NBD_DIAL_H

#include "nbd_uri.h"

/* How long a server may take to accept a connection. */
#define NBD_DIAL_TIMEOUT_MS 10000
#define NBD_DIAL_REASON_BYTES 256u

/* Returns: a connected socket that doesn't block, or a negative errno, and
 * @ret_reason says why. */
int nbd_dial(const struct nbd_uri *uri, char ret_reason[NBD_DIAL_REASON_BYTES]);

#endif
