/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status_pipe.h - tells the supervisor how the start goes, a JSON object a
 * line, on a descriptor that it passed:
 *
 *	{"state": "opening", "reason": "backend file:/srv/db1.img"}
 *	{"state": "ready"}
 *	{"state": "incoming"} or {"state": "handed-over"}: it serves only when
 *	its VM runs here, and then says that it is ready
 *	{"state": "failed", "message": "..."}
 *
 *	{"state": "draining", "reason": "backend file:/srv/db1.img"}: it serves
 *	nobody, and ends when nothing is dirty
 *
 * and at the end, if the disk was drained before it was closed:
 *
 *	{"state": "closed"}
 *
 * The supervisor may be gone: then the lines go nowhere, and that is fine.
 */
#ifndef FOREBAY_DISK_STATUS_PIPE_H
#define FOREBAY_DISK_STATUS_PIPE_H

/* @fd: negative for none. */
void status_pipe_opening(int fd, const char *reason);
void status_pipe_ready(int fd);
void status_pipe_parked(int fd, const char *state);
void status_pipe_draining(int fd, const char *reason);
void status_pipe_failed(int fd, const char *message);
void status_pipe_closed(int fd);

#endif
