// SPDX-License-Identifier: Apache-2.0
/*
 * attach.c - channel, OPEN, GRANT, lock, memory.
 *
 * The lock is tried on a timer because flock() has no asynchronous form, and a
 * wait would stop the loop that all queues of the disk depend on.
 */
#include "attach.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "failpoint.h"
#include "pool_protocol.h"

static void fd_drop(struct attach *attach)
{
	if (attach->fd >= 0)
		close(attach->fd);
	attach->fd = -1;
}

static void end(struct attach *attach, int status)
{
	attach->host->timer_cancel(attach->instance, &attach->timer);
	attach->phase = ATTACH_ENDED;
	if (status < 0)
		fd_drop(attach);
	attach->done(attach, status);
}

static uint64_t waited_ns(const struct attach *attach)
{
	return attach->host->now_ns(attach->instance) - attach->phase_since_ns;
}

/* The deadline of CONNECTING and ASKING runs through both. */
static void phase_enter(struct attach *attach, enum attach_phase phase)
{
	attach->phase = phase;
	attach->phase_since_ns = attach->host->now_ns(attach->instance);
	attach->logged = false;
}

static void log_once(struct attach *attach, const char *message)
{
	if (attach->logged || attach->again ||
	    waited_ns(attach) < ATTACH_LOG_AFTER_NS)
		return;
	attach->logged = true;
	attach->host->log(attach->instance, FOREBAY_LOG_INFO, "%s", message);
}

static void ask(struct attach *attach)
{
	struct pool_open open = {
		.type = POOL_OPEN,
		.version = POOL_PROTOCOL_VERSION,
		.disk_bytes = attach->disk->size_bytes,
	};
	const char *pool = "";
	int64_t limit_bytes = 0;
	int64_t reservation_bytes = 0;
	int status;

	attach->host->property_integer(attach->instance, "limit", &limit_bytes);
	attach->host->property_integer(attach->instance, "reservation",
				       &reservation_bytes);
	attach->host->property_string(attach->instance, "pool", &pool);
	open.limit_bytes = (uint64_t)limit_bytes;
	open.reservation_bytes = (uint64_t)reservation_bytes;
	if (strlen(pool) >= sizeof(open.pool)) {
		end(attach, error_set(&attach->error, -EINVAL,
				      "the name of pool '%s' is longer than %u "
				      "bytes: correct the policy",
				      pool, POOL_NAME_BYTES - 1));
		return;
	}
	memcpy(open.pool, pool, strlen(pool));
	status = attach->host->channel_send(attach->instance, &open,
					    sizeof(open), NULL, 0);
	/* Refused: the channel is down again, and its state will tell. */
	attach->phase = status < 0 ? ATTACH_CONNECTING : ATTACH_ASKING;
}

static void ask_again(struct attach *attach)
{
	fd_drop(attach);
	phase_enter(attach, ATTACH_CONNECTING);
	ask(attach);
}

/*
 * A process that dies between the making of its file and the first superblock
 * leaves a blank file, and its successor must know that this one is not a
 * damaged log. Blocks that were allocated but never written count as holes for
 * SEEK_DATA.
 */
static bool log_is_unused(int fd)
{
	return lseek(fd, POOL_GRANULE_BYTES, SEEK_DATA) < 0 && errno == ENXIO;
}

static void recall(struct attach *attach)
{
	int status;

	phase_enter(attach, ATTACH_RECALLING);
	status = attach->host->memory_request(attach->instance, "index",
					      attach->kept_bytes(attach));
	if (status < 0)
		end(attach, 0);
}

void attach_memory(struct attach *attach, void *address)
{
	if (attach->phase != ATTACH_RECALLING)
		return;
	attach->kept = address;
	failpoint(FAILPOINT_CACHE_RECALLED);
	end(attach, 0);
}

static void locked(struct attach *attach)
{
	struct stat stat;

	failpoint(FAILPOINT_CACHE_LOCKED);
	if (fstat(attach->fd, &stat) < 0 || stat.st_nlink == 0) {
		ask_again(attach);
		return;
	}
	attach->unused = log_is_unused(attach->fd);
	recall(attach);
}

static void lock_try(struct attach *attach)
{
	if (flock(attach->fd, LOCK_EX | LOCK_NB) == 0) {
		locked(attach);
		return;
	}
	if (errno != EWOULDBLOCK && errno != EINTR) {
		int code = -errno;

		end(attach, error_set(&attach->error, code,
				      "the cache file of disk '%s' can't be "
				      "locked: %s",
				      attach->disk->name, strerror(-code)));
		return;
	}
	if (waited_ns(attach) >= ATTACH_LOCK_DEADLINE_NS)
		end(attach,
		    error_set(&attach->error, -EBUSY,
			      "the cache file of disk '%s' is locked: another "
			      "process has the disk open, or the I/O of one "
			      "that was killed hasn't ended; close the disk "
			      "there, or try again",
			      attach->disk->name));
	else
		log_once(attach, "waiting until the I/O of the process that "
				 "had the cache file before has ended");
}

