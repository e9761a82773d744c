// SPDX-License-Identifier: Apache-2.0
/*
 * main.c - forebay-bundle: unpacks a bundle that nobody has looked at yet.
 *
 * forebayd gives it the bundle as standard input and an empty file as standard
 * output, and reads that when it has ended. So a fault of the decoder, which
 * meets bytes of strangers, is met in a process that has three descriptors and
 * nothing else: no file, no network, no privileges, little memory and time.
 *
 * Exit codes: 0 unpacked; 1 refused: standard error has "CODE: DETAIL"; 2 wrong
 * arguments; 3 the machine failed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "disk_user.h"
#include "log.h"
#include "packing.h"
#include "sandbox.h"

#define EXIT_USAGE 2
#define EXIT_MACHINE 3
#define CPU_SECONDS 60u
#define MEMORY_BYTES (UINT64_C(256) << 20)

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#define SANITIZED __has_feature(address_sanitizer)
#else
#define SANITIZED 0
#endif

static const char usage[] =
	"usage: forebay-bundle <BUNDLE >ARCHIVE\n"
	"\n"
	"Unpacks a filter bundle into the archive that it holds, in a "
	"sandbox.\n"
	"Normally it is forebayd that starts it; see also forebay-filter(1).\n";

/* What it can't have less of, it goes on with. */
static void set_limits(void)
{
	const struct rlimit cpu = {CPU_SECONDS, CPU_SECONDS};
	const struct rlimit file = {BUNDLE_ARCHIVE_BYTES_MAX + 1,
				    BUNDLE_ARCHIVE_BYTES_MAX + 1};
	const struct rlimit memory = {MEMORY_BYTES, MEMORY_BYTES};

	/* A sanitizer's shadow alone is larger. */
	if (!SANITIZED)
		(void)setrlimit(RLIMIT_AS, &memory);
	(void)setrlimit(RLIMIT_CPU, &cpu);
	(void)setrlimit(RLIMIT_FSIZE, &file);
}

/* A user that nobody is, for once. */
static int enter_sandbox(struct error *error)
{
	struct sandbox_spec spec = {
		.purpose = SANDBOX_COMPUTE,
		.change_user = geteuid() == 0,
	};
	struct sandbox sandbox;
	uint8_t drawn[16];

	if (getrandom(drawn, sizeof(drawn), 0) != sizeof(drawn))
		return error_set(error, -EIO, "no randomness: %s",
				 strerror(errno));
	spec.uid = spec.gid = disk_user_of(drawn);
	return sandbox_enter(&spec, &sandbox, error);
}

/* Leak checkers would look into the process, which the sandbox forbids. */
static _Noreturn void end(int code)
{
	fflush(stderr);
	_exit(code);
}

int main(int argc, char **argv)
{
	struct bundle_refusal refusal;
	struct error error = {0};
	int status;

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return fputs(usage, stdout) < 0;
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return puts("forebay-bundle " FOREBAY_VERSION) < 0;
	if (argc != 1 || isatty(STDOUT_FILENO)) {
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	/* A kernel without a layer is forebayd's to complain about. */
	log_open("forebay-bundle", LOG_LEVEL_ERROR);
	set_limits();
	if (enter_sandbox(&error) < 0) {
		fprintf(stderr, "forebay-bundle: %s\n", error.message);
		end(EXIT_MACHINE);
	}
	status = packing_unpack(STDIN_FILENO, STDOUT_FILENO, &refusal);
	if (status == -EBADMSG) {
		fprintf(stderr, "%s: %s\n", bundle_issue_code(refusal.issue),
			refusal.detail);
		end(EXIT_FAILURE);
	}
	if (status < 0) {
		fprintf(stderr, "forebay-bundle: %s\n", strerror(-status));
		end(EXIT_MACHINE);
	}
	end(EXIT_SUCCESS);
}
