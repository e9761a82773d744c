// SPDX-License-Identifier: Apache-2.0
/*
 * burglar_filter.c - a filter that was taken over: each of its actions tries
 * something that a disk's process has no reason to do.
 *
 * An action ends with 0 if it could be done, or with the errno that refused it.
 * What the sandbox answers with the end of the process has no answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <forebay/filter.h>

#define PAGE_BYTES 4096u

struct burglar {
	struct forebay_instance *instance;
	const struct forebay_host *host;
	pid_t parent;
	const char *target; /* a path that belongs to somebody else */
};

static int outcome(long result)
{
	return result < 0 ? -errno : 0;
}

static int open_and_close(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);
	int result = outcome(fd);

	if (fd >= 0)
		close(fd);
	return result;
}

static int read_secret(const struct burglar *burglar)
{
	(void)burglar;
	return open_and_close("/etc/shadow", O_RDONLY);
}

static int write_target(const struct burglar *burglar)
{
	return open_and_close(burglar->target, O_WRONLY | O_CREAT);
}

static int remove_target(const struct burglar *burglar)
{
	return outcome(unlink(burglar->target));
}

static int change_target(const struct burglar *burglar)
{
	return outcome(chmod(burglar->target, 0666));
}

static int connect_target(const struct burglar *burglar)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int result;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s",
		 burglar->target);
	result = outcome(
		connect(fd, (struct sockaddr *)&address, sizeof(address)));
	close(fd);
	return result;
}

static int read_parent(const struct burglar *burglar)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)burglar->parent);
	return open_and_close(path, O_RDONLY);
}

static int list_processes(const struct burglar *burglar)
{
	(void)burglar;
	return open_and_close("/proc", O_RDONLY | O_DIRECTORY);
}

static int run_program(const struct burglar *burglar)
{
	(void)burglar;
	/* Without a program that is there nothing runs even if it may. */
	execl("/nowhere/at/all", "nowhere", NULL);
	return errno == ENOENT ? 0 : -errno;
}

static int make_child(const struct burglar *burglar)
{
	pid_t pid = fork();

	(void)burglar;
	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return outcome(pid);
}

static int make_namespace(const struct burglar *burglar)
{
	(void)burglar;
	return outcome(unshare(CLONE_FILES));
}

/* A pid that nobody has: what counts is whether the call is made. */
static int trace_process(const struct burglar *burglar)
{
	(void)burglar;
	ptrace(PTRACE_ATTACH, 0, NULL, NULL);
	return errno == ESRCH ? 0 : -errno;
}

static int signal_parent(const struct burglar *burglar)
{
	return outcome(kill(burglar->parent, SIGCONT));
}

static int connect_internet(const struct burglar *burglar)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)burglar;
	if (fd >= 0)
		close(fd);
	return outcome(fd);
}

static int listen_to_kernel(const struct burglar *burglar)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);

	(void)burglar;
	if (fd >= 0)
		close(fd);
	return outcome(fd);
}

static int mount_something(const struct burglar *burglar)
{
	(void)burglar;
	mount("none", "/nowhere/at/all", "tmpfs", 0, NULL);
	return errno == ENOENT || errno == EPERM ? 0 : -errno;
}

static int load_program(const struct burglar *burglar)
{
	(void)burglar;
	/* The kernel says no to a command that there isn't. */
	syscall(SYS_bpf, -1, NULL, 0);
	return errno == EINVAL || errno == EPERM || errno == E2BIG ? 0 : -errno;
}

static int make_ring(const struct burglar *burglar)
{
	struct io_uring_params params = {0};
	int fd = (int)syscall(SYS_io_uring_setup, 4, &params);

	(void)burglar;
	if (fd >= 0)
		close(fd);
	return outcome(fd);
}

static int make_code(const struct burglar *burglar)
{
	void *code = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)burglar;
	if (code == MAP_FAILED)
		return -errno;
	munmap(code, PAGE_BYTES);
	return 0;
}

static int turn_data_into_code(const struct burglar *burglar)
{
	void *data = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int result;

	(void)burglar;
	if (data == MAP_FAILED)
		return -errno;
	result = outcome(mprotect(data, PAGE_BYTES, PROT_READ | PROT_EXEC));
	munmap(data, PAGE_BYTES);
	return result;
}

static int become_dumpable(const struct burglar *burglar)
{
	(void)burglar;
	return outcome(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static int become_root(const struct burglar *burglar)
{
	(void)burglar;
	return outcome(setuid(0));
}

static const struct {
	const char *name;
	int (*run)(const struct burglar *burglar);
} attempts[] = {
	{"read-secret", read_secret},
	{"write-target", write_target},
	{"remove-target", remove_target},
	{"change-target", change_target},
	{"connect-target", connect_target},
	{"read-parent", read_parent},
	{"list-processes", list_processes},
	{"run-program", run_program},
	{"make-child", make_child},
	{"make-namespace", make_namespace},
	{"trace-process", trace_process},
	{"signal-parent", signal_parent},
	{"connect-internet", connect_internet},
	{"listen-to-kernel", listen_to_kernel},
	{"mount-something", mount_something},
	{"load-program", load_program},
	{"make-ring", make_ring},
	{"make-code", make_code},
	{"turn-data-into-code", turn_data_into_code},
	{"become-dumpable", become_dumpable},
	{"become-root", become_root},
};

static void burglar_open(struct forebay_instance *instance,
			 const struct forebay_host *host,
			 const struct forebay_disk *disk, void **ret_state)
{
	struct burglar *burglar = calloc(1, sizeof(*burglar));

	(void)disk;
	if (!burglar)
		abort();
	burglar->instance = instance;
	burglar->host = host;
	burglar->parent = getppid();
	host->property_string(instance, "target", &burglar->target);
	*ret_state = burglar;
	host->open_done(instance, 0);
}

static void burglar_close(void *state)
{
	struct burglar *burglar = state;
	struct forebay_instance *instance = burglar->instance;
	const struct forebay_host *host = burglar->host;

	free(burglar);
	host->close_done(instance, 0);
}

static void burglar_submit(void *state, struct forebay_request *request)
{
	const struct burglar *burglar = state;

	burglar->host->request_forward(request);
}

static void burglar_action(void *state, const char *name,
			   void (*done)(void *context, int status),
			   void *context)
{
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		if (strcmp(attempts[i].name, name) != 0)
			continue;
		errno = 0;
		done(context, attempts[i].run(state));
		return;
	}
	done(context, -ENOTSUP);
}

static const struct forebay_property burglar_properties[] = {
	{
		.name = "target",
		.description = "What the actions are after.",
		.type = FOREBAY_PROPERTY_STRING,
		.default_string = "/nowhere",
	},
	{0},
};

const struct forebay_filter forebay_filter = {
	.abi_version = FOREBAY_FILTER_ABI,
	.struct_size = sizeof(struct forebay_filter),
	.name = "burglar",
	.version = "1.0.0",
	.description = "Tries what it may not.",
	.filter_class = FOREBAY_CLASS_INSPECTION,
	.operations = FOREBAY_OPERATION_BIT(FOREBAY_READ) |
		      FOREBAY_OPERATION_BIT(FOREBAY_WRITE) |
		      FOREBAY_OPERATION_BIT(FOREBAY_FLUSH),
	.properties = burglar_properties,
	.open = burglar_open,
	.close = burglar_close,
	.submit = burglar_submit,
	.action = burglar_action,
};
