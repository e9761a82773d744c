// SPDX-License-Identifier: Apache-2.0
/*
 * main.c - forebay-cached: options, sockets, signals, and the loop.
 *
 * It ends on SIGTERM or SIGINT. There is nothing to save: what must outlive it
 * was made durable when it happened, and disks that have their cache files
 * don't notice.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "acceptor.h"
#include "cached.h"
#include "channel.h"
#include "client.h"
#include "config.h"
#include "control.h"
#include "fd.h"
#include "log.h"
#include "methods.h"
#include "roster.h"

/* Disks have users of their own: client.c looks who it is. */
#define SOCKET_MODE 0666

struct options {
	const char *config;
	const char *socket;
	const char *control_socket;
	int status_fd;
};

struct daemon {
	struct cached cached;
	struct control_server *control;
	int listen_fd;
	struct acceptor acceptor;
	int signal_fd;
	struct loop_io signal_io;
};

static const char usage[] =
	"Usage: forebay-cached --config FILE --socket PATH --control-socket "
	"PATH\n"
	"                      [--status-fd N]\n"
	"The cache daemon of a host: makes the disks' cache files and hands "
	"them out.\n"
	"\n"
	"  --config FILE           where it remembers its pools\n"
	"  --socket PATH           where cache filters connect\n"
	"  --control-socket PATH   where the control plane connects\n"
	"  --status-fd N           writes JSON lines about its start there\n"
	"  --help, --version\n";

static int options_parse(int argc, char **argv, struct options *options)
{
	static const struct option names[] = {
		{"config", required_argument, NULL, 'c'},
		{"socket", required_argument, NULL, 's'},
		{"control-socket", required_argument, NULL, 'C'},
		{"status-fd", required_argument, NULL, 'f'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	int name;

	while ((name = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (name == 'c')
			options->config = optarg;
		else if (name == 's')
			options->socket = optarg;
		else if (name == 'C')
			options->control_socket = optarg;
		else if (name == 'f')
			options->status_fd = atoi(optarg);
		else if (name == 'h')
			exit(fputs(usage, stdout) < 0);
		else if (name == 'v')
			exit(puts("forebay-cached " FOREBAY_VERSION) < 0);
		else
			return -EINVAL;
	}
	if (optind < argc || !options->config || !options->socket ||
	    !options->control_socket)
		return -EINVAL;
	return 0;
}

static void report(const struct options *options, const char *state,
		   const char *message)
{
	json_t *line =
		json_pack("{s:s, s:s*}", "state", state, "message", message);

	if (options->status_fd >= 0)
		json_dumpfd(line, options->status_fd, JSON_COMPACT);
	if (options->status_fd >= 0 && write(options->status_fd, "\n", 1) < 0)
		log_warning("nobody reads the status descriptor: %s",
			    strerror(errno));
	json_decref(line);
}

static void accepted(struct acceptor *acceptor, int fd)
{
	struct daemon *daemon = acceptor->owner;
	int status = fd >= 0 ? client_accept(&daemon->cached, fd) : fd;

	if (status < 0)
		log_warning("a disk couldn't connect: %s", strerror(-status));
}

static void signal_done(struct loop_io *io, int result)
{
	struct daemon *daemon = io->owner;

	(void)result;
	loop_stop(daemon->cached.loop);
}

static int signals_watch(struct daemon *daemon)
{
	sigset_t signals;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	daemon->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (daemon->signal_fd < 0)
		return -errno;
	daemon->signal_io.done = signal_done;
	daemon->signal_io.owner = daemon;
	loop_poll(daemon->cached.loop, &daemon->signal_io, daemon->signal_fd,
		  POLLIN);
	return 0;
}

/* A directory that can't be used now keeps no other pool from working. */
static void pools_prepare(struct daemon *daemon)
{
	struct error error;

	if (pool_set_join(&daemon->cached.pools, &error) < 0)
		log_error("%s", error.message);
	if (roster_list(daemon->cached.config_path, &daemon->cached.pools) &&
	    config_store(daemon->cached.config_path, &daemon->cached.pools,
			 &error) < 0)
		log_error("%s", error.message);
}

static int sockets_open(struct daemon *daemon, const struct options *options,
			struct error *error)
{
	int status;

	daemon->listen_fd = channel_listen(options->socket, SOCKET_MODE);
	if (daemon->listen_fd == -EADDRINUSE)
		return error_set(error, -EADDRINUSE,
				 "another forebay-cached answers on %s: stop "
				 "it first",
				 options->socket);
	if (daemon->listen_fd < 0)
		return error_set(error, daemon->listen_fd,
				 "socket %s can't be made: %s", options->socket,
				 strerror(-daemon->listen_fd));
	daemon->acceptor.accepted = accepted;
	daemon->acceptor.owner = daemon;
	acceptor_start(&daemon->acceptor, daemon->cached.loop,
		       daemon->listen_fd);
	status = control_server_create(
		daemon->cached.loop, options->control_socket, methods,
		&daemon->cached, &daemon->control, error);
	return status;
}

static int start(struct daemon *daemon, const struct options *options,
		 struct error *error)
{
	int status = loop_create(&daemon->cached.loop);

	if (status < 0)
		return error_set(error, status,
				 "the event loop can't start: %s (io_uring is "
				 "needed)",
				 strerror(-status));
	status = config_load(options->config, &daemon->cached.pools, error);
	if (status < 0)
		return status;
	daemon->cached.config_path = options->config;
	pools_prepare(daemon);
	status = signals_watch(daemon);
	if (status < 0)
		return error_set(error, status, "signals can't be watched: %s",
				 strerror(-status));
	return sockets_open(daemon, options, error);
}

static void stop(struct daemon *daemon)
{
	control_server_destroy(daemon->control);
	clients_clear(&daemon->cached);
	ledger_clear(&daemon->cached);
	kept_memory_clear(&daemon->cached.kept);
	loop_destroy(daemon->cached.loop);
	fd_close(daemon->listen_fd);
	fd_close(daemon->signal_fd);
}

static int run(struct daemon *daemon, const struct options *options)
{
	struct error error;
	int status = start(daemon, options, &error);

	if (status < 0) {
		log_error("%s", error.message);
		report(options, "failed", error.message);
		return 1;
	}
	log_info("ready: %u pool directories", daemon->cached.pools.count);
	report(options, "ready", NULL);
	status = loop_run(daemon->cached.loop);
	if (status < 0)
		log_error("the event loop failed: %s", strerror(-status));
	return status < 0;
}

int main(int argc, char **argv)
{
	static struct daemon daemon = {.listen_fd = -1, .signal_fd = -1};
	struct options options = {.status_fd = -1};
	int result;

	if (options_parse(argc, argv, &options) < 0) {
		fputs(usage, stderr);
		return 2;
	}
	log_open("forebay-cached", LOG_LEVEL_INFO);
	list_init(&daemon.cached.clients);
	kept_memory_init(&daemon.cached.kept);
	ledger_init(&daemon.cached);
	result = run(&daemon, &options);
	stop(&daemon);
	if (result == 0)
		log_info("stopped");
	return result;
}
