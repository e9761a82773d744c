/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost_server.h - a vhost-user-blk server over memory in a process of its
 * own, which a test commands, stops and kills.
 *
 * Failures of the frame itself fail the test that runs.
 */
#ifndef FOREBAY_TESTS_VHOST_SERVER_H
#define FOREBAY_TESTS_VHOST_SERVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
/* cmocka wants those first. */
#include <cmocka.h>

#include "front.h"
#include "memory_pipeline.h"

/* Of the variant of a test that runs with packed virtqueues. */
#define PACKED_NAME(name) #name "_packed"

#define SERVER_DISK_BYTES (UINT64_C(8) << 20)

struct server {
	pid_t pid;
	int control;
	bool read_only;
	bool packed; /* the fronts that are connected to it */
	bool follows; /* its disk goes with the VM: server_let_go() */
	bool parked; /* it starts without its pipeline */
	unsigned int revision; /* 0: the newest */
	unsigned int stop_deadline_ms; /* 0: the default */
	char directory[32];
	char socket_path[64];
};

/* What the export counts, and the pipeline behind it. */
struct server_counts {
	struct memory_pipeline_counts pipeline;
	unsigned int connections;
	unsigned int replayed;
	unsigned int notifications;
	unsigned int broken_queues;
	unsigned int open_descriptors;
	unsigned int hand_overs; /* asked for */
	unsigned int arrivals;
	bool connected;
	bool overdue;
};

/* Makes a directory of its own. */
void server_init(struct server *server);
void server_start(struct server *server);
/* In good order. */
void server_stop(struct server *server);
void server_kill(struct server *server);
/* Ends what runs and removes the directory. */
void server_cleanup(struct server *server);

void server_set_order(struct server *server, enum memory_pipeline_order order);
void server_set_requests_max(struct server *server, unsigned int count);
/* The next @count requests of @operation end with @status. */
void server_fail(struct server *server, enum forebay_operation operation,
		 int status, unsigned int count);
/* Completes up to @count held requests, newest first. Returns: how many. */
unsigned int server_release(struct server *server, unsigned int count);
struct server_counts server_counts(struct server *server);
/* The disk is parked, and the VM may run elsewhere. Order: it follows. */
void server_let_go(struct server *server);
/* Gives a server that started parked its pipeline. */
void server_unpark(struct server *server);
/* What of the disk would survive a power loss. */
void server_durable(struct server *server, uint64_t offset, void *ret_bytes,
		    unsigned int count);
/* Waits until @count requests are held by the pipeline. */
void server_wait_in_flight(struct server *server, unsigned int count);

/* A front with @queue_count queues, connected. */
struct front *connect_front(struct server *server,
			    const struct front_options *options);
/* Transfers @bytes at @data of the front's memory. Returns: the status. */
int transfer(struct front *front, unsigned int queue, uint32_t type,
	     uint64_t sector, void *data, size_t bytes);

#endif
