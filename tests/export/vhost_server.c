// SPDX-License-Identifier: Apache-2.0
/*
 * vhost_server.c - forks the server, and talks to it over a socket pair: one
 * packet is a command, one packet its answer.
 */
#include "vhost_server.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "vhost_user.h"

#define DEADLINE_MS 10000
#define DURABLE_BYTES_MAX 4096u

enum command_type {
	COMMAND_ORDER,
	COMMAND_REQUESTS_MAX,
	COMMAND_FAIL,
	COMMAND_RELEASE,
	COMMAND_COUNTS,
	COMMAND_DURABLE,
	COMMAND_LET_GO,
	COMMAND_UNPARK,
	COMMAND_STOP
};

struct command {
	enum command_type type;
	int number;
	int status;
	unsigned int count;
	uint64_t offset;
};

union answer {
	unsigned int count;
	struct server_counts counts;
	uint8_t bytes[DURABLE_BYTES_MAX];
};

/* The child's. */
struct child {
	struct loop *loop;
	struct pipeline *pipeline;
	struct vhost_user_export *export;
	int control;
	unsigned int hand_overs;
	unsigned int arrivals;
	bool parked;
	struct loop_deferred arrive;
	struct command command;
	struct loop_io io;
};

static unsigned int open_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (directory && readdir(directory))
		count++;
	if (directory)
		closedir(directory);
	return count;
}

static void fill_counts(struct child *child, struct server_counts *counts)
{
	json_t *stats = vhost_user_export_stats(child->export);
	int connected, overdue, connections, replayed, notifications, broken;

	if (!stats ||
	    json_unpack(stats, "{s:b, s:b, s:i, s:i, s:i, s:i}", "connected",
			&connected, "overdue", &overdue, "connections",
			&connections, "replayed", &replayed, "notifications",
			&notifications, "broken_queues", &broken) < 0)
		abort();
	json_decref(stats);
	counts->pipeline = *memory_pipeline_counts(child->pipeline);
	counts->connected = connected;
	counts->overdue = overdue;
	counts->connections = (unsigned int)connections;
	counts->replayed = (unsigned int)replayed;
	counts->notifications = (unsigned int)notifications;
	counts->broken_queues = (unsigned int)broken;
	counts->hand_overs = child->hand_overs;
	counts->arrivals = child->arrivals;
	counts->open_descriptors = open_descriptors();
}

static void child_stopped(void *context)
{
	struct child *child = context;

	loop_stop(child->loop);
}

static void child_stop(struct child *child)
{
	vhost_user_export_stop(child->export, child_stopped, child);
	memory_pipeline_set_order(child->pipeline, MEMORY_PIPELINE_AT_ONCE);
	memory_pipeline_release(child->pipeline, PIPELINE_REQUESTS_MAX);
}

static void child_parked(void *context)
{
	struct child *child = context;

	child->parked = true;
	vhost_user_export_handed_over(child->export);
}

static void child_hand_over(void *owner)
{
	struct child *child = owner;

	child->hand_overs++;
	if (child->parked)
		vhost_user_export_handed_over(child->export);
}

static void child_wanted(void *owner)
{
	struct child *child = owner;

	loop_defer(child->loop, &child->arrive);
}

static void child_arrive(struct loop_deferred *deferred)
{
	struct child *child = deferred->owner;

	child->arrivals++;
	child->parked = false;
	vhost_user_export_unpark(child->export, child->pipeline);
}

