/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_command.h - a request as commands of the protocol.
 *
 * A request is one command where that is possible. It is several when its
 * memory is in several pieces, when it is longer than the server takes, and
 * when a change must be durable and the server only has a flush for that.
 */
#ifndef FOREBAY_BACKEND_NBD_COMMAND_H
#define FOREBAY_BACKEND_NBD_COMMAND_H

#include "nbd_private.h"

/* Returns: 0, or why such a request can't be done on this export. */
int nbd_command_judge(const struct nbd *nbd, const struct backend_io *io);

/*
 * Gives the next commands of @task to its connection. When all have come
 * back (perhaps from inside here: some fail at once), @task is in
 * nbd->ended.
 */
void nbd_command_issue(struct nbd_task *task);

/*
 * All commands that were issued have succeeded. Returns: whether @task needs
 * more of them. If not, what was read is where the caller wants it, or
 * task->result says why not.
 */
bool nbd_command_goes_on(struct nbd_task *task);

/* Forgets what was done: it begins anew, or has ended. */
void nbd_command_reset(struct nbd_task *task);

#endif
