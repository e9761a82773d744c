// SPDX-License-Identifier: Apache-2.0
/*
 * sandbox_calls.c - the system calls that are left.
 *
 * Three kinds. What the process does is allowed. What a library tries and can
 * do without fails with -EACCES: to open a file, or to look at one. All else
 * is the work of somebody who has taken the process over: it is ended by
 * SIGSYS, and its last line in the log names the call.
 *
 * io_uring does its work unseen by this list: ring_limits.c limits that.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/fs.h>

#include "crash.h"
#include "sandbox_private.h"

#define CALLS_MAX 512
#define LINE_BYTES 256

/* Whatever the process is for. */
static const char *const allowed[] = {
	/* Descriptors that it has. */
	"read",
	"write",
	"readv",
	"writev",
	"pread64",
	"pwrite64",
	"preadv",
	"pwritev",
	"lseek",
	"close",
	"close_range",
	"dup",
	"fcntl",
	"fstat",
	"newfstatat",
	"statx",
	"fsync",
	"fdatasync",
	"ftruncate",
	"fallocate",
	"flock",
	"fchmod",
	"eventfd2",
	"memfd_create",
	"poll",
	"ppoll",
	/* Memory. */
	"brk",
	"munmap",
	"mremap",
	"madvise",
	"mlock",
	"munlock",
	"mincore",
	/* Time, signals, itself. */
	"clock_gettime",
	"clock_nanosleep",
	"nanosleep",
	"gettimeofday",
	"getrandom",
	"rt_sigaction",
	"rt_sigprocmask",
	"rt_sigreturn",
	"sigaltstack",
	"restart_syscall",
	"futex",
	"set_robust_list",
	"rseq",
	"sched_yield",
	"getpid",
	"gettid",
	"getuid",
	"geteuid",
	"getgid",
	"getegid",
	"uname",
	"exit",
	"exit_group",
};

/* To serve a disk. */
static const char *const allowed_to_serve[] = {
	/* The ring. */
	"io_uring_enter",
	"io_uring_register",
	/* Its sockets, and those that it connects to. */
	"bind",
	"listen",
	"accept4",
	"connect",
	"getsockopt",
	"setsockopt",
	"getsockname",
	"getpeername",
	"sendmsg",
	"recvmsg",
	"sendto",
	"recvfrom",
	"shutdown",
	"chmod",
	"chown",
	"unlink",
};

/* A library looks, and goes on without. */
static const char *const refused[] = {
	"open",	      "openat2",    "access",	  "faccessat",
	"faccessat2", "readlink",   "readlinkat", "stat",
	"lstat",      "getdents64", "prlimit64",  "sysinfo",
};

/* Names by number, so that the handler has them without asking anyone. */
static char *call_names[CALLS_MAX];

static void on_forbidden(int number, siginfo_t *info, void *context)
{
	static const char unknown[] = "?";
	int call = info->si_syscall;
	const char *name = unknown;
	char line[LINE_BYTES];
	int length;

	(void)context;
	if (call >= 0 && call < CALLS_MAX && call_names[call])
		name = call_names[call];
	/* Its format has no floating point, so it takes no lock. */
	length = snprintf(line, sizeof(line),
			  "%s: the sandbox ends this process: it made the "
			  "system call %s (%d), which it has no reason to "
			  "make\n",
			  program_invocation_short_name, name, call);
	if (write(STDERR_FILENO, line, (size_t)length) < 0)
		line[0] = '\0';
	crash_tell(number, "SIGSYS");
	signal(number, SIG_DFL);
	raise(number);
}

/*
 * Threads are fine, children aren't. The C library asks for a thread with
 * clone3() first, whose flags lie in memory where no filter sees them.
 */
static int add_threads(scmp_filter_ctx filter)
{
	int status = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS),
				      SCMP_SYS(clone3), 0);

	if (status == 0)
		status = seccomp_rule_add(filter, SCMP_ACT_ALLOW,
					  SCMP_SYS(clone), 1,
					  SCMP_A0(SCMP_CMP_MASKED_EQ,
						  CLONE_THREAD, CLONE_THREAD));
	return status;
}

