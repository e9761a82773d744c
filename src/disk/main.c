// SPDX-License-Identifier: Apache-2.0
/*
 * main.c - forebay-disk: one virtual disk's exports, filters and backend.
 *
 * Started by forebayd with a configuration file, or by hand for a disk that
 * nobody supervises. It never looks back at forebayd: kill that, and I/O goes
 * on.
 *
 * Exit codes: 0 closed in order (SIGTERM, SIGINT, the control socket's close),
 * or it printed what it was asked for; 1 the disk couldn't be opened or closed,
 * and one line on standard error says why; 2 wrong arguments.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "crash_report.h"
#include "describe_filter.h"
#include "disk.h"
#include "log.h"
#include "status_pipe.h"
#include "watchdog.h"

#define EXIT_USAGE 2
/* What the kernel keeps of a thread's name, with the NUL. */
#define COMM_BYTES 16

struct arguments {
	const char *config_path;
	const char *describe_path;
	bool bypass;
	struct disk_start_options start;
};

struct signals {
	struct loop_io io;
	struct disk *disk;
	int fd;
};

static const char usage[] =
	"usage: forebay-disk --config FILE [--status-fd N]\n"
	"                    [--incoming | --handed-over | --drain | "
	"--deleting]\n"
	"                    [--warm]\n"
	"                    [--one-by-one] [--bypass]\n"
	"       forebay-disk --describe-filter FILE.so\n"
	"       forebay-disk --help | --version\n"
	"\n"
	"Serves one virtual disk: its exports, filters and backend.\n"
	"\n"
	"  --config FILE          the disk, as JSON\n"
	"  --status-fd N          tell how the start goes, a JSON object a "
	"line\n"
	"  --incoming             serve nothing until the disk's VM runs here\n"
	"  --handed-over          the same, after the VM has left from here\n"
	"  --warm                 the process before was killed or closed, so "
	"that\n"
	"                         what it kept in memory may be believed\n"
	"  --drain                serve nobody, bring what is dirty to the "
	"backend\n"
	"                         and end\n"
	"  --deleting             ask the filters whether the disk may be "
	"deleted,\n"
	"                         tell them and end\n"
	"  --one-by-one           take up one after the other what the process "
	"before\n"
	"                         left: it may have been ended by one of "
	"them\n"
	"  --bypass               do without filters that may be bypassed: "
	"with them\n"
	"                         it has crashed again and again\n"
	"  --no-sandbox           keep all rights, so that a debugger can "
	"look\n"
	"  --describe-filter SO   print what a filter library says of itself\n"
	"\n"
	"Ends on SIGTERM or SIGINT, or when its control socket is told to "
	"close\n"
	"the disk. Normally it is forebayd that starts it.\n";

static int parse_fd(const char *text, int *ret_fd)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(text, &end, 10);
	if (errno != 0 || *end != '\0' || end == text || number < 0 ||
	    number > INT_MAX)
		return -EINVAL;
	*ret_fd = (int)number;
	return 0;
}

/* Returns: -1 to go on, or the exit code. */
static int parse_arguments(int count, char **words, struct arguments *ret)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"status-fd", required_argument, NULL, 's'},
		{"incoming", no_argument, NULL, 'i'},
		{"handed-over", no_argument, NULL, 'l'},
		{"warm", no_argument, NULL, 'w'},
		{"drain", no_argument, NULL, 'a'},
		{"deleting", no_argument, NULL, 'x'},
		{"one-by-one", no_argument, NULL, 'o'},
		{"bypass", no_argument, NULL, 'b'},
		{"no-sandbox", no_argument, NULL, 'n'},
		{"describe-filter", required_argument, NULL, 'd'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{0},
	};
	int option;

	*ret = (struct arguments){.start.status_fd = -1};
	while ((option = getopt_long(count, words, "", options, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		}
		if (option == 'v') {
			puts("forebay-disk " FOREBAY_VERSION);
			return EXIT_SUCCESS;
		}
		if (option == '?')
			return EXIT_USAGE;
		if (option == 'c')
			ret->config_path = optarg;
		if (option == 'w')
			ret->start.warm = true;
		if (option == 'o')
			ret->start.one_by_one = true;
		if (option == 'b')
			ret->bypass = true;
		if (option == 'n')
			ret->start.unconfined = true;
		if (option == 'd')
			ret->describe_path = optarg;
		if (option == 'i')
			ret->start.incoming = true;
		if (option == 'l')
			ret->start.handed_over = true;
		if (option == 'a')
			ret->start.drain = true;
		if (option == 'x')
			ret->start.deleting = true;
		if (option == 's' &&
		    parse_fd(optarg, &ret->start.status_fd) < 0) {
			fprintf(stderr,
				"forebay-disk: --status-fd takes the number "
				"of a descriptor, not '%s'\n",
				optarg);
			return EXIT_USAGE;
		}
	}
	if (optind == count && !ret->config_path != !ret->describe_path)
		return -1;
	fputs(usage, stderr);
	return EXIT_USAGE;
}

