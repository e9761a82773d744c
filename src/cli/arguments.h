/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arguments.h - the command line, checked against the grammar.
 */
#ifndef FOREBAY_CLI_ARGUMENTS_H
#define FOREBAY_CLI_ARGUMENTS_H

#include "grammar.h"

enum intent {
	INTENT_RUN = 0, /* verb->run() may be called: everything needed is here
			 */
	INTENT_HELP, /* asked for with --help or "forebay help ..." */
	INTENT_INCOMPLETE, /* stops before a noun or verb: show what there is */
	INTENT_VERSION
};

struct invocation {
	enum intent intent;
	const struct noun *noun; /* NULL: none given */
	const struct verb *verb; /* NULL: none given */
	const char *flags[FLAG_COUNT]; /* NULL: not given; switches: "" */
	char **operands; /* borrowed from argv, which is reordered */
	size_t operand_count;
};

/*
 * Parses argv[1] onwards. @ret_invocation borrows from @argv.
 * Returns: 0 or -EINVAL with @error filled.
 */
int arguments_parse(int argc, char **argv, struct invocation *ret_invocation,
		    struct error *error);

/* "disk create", "status", or "forebay" when no noun was given. */
const char *arguments_describe(const struct invocation *invocation,
			       char *buffer, size_t buffer_bytes);

#endif