static int watch_forbidden(void)
{
	struct sigaction action = {
		.sa_sigaction = on_forbidden,
		.sa_flags = SA_SIGINFO | SA_NODEFER,
	};

	for (int i = 0; i < CALLS_MAX; i++)
		call_names[i] =
			seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);
	return sigaction(SIGSYS, &action, NULL) < 0 ? -errno : 0;
}

/* A call that an architecture doesn't have can't be made there either. */
static int add_all(scmp_filter_ctx filter, uint32_t action,
		   const char *const *names, size_t count)
{
	int status = 0;

	for (size_t i = 0; i < count && status == 0; i++) {
		int number = seccomp_syscall_resolve_name(names[i]);

		if (number >= 0)
			status = seccomp_rule_add(filter, action, number, 0);
	}
	return status;
}

/* Files are read to load a library, and for nothing else. */
static int add_open(scmp_filter_ctx filter, enum sandbox_purpose purpose)
{
	const struct scmp_arg_cmp read_only =
		SCMP_A2(SCMP_CMP_MASKED_EQ,
			O_ACCMODE | O_CREAT | O_TRUNC | O_TMPFILE, O_RDONLY);

	if (purpose == SANDBOX_LOAD)
		return seccomp_rule_add(filter, SCMP_ACT_ALLOW,
					SCMP_SYS(openat), 1, read_only);
	return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES),
				SCMP_SYS(openat), 0);
}

/* Code is mapped to load a library, and for nothing else. */
static int add_mappings(scmp_filter_ctx filter, enum sandbox_purpose purpose)
{
	const struct scmp_arg_cmp no_code =
		SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	const unsigned int conditions = purpose == SANDBOX_LOAD ? 0 : 1;
	int status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap),
				      conditions, no_code);

	if (status == 0)
		status = seccomp_rule_add(filter, SCMP_ACT_ALLOW,
					  SCMP_SYS(mprotect), conditions,
					  no_code);
	return status;
}

static int add_serving(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp unix_family = SCMP_A0(SCMP_CMP_EQ, AF_UNIX);
	int status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket),
				      1, unix_family);

	if (status == 0)
		status = add_all(filter, SCMP_ACT_ALLOW, allowed_to_serve,
				 sizeof(allowed_to_serve) /
					 sizeof(allowed_to_serve[0]));
	if (status == 0)
		status = seccomp_rule_add(filter, SCMP_ACT_ALLOW,
					  SCMP_SYS(ioctl), 1,
					  SCMP_A1(SCMP_CMP_EQ, BLKGETSIZE64));
	/* Whether another process lives is asked with signal 0. */
	if (status == 0)
		status =
			seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(kill),
					 1, SCMP_A1(SCMP_CMP_EQ, 0));
	return status;
}

/* Calls of which only some uses are allowed. */
static int add_conditional(scmp_filter_ctx filter, enum sandbox_purpose purpose)
{
	const struct scmp_arg_cmp own =
		SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid());
	int status = add_mappings(filter, purpose);

	if (status == 0)
		status = add_open(filter, purpose);
	/* abort() and raise(). */
	if (status == 0)
		status = seccomp_rule_add(filter, SCMP_ACT_ALLOW,
					  SCMP_SYS(tgkill), 1, own);
	if (status == 0)
		status = seccomp_rule_add(filter, SCMP_ACT_ALLOW,
					  SCMP_SYS(prctl), 1,
					  SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
	if (status == 0 && purpose == SANDBOX_SERVE)
		status = add_serving(filter);
	return status;
}

int sandbox_limit_system_calls(enum sandbox_purpose purpose)
{
	scmp_filter_ctx filter;
	int status;

	if (SANDBOX_SANITIZED)
		return -ENOSYS;
	status = watch_forbidden();
	filter = seccomp_init(SCMP_ACT_TRAP);
	if (!filter)
		return -ENOMEM;
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	/* What is called most is looked for first: it's a tree, not a list. */
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (status == 0)
		status = add_all(filter, SCMP_ACT_ALLOW, allowed,
				 sizeof(allowed) / sizeof(allowed[0]));
	if (status == 0)
		status = add_all(filter, SCMP_ACT_ERRNO(EACCES), refused,
				 sizeof(refused) / sizeof(refused[0]));
	if (status == 0)
		status = add_conditional(filter, purpose);
	if (status == 0)
		status = add_threads(filter);
	if (status == 0)
		status = seccomp_load(filter);
	seccomp_release(filter);
	return status;
}
