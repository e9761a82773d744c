/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_dialer_wire.h - what a dialer's two processes say to each other: one
 * packet each way. The answer has the descriptor with it if there is one.
 */
#ifndef FOREBAY_BACKEND_NBD_DIALER_WIRE_H
#define FOREBAY_BACKEND_NBD_DIALER_WIRE_H

#include "nbd_dial.h"

struct nbd_dialer_answer {
	char reason[NBD_DIAL_REASON_BYTES]; /* "" if it is connected */
};

/* The process itself, on its end of the pair of sockets. */
__attribute__((noreturn)) void nbd_dialer_serve(int fd,
						const struct nbd_uri *address);

#endif