/* The guest's data pass through this process: nobody gets to look into it. */
static void harden(const char *disk_name)
{
	char comm[COMM_BYTES];

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	snprintf(comm, sizeof(comm), "disk:%s", disk_name);
	prctl(PR_SET_NAME, comm, 0, 0, 0);
	umask(0077);
	/* Whoever reads our status may be gone. */
	signal(SIGPIPE, SIG_IGN);
}

static void on_signal(struct loop_io *io, int result)
{
	struct signals *signals = io->owner;
	struct signalfd_siginfo info;

	if (result < 0)
		return;
	while (read(signals->fd, &info, sizeof(info)) == sizeof(info))
		disk_terminate(signals->disk);
}

/* Before any thread of the kernel's or ours could take them. */
static int watch_signals(struct signals *signals, struct loop *loop,
			 struct disk *disk)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals->fd < 0)
		return -errno;
	signals->disk = disk;
	signals->io.done = on_signal;
	signals->io.owner = signals;
	loop_poll_multishot(loop, &signals->io, signals->fd, POLLIN);
	return 0;
}

/* Returns: the exit code. */
static int serve(const struct config *config,
		 const struct disk_start_options *options)
{
	static struct disk disk;
	static struct signals signals;
	struct loop *loop;
	int status = loop_create(&loop);

	if (status < 0) {
		log_error("io_uring isn't available: %s", strerror(-status));
		status_pipe_failed(options->status_fd,
				   "io_uring isn't available");
		return EXIT_FAILURE;
	}
	status = watch_signals(&signals, loop, &disk);
	if (status == 0) {
		disk_start(&disk, loop, config, options);
		status = loop_run(loop);
	}
	if (status < 0) {
		log_error("the event loop failed: %s", strerror(-status));
		_exit(EXIT_FAILURE);
	}
	watchdog_stop();
	/* What is still under way belongs to memory that nobody owns now. */
	if (!disk_release(&disk))
		_exit(disk.exit_code);
	loop_destroy(loop);
	close(signals.fd);
	return disk.exit_code;
}

int main(int count, char **words)
{
	struct arguments arguments;
	struct config config;
	struct error error = {0};
	char program[128];
	int code = parse_arguments(count, words, &arguments);

	if (code >= 0)
		return code;
	log_open("forebay-disk", LOG_LEVEL_INFO);
	if (arguments.describe_path)
		describe_filter(arguments.describe_path);
	if (config_read(arguments.config_path, &config, &error) < 0) {
		log_error("%s", error.message);
		status_pipe_failed(arguments.start.status_fd, error.message);
		return EXIT_FAILURE;
	}
	snprintf(program, sizeof(program), "forebay-disk[%s]", config.name);
	log_open(program, LOG_LEVEL_INFO);
	if (arguments.start.unconfined)
		log_warning("runs without its sandbox, as it was told");
	if (arguments.bypass)
		config_bypass(&config);
	for (uint32_t i = 0; i < config.bypassed_count; i++)
		log_warning("filter %s is bypassed: the disk's process crashed "
			    "again and again with it",
			    config.bypassed[i]);
	harden(config.name);
	if (crash_report_start(config.name, arguments.start.status_fd) < 0)
		log_warning("a crash will have no words: %s", strerror(errno));
	code = serve(&config, &arguments.start);
	config_release(&config);
	return code;
}