static void answer_check(struct attach *attach)
{
	if (waited_ns(attach) >= ATTACH_ANSWER_DEADLINE_NS)
		end(attach,
		    error_set(&attach->error, -ETIMEDOUT,
			      "forebay-cached doesn't answer, so disk '%s' "
			      "can't get at its cache file: see 'forebay "
			      "status' and forebay-cached's log",
			      attach->disk->name));
	else
		log_once(attach, "waiting for forebay-cached");
}

static void tick(struct forebay_timer *timer)
{
	struct attach *attach = timer->owner;

	/* First: an end cancels it, and may free what it stands in. */
	attach->host->timer_arm(attach->instance, &attach->timer,
				ATTACH_LOCK_RETRY_NS);
	switch (attach->phase) {
	case ATTACH_CONNECTING:
	case ATTACH_ASKING:
		answer_check(attach);
		break;
	case ATTACH_LOCKING:
		lock_try(attach);
		break;
	case ATTACH_RECALLING:
		if (waited_ns(attach) >= ATTACH_MEMORY_DEADLINE_NS)
			end(attach, 0);
		break;
	case ATTACH_ENDED:
		break;
	}
}

void attach_start(struct attach *attach)
{
	int status;

	attach->fd = -1;
	attach->timer.expired = tick;
	attach->timer.owner = attach;
	phase_enter(attach, ATTACH_CONNECTING);
	status = attach->host->channel_open(attach->instance);
	if (status < 0) {
		end(attach, error_set(&attach->error, status,
				      "disk '%s' has no channel to "
				      "forebay-cached (%s): configure the "
				      "filter's daemon_socket",
				      attach->disk->name, strerror(-status)));
		return;
	}
	/* One pace for all waits: 5 ms costs nothing and ends nothing late. */
	attach->host->timer_arm(attach->instance, &attach->timer,
				ATTACH_LOCK_RETRY_NS);
}

void attach_again(struct attach *attach)
{
	attach->again = true;
	attach->kept = NULL;
	attach->error = (struct error){0};
	phase_enter(attach, ATTACH_CONNECTING);
	attach->host->timer_arm(attach->instance, &attach->timer,
				ATTACH_LOCK_RETRY_NS);
	if (attach->connected)
		ask(attach);
}

void attach_cancel(struct attach *attach)
{
	if (attach->phase == ATTACH_ENDED)
		return;
	attach->host->timer_cancel(attach->instance, &attach->timer);
	attach->phase = ATTACH_ENDED;
	fd_drop(attach);
}

void attach_channel_state(struct attach *attach, bool connected)
{
	attach->connected = connected;
	/* A granted file needs no channel, and memory is told of its loss. */
	if (attach->phase != ATTACH_CONNECTING &&
	    attach->phase != ATTACH_ASKING)
		return;
	if (connected)
		ask(attach);
	else
		attach->phase = ATTACH_CONNECTING;
}

static void refused(struct attach *attach, int code, const char *message)
{
	error_set(&attach->error, code, "%s", message);
	end(attach, code);
}

static void fds_close(const int *fds, uint32_t fd_count)
{
	for (uint32_t i = 0; i < fd_count; i++)
		close(fds[i]);
}

void attach_message(struct attach *attach, const void *bytes, size_t count,
		    const int *fds, uint32_t fd_count)
{
	union pool_answer answer = {0};
	int status = pool_answer_parse(bytes, count, fd_count, &answer);

	if (attach->phase != ATTACH_ASKING) {
		fds_close(fds, fd_count);
		return;
	}
	if (status < 0) {
		fds_close(fds, fd_count);
		refused(attach, status,
			"forebay-cached sent an answer that can't be read: "
			"restart whichever was not upgraded");
		return;
	}
	if (answer.type == POOL_REFUSE) {
		refused(attach, answer.refuse.error, answer.refuse.message);
		return;
	}
	/* A MAY that was on its way when we asked again. */
	if (answer.type != POOL_GRANT)
		return;
	failpoint(FAILPOINT_CACHE_GRANTED);
	attach->fd = fds[0];
	attach->file_bytes = answer.grant.file_bytes;
	attach->granted_bytes = answer.grant.granted_bytes;
	phase_enter(attach, ATTACH_LOCKING);
	lock_try(attach);
}
