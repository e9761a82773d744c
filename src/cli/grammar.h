/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grammar.h - every noun, verb, operand and flag of the forebay program, once.
 *
 * The parser, the help texts, the completion test and the man page test all
 * read this table. A verb stands in it only when it works.
 */
#ifndef FOREBAY_CLI_GRAMMAR_H
#define FOREBAY_CLI_GRAMMAR_H

#include <stddef.h>
#include <stdint.h>

struct client;
struct error;
struct invocation;

enum flag_id {
	FLAG_ROOT = 0,
	FLAG_OUTPUT,
	FLAG_HELP,
	FLAG_VERSION,
	FLAG_FILE,
	FLAG_BACKEND,
	FLAG_SIZE,
	FLAG_POLICY,
	FLAG_EXPORT,
	FLAG_TARGET,
	FLAG_DELETE_BACKEND,
	FLAG_DISCARD_DIRTY,
	FLAG_READ_ONLY,
	FLAG_QUEUES,
	FLAG_DEVICE_REVISION,
	FLAG_INCOMING,
	FLAG_DROP_CLEAN,
	FLAG_BACKGROUND,
	FLAG_HOLD,
	FLAG_TIMEOUT,
	FLAG_ID,
	FLAG_SIDECAR,
	FLAG_VHOST_USER,
	FLAG_NBD,
	FLAG_BLOCK_SIZE,
	FLAG_DEPTH,
	FLAG_READ,
	FLAG_FLUSH,
	FLAG_FLUSH_EVERY,
	FLAG_DISCARD,
	FLAG_WRITE_ZEROES,
	FLAG_PATTERN,
	FLAG_RATE,
	FLAG_SECONDS,
	FLAG_WARM_UP,
	FLAG_REQUESTS,
	FLAG_OFFSET,
	FLAG_SPAN,
	FLAG_MEMORY,
	FLAG_NOTIFY,
	FLAG_PACKED,
	FLAG_SEED,
	FLAG_VERIFY,
	FLAG_JOURNAL,
	FLAG_RECONNECT,
	FLAG_DESTROY_DATA,
	FLAG_TO,
	FLAG_BASE,
	FLAG_IN_PLACE,
	FLAG_DIRTY_ONLY,
	FLAG_SALVAGE,
	FLAG_FORCE_READ,
	FLAG_INTO,
	FLAG_KEY,
	FLAG_COUNT
};

#define FLAG_BIT(id) (UINT64_C(1) << (id))
/* Accepted before the noun and after every verb. */
#define FLAGS_GLOBAL                                                         \
	(FLAG_BIT(FLAG_ROOT) | FLAG_BIT(FLAG_OUTPUT) | FLAG_BIT(FLAG_HELP) | \
	 FLAG_BIT(FLAG_VERSION))

struct flag {
	const char *name; /* without the dashes */
	char letter; /* 0: none */
	const char *value; /* what follows it, as help shows it; NULL: nothing
			    */
	const char *summary;
};

struct operand {
	const char *name; /* NULL: there is none */
	int many; /* one or more; only the last one may say so */
	int optional; /* one or none; only the last one may say so */
};

#define OPERAND_KINDS_MAX 4u
#define EXAMPLES_MAX 4u
/* Of nouns, and of a noun's verbs; a test compares. */
#define GRAMMAR_NAMES_MAX 32u

struct verb {
	const char *name; /* NULL: the noun alone is the command */
	const char *summary; /* one line, imperative, no full stop */
	const char *details; /* further lines for --help; NULL: none */
	struct operand operands[OPERAND_KINDS_MAX];
	uint64_t flags; /* FLAG_BIT()s besides the global ones */
	uint64_t required; /* those of them that must be given */
	const char *examples[EXAMPLES_MAX];
	/* Returns: 0 or a negative errno with @error filled. */
	int (*run)(const struct invocation *invocation, struct client *client,
		   struct error *error);
};

struct noun {
	const char *name;
	const char *summary;
	const struct verb *verbs;
	size_t verb_count;
};

extern const struct flag grammar_flags[FLAG_COUNT];
extern const struct noun grammar_nouns[];
extern const size_t grammar_noun_count;

const struct noun *grammar_find_noun(const char *name);
const struct verb *grammar_find_verb(const struct noun *noun, const char *name);
/* Whether the noun alone is the command ("forebay status"). */
int grammar_noun_is_command(const struct noun *noun);

#endif