static void child_obey(struct child *child, const struct command *command)
{
	union answer answer = {0};

	switch (command->type) {
	case COMMAND_ORDER:
		memory_pipeline_set_order(
			child->pipeline,
			(enum memory_pipeline_order)command->number);
		break;
	case COMMAND_REQUESTS_MAX:
		memory_pipeline_set_requests_max(child->pipeline,
						 command->count);
		break;
	case COMMAND_FAIL:
		memory_pipeline_fail(child->pipeline,
				     (enum forebay_operation)command->number,
				     command->status, command->count);
		break;
	case COMMAND_RELEASE:
		answer.count = memory_pipeline_release(child->pipeline,
						       command->count);
		break;
	case COMMAND_COUNTS:
		fill_counts(child, &answer.counts);
		break;
	case COMMAND_DURABLE:
		memcpy(answer.bytes,
		       memory_pipeline_durable(child->pipeline) +
			       command->offset,
		       command->count);
		break;
	case COMMAND_LET_GO:
		vhost_user_export_park(child->export, child_parked, child);
		break;
	case COMMAND_UNPARK:
		vhost_user_export_unpark(child->export, child->pipeline);
		break;
	case COMMAND_STOP:
		child_stop(child);
		break;
	}
	if (send(child->control, &answer, sizeof(answer), 0) < 0)
		abort();
}

static void child_command(struct loop_io *io, int result)
{
	struct child *child = io->owner;

	if (result != (int)sizeof(child->command))
		return;
	child_obey(child, &child->command);
	if (child->command.type != COMMAND_STOP)
		loop_recv(child->loop, io, child->control, &child->command,
			  sizeof(child->command), 0);
}

static void child_run(const struct server *server, int control)
{
	struct child child = {.control = control};
	const struct vhost_user_options options = {
		.socket_path = server->socket_path,
		.name = "test",
		.queues = 4,
		.revision = server->revision,
		.stop_deadline_ms = server->stop_deadline_ms,
		.wanted = server->follows ? child_wanted : NULL,
		.hand_over = server->follows ? child_hand_over : NULL,
		.owner = &child,
		.size_bytes = SERVER_DISK_BYTES,
		.read_only = server->read_only,
	};
	struct error error = {0};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	log_open("vhost_server", LOG_LEVEL_WARNING);
	child.io.done = child_command;
	child.io.owner = &child;
	child.arrive.run = child_arrive;
	child.arrive.owner = &child;
	if (loop_create(&child.loop) < 0)
		abort();
	child.pipeline = memory_pipeline_create(child.loop, SERVER_DISK_BYTES,
						server->read_only);
	if (vhost_user_export_create(child.loop,
				     server->parked ? NULL : child.pipeline,
				     &options, &child.export, &error) < 0) {
		fprintf(stderr, "%s\n", error.message);
		abort();
	}
	loop_recv(child.loop, &child.io, control, &child.command,
		  sizeof(child.command), 0);
	if (send(control, "ready", 5, 0) < 0 || loop_run(child.loop) < 0)
		abort();
	vhost_user_export_destroy(child.export);
	memory_pipeline_destroy(child.pipeline);
	loop_destroy(child.loop);
	close(control);
	exit(0);
}

static void ask(struct server *server, const struct command *command,
		union answer *ret_answer)
{
	struct pollfd poll_fd = {.fd = server->control, .events = POLLIN};

	assert_int_equal(
		send(server->control, command, sizeof(*command), MSG_NOSIGNAL),
		sizeof(*command));
	assert_int_equal(poll(&poll_fd, 1, DEADLINE_MS), 1);
	assert_int_equal(
		recv(server->control, ret_answer, sizeof(*ret_answer), 0),
		sizeof(*ret_answer));
}

void server_init(struct server *server)
{
	*server = (struct server){.control = -1};
	strcpy(server->directory, "/tmp/fbvhostXXXXXX");
	assert_non_null(mkdtemp(server->directory));
	snprintf(server->socket_path, sizeof(server->socket_path), "%s/vhost",
		 server->directory);
}

void server_start(struct server *server)
{
	struct pollfd poll_fd = {.events = POLLIN};
	int pair[2];
	char ready[8];

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	server->pid = fork();
	assert_true(server->pid >= 0);
	if (server->pid == 0) {
		close(pair[0]);
		child_run(server, pair[1]);
	}
	close(pair[1]);
	server->control = pair[0];
	poll_fd.fd = pair[0];
	assert_int_equal(poll(&poll_fd, 1, DEADLINE_MS), 1);
	assert_int_equal(recv(pair[0], ready, sizeof(ready), 0), 5);
}

