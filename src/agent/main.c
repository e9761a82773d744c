/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - forebayd: the host's supervisor, policies and REST API.
 *
 * forebayd is never in the data path. Ending it, by SIGTERM or by kill -9,
 * ends no disk; the next forebayd finds everything that runs and goes on.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent.h"
#include "bundle_store.h"
#include "disk.h"
#include "documents.h"
#include "fd.h"
#include "history.h"
#include "log.h"
#include "pool.h"
#include "rest.h"

/* Between two looks at what disks' processes have written. */
#define HISTORY_INTERVAL_MS 5000

struct options {
	struct host_options host;
	enum log_level log_level;
};

static const char usage[] =
	"Usage: forebayd [--root DIR] [--filter-dir DIR] [--libexec-dir DIR]\n"
	"                [--disk-user per-disk|none] [--socket-group NAME]\n"
	"                [--log-level error|warning|info|debug]\n"
	"The daemon of a host: starts and supervises its disks, and serves the "
	"API.\n"
	"\n"
	"  --root DIR          all sockets, state and logs are under DIR\n"
	"  --filter-dir DIR    where filters (NAME.so) are; also "
	"$FOREBAY_FILTER_DIR\n"
	"  --libexec-dir DIR   where forebay-disk and forebay-cached are\n"
	"  --disk-user WHICH   per-disk (the default, as root): each disk's "
	"process\n"
	"                      has a user id of its own; none: ours\n"
	"  --socket-group NAME whose members may use the exports' sockets\n"
	"  --log-level LEVEL   how much to say on standard error (info)\n"
	"  --foreground        the default: there is no other way\n"
	"  --help, --version\n"
	"\n"
	"SIGTERM ends forebayd and no disk: the next forebayd takes them "
	"over.\n";

static int parse_level(const char *text, enum log_level *ret_level)
{
	static const char *const names[] = {
		[LOG_LEVEL_ERROR] = "error",
		[LOG_LEVEL_WARNING] = "warning",
		[LOG_LEVEL_INFO] = "info",
		[LOG_LEVEL_DEBUG] = "debug",
	};

	for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++) {
		if (strcmp(text, names[i]) == 0) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	}
	fprintf(stderr, "forebayd: --log-level %s: not a level\n", text);
	return -EINVAL;
}