static int reap(struct server *server)
{
	int status = 0;

	waitpid(server->pid, &status, 0);
	close(server->control);
	server->control = -1;
	server->pid = 0;
	return status;
}

void server_stop(struct server *server)
{
	union answer answer;

	ask(server, &(struct command){.type = COMMAND_STOP}, &answer);
	assert_int_equal(reap(server), 0);
	assert_int_equal(access(server->socket_path, F_OK), -1);
}

void server_kill(struct server *server)
{
	kill(server->pid, SIGKILL);
	reap(server);
}

void server_cleanup(struct server *server)
{
	if (server->pid > 0)
		server_kill(server);
	unlink(server->socket_path);
	rmdir(server->directory);
}

void server_set_order(struct server *server, enum memory_pipeline_order order)
{
	union answer answer;

	ask(server,
	    &(struct command){.type = COMMAND_ORDER, .number = (int)order},
	    &answer);
}

void server_set_requests_max(struct server *server, unsigned int count)
{
	union answer answer;

	ask(server,
	    &(struct command){.type = COMMAND_REQUESTS_MAX, .count = count},
	    &answer);
}

void server_fail(struct server *server, enum forebay_operation operation,
		 int status, unsigned int count)
{
	union answer answer;

	ask(server,
	    &(struct command){
		    .type = COMMAND_FAIL,
		    .number = (int)operation,
		    .status = status,
		    .count = count,
	    },
	    &answer);
}

unsigned int server_release(struct server *server, unsigned int count)
{
	union answer answer;

	ask(server, &(struct command){.type = COMMAND_RELEASE, .count = count},
	    &answer);
	return answer.count;
}

struct server_counts server_counts(struct server *server)
{
	union answer answer;

	ask(server, &(struct command){.type = COMMAND_COUNTS}, &answer);
	return answer.counts;
}

void server_let_go(struct server *server)
{
	union answer answer;

	ask(server, &(struct command){.type = COMMAND_LET_GO}, &answer);
}

void server_unpark(struct server *server)
{
	union answer answer;

	ask(server, &(struct command){.type = COMMAND_UNPARK}, &answer);
}

void server_durable(struct server *server, uint64_t offset, void *ret_bytes,
		    unsigned int count)
{
	union answer answer;

	assert_true(count <= DURABLE_BYTES_MAX);
	ask(server,
	    &(struct command){
		    .type = COMMAND_DURABLE,
		    .offset = offset,
		    .count = count,
	    },
	    &answer);
	memcpy(ret_bytes, answer.bytes, count);
}

void server_wait_in_flight(struct server *server, unsigned int count)
{
	const struct timespec pause = {.tv_nsec = 1000000};

	for (int i = 0; i < DEADLINE_MS; i++) {
		if (server_counts(server).pipeline.in_flight == count)
			return;
		nanosleep(&pause, NULL);
	}
	fail_msg("%u requests in flight, not %u",
		 server_counts(server).pipeline.in_flight, count);
}

struct front *connect_front(struct server *server,
			    const struct front_options *options)
{
	struct front_options own = *options;
	struct front *front = NULL;

	own.socket_path = server->socket_path;
	own.packed |= server->packed;
	own.queue_count = own.queue_count ? own.queue_count : 1;
	own.queue_size = own.queue_size ? own.queue_size : 64;
	own.data_bytes = own.data_bytes ? own.data_bytes : 1 << 20;
	assert_int_equal(front_create(&own, &front), 0);
	assert_int_equal(front_connect(front), 0);
	return front;
}

int transfer(struct front *front, unsigned int queue, uint32_t type,
	     uint64_t sector, void *data, size_t bytes)
{
	struct iovec segment = {.iov_base = data, .iov_len = bytes};
	struct front_request request = {
		.type = type,
		.sector = sector,
		.segments = &segment,
		.segment_count = bytes > 0,
	};

	return front_run(front, queue, &request, NULL);
}