static int options_parse(int argc, char **argv, struct options *options)
{
	static const struct option names[] = {
		{"root", required_argument, NULL, 'r'},
		{"filter-dir", required_argument, NULL, 'f'},
		{"libexec-dir", required_argument, NULL, 'x'},
		{"disk-user", required_argument, NULL, 'u'},
		{"socket-group", required_argument, NULL, 'g'},
		{"log-level", required_argument, NULL, 'l'},
		{"foreground", no_argument, NULL, 'F'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	int name;

	while ((name = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (name == 'r')
			options->host.root = optarg;
		else if (name == 'f')
			options->host.filter_directory = optarg;
		else if (name == 'x')
			options->host.program_directory = optarg;
		else if (name == 'u')
			options->host.disk_user = optarg;
		else if (name == 'g')
			options->host.socket_group = optarg;
		else if (name == 'l' &&
			 parse_level(optarg, &options->log_level) < 0)
			return -EINVAL;
		else if (name == 'h')
			exit(fputs(usage, stdout) < 0);
		else if (name == 'v')
			exit(puts("forebayd " FOREBAY_VERSION) < 0);
		else if (name == '?')
			return -EINVAL;
	}
	if (optind < argc) {
		fprintf(stderr, "forebayd: %s: not an option\n", argv[optind]);
		return -EINVAL;
	}
	return 0;
}

static bool on_ended(void *owner, const char *name, bool clean)
{
	return strcmp(name, AGENT_CACHED) != 0 &&
	       disk_ended(owner, name, clean);
}

static bool on_may_bypass(void *owner, const char *name)
{
	return strcmp(name, AGENT_CACHED) != 0 && disk_may_bypass(owner, name);
}

static void on_close_refused(void *owner, const char *name)
{
	disk_close_refused(owner, name);
}

/* -- taking over what is there ------------------------------------------ */

static int register_cached(struct agent *agent, bool wanted,
			   struct error *error)
{
	const struct host *host = &agent->host;
	struct host_path folder = host_run(host, "cached");
	struct host_path log = host_log(host, "cached.log");
	struct host_path config = host_lib(host, "cached.json");
	struct host_path socket = host_run(host, "cached.sock");
	struct host_path control = host_run(host, "cached-control.sock");
	struct host_path program = host_program(host, "forebay-cached");
	const char *const arguments[] = {
		program.text, "--config",	  config.text,	"--socket",
		socket.text,  "--control-socket", control.text, NULL,
	};
	const struct supervisor_spec spec = {
		.name = AGENT_CACHED,
		.label = "forebay-cached",
		.folder = folder.text,
		.log_path = log.text,
		.control_socket = control.text,
		.arguments = arguments,
		.drains = false,
		.wanted = wanted,
	};

	return supervisor_add(agent->supervisor, &spec, error);
}

/* The cache first: disks that start wait for it. */
static int resume_cached(struct agent *agent, struct error *error)
{
	json_auto_t *pools = NULL;
	int result = documents_list(agent->store, "pools/", &pools);

	if (result < 0)
		return error_set(error, result, "store: %s", strerror(-result));
	return register_cached(agent, json_array_size(pools) > 0, error);
}

static int resume_disk(struct agent *agent, const json_t *document,
		       struct error *error)
{
	const char *id = json_string_value(json_object_get(document, "id"));
	_cleanup_disk_ struct disk disk = {0};
	struct problem problem;
	int result = disk_load(agent, id, &disk, &problem);

	if (result < 0)
		return error_set(error, -EIO, "%s", problem.detail);
	/* Before a process begins another file than was read so far. */
	history_take(agent, disk.id);
	return disk_register(agent, &disk, error);
}

static int resume(struct agent *agent, struct error *error)
{
	json_auto_t *disks = NULL;
	const json_t *document;
	size_t index;
	int result = resume_cached(agent, error);

	if (result < 0)
		return result;
	result = documents_list(agent->store, "disks/", &disks);
	if (result < 0)
		return error_set(error, result, "store: %s", strerror(-result));
	json_array_foreach(disks, index, document)
	{
		result = resume_disk(agent, document, error);
		if (result < 0)
			return result;
	}
	return 0;
}

/* A thread: forebay-cached may have missed the last change of the pools. */
static void *publish_pools(void *argument)
{
	struct agent *agent = argument;
	json_auto_t *pools = NULL;
	struct problem problem;

	if (documents_list(agent->store, "pools/", &pools) == 0 &&
	    json_array_size(pools) > 0 && pool_publish(agent, &problem) < 0)
		log_warning("pools: %s", problem.detail);
	return NULL;
}

/* A thread: so much of it at most is lost with the power. */
static void *keep_history(void *argument)
{
	struct agent *agent = argument;
	struct pollfd stop = {.fd = agent->stop_fd, .events = POLLIN};

	while (poll(&stop, 1, HISTORY_INTERVAL_MS) == 0)
		history_take_all(agent);
	return NULL;
}

/* -- life --------------------------------------------------------------- */

static int open_agent(const struct options *options, struct agent *agent,
		      struct error *error)
{
	const struct supervisor_hooks hooks = {
		.ended = on_ended,
		.may_bypass = on_may_bypass,
		.close_refused = on_close_refused,
		.owner = agent,
	};
	struct host_path database;
	int result = host_open(&options->host, &agent->host, error);

	if (result < 0)
		return result;
	if (signing_start() < 0)
		return error_set(error, -EIO, "the machine has no randomness");
	bundle_store_repair(&agent->host);
	database = host_lib(&agent->host, "forebay.db");
	agent->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	result = filters_create(&agent->host, &agent->filters);
	if (result < 0 || agent->stop_fd < 0)
		return error_set(error, -ENOMEM, "out of memory");
	result = store_open_sqlite(database.text, &agent->store, error);
	if (result < 0)
		return result;
	result = supervisor_create(&hooks, &agent->supervisor, error);
	return result < 0 ? result : resume(agent, error);
}

static void close_agent(struct agent *agent)
{
	supervisor_destroy(agent->supervisor);
	filters_destroy(agent->filters);
	store_close(agent->store);
	fd_close(agent->stop_fd);
	host_close(&agent->host);
}

/* Until a signal says that it's enough. */
static int serve(struct agent *agent, const sigset_t *signals,
		 struct error *error)
{
	struct host_path socket = host_run(&agent->host, "forebayd.sock");
	struct rest *rest = NULL;
	pthread_t publisher, historian;
	uint64_t one = 1;
	bool published;
	int number, result;

	result = rest_start(agent, socket.text, &rest, error);
	if (result < 0)
		return result;
	result = pthread_create(&publisher, NULL, publish_pools, agent);
	published = result == 0;
	if (result == 0)
		result = pthread_create(&historian, NULL, keep_history, agent);
	if (result == 0) {
		log_info("serving on %s", socket.text);
		sigwait(signals, &number);
		log_info("stopping; disks stay as they are");
	}
	/* Nobody waits any longer, so that every thread can be joined. */
	supervisor_stop(agent->supervisor);
	if (write(agent->stop_fd, &one, sizeof(one)) < 0)
		log_warning("stop: %s", strerror(errno));
	if (published)
		pthread_join(publisher, NULL);
	if (result == 0)
		pthread_join(historian, NULL);
	rest_stop(rest);
	return result == 0 ? 0
			   : error_set(error, -result, "no thread: %s",
				       strerror(result));
}

int main(int argc, char **argv)
{
	struct options options = {.log_level = LOG_LEVEL_INFO};
	struct agent agent = {.stop_fd = -1, .host.lock_fd = -1};
	struct error error = {0};
	sigset_t signals;
	int result;

	if (options_parse(argc, argv, &options) < 0) {
		fputs("forebayd --help tells the options\n", stderr);
		return 2;
	}
	log_open("forebayd", options.log_level);
	/* In all threads: only main takes them. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* Seeds jansson's tables before there are threads. */
	json_object_seed(0);
	result = open_agent(&options, &agent, &error);
	if (result == 0)
		result = serve(&agent, &signals, &error);
	if (result < 0)
		log_error("%s", error.message);
	close_agent(&agent);
	return result < 0 ? 1 : 0;
}
