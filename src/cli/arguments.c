/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arguments.c - splits the words into flags and operands, then names the verb.
 *
 * Two passes: the first takes the flags out of argv, wherever they stand, and
 * leaves the operands packed at its front; the second reads noun, verb and
 * operands from there. Flags are known by name for the whole program, so that
 * "--policy gold" is never split; whether this verb takes the flag is judged
 * when the verb is known.
 */
#include "arguments.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "nearest_name.h"

struct words {
	char **words;
	int count;
	int next;
};

const char *arguments_describe(const struct invocation *invocation,
			       char *buffer, size_t buffer_bytes)
{
	if (!invocation->noun)
		return "forebay";
	if (!invocation->verb || !invocation->verb->name)
		return invocation->noun->name;
	(void)snprintf(buffer, buffer_bytes, "%s %s", invocation->noun->name,
		       invocation->verb->name);
	return buffer;
}

static int find_long_flag(const char *name, size_t name_bytes)
{
	for (int id = 0; id < FLAG_COUNT; id++) {
		const char *known = grammar_flags[id].name;

		if (strlen(known) == name_bytes &&
		    strncmp(known, name, name_bytes) == 0)
			return id;
	}
	return -ENOENT;
}

static int find_short_flag(char letter)
{
	for (int id = 0; id < FLAG_COUNT; id++) {
		if (grammar_flags[id].letter == letter)
			return id;
	}
	return -ENOENT;
}

static int refuse_unknown_flag(const char *word, struct error *error)
{
	int name_bytes = (int)strcspn(word, "=");
	char name[64];
	const char *names[FLAG_COUNT];
	const char *meant;

	(void)snprintf(name, sizeof(name), "%.*s",
		       name_bytes < 60 ? name_bytes : 60, word);
	for (int id = 0; id < FLAG_COUNT; id++)
		names[id] = grammar_flags[id].name;
	meant = nearest_name(names, FLAG_COUNT, name[1] == '-' ? name + 2 : "");
	if (meant)
		return error_set(error, -EINVAL,
				 "%s: no such flag; did you mean --%s?", name,
				 meant);
	return error_set(error, -EINVAL,
			 "%s: no such flag; see 'forebay --help'", name);
}

/* @value: what stood in the same word, or NULL to take the next word. */
static int store_flag(struct invocation *invocation, int id, const char *value,
		      struct words *words, struct error *error)
{
	const struct flag *flag = &grammar_flags[id];

	if (invocation->flags[id])
		return error_set(error, -EINVAL,
				 "--%s: given twice; keep one of them",
				 flag->name);
	if (!flag->value) {
		if (value)
			return error_set(error, -EINVAL,
					 "--%s: takes no value; write it "
					 "without '='",
					 flag->name);
		invocation->flags[id] = "";
		return 0;
	}
	if (!value && words->next < words->count &&
	    strncmp(words->words[words->next], "--", 2) != 0)
		value = words->words[words->next++];
	if (!value || value[0] == '\0')
		return error_set(error, -EINVAL,
				 "--%s: lacks its value; write --%s %s",
				 flag->name, flag->name, flag->value);
	invocation->flags[id] = value;
	return 0;
}

static int take_flag(struct invocation *invocation, const char *word,
		     struct words *words, struct error *error)
{
	const char *value = NULL;
	int id;

	if (word[1] == '-') {
		size_t name_bytes = strcspn(word + 2, "=");

		id = find_long_flag(word + 2, name_bytes);
		if (word[2 + name_bytes] == '=')
			value = word + 2 + name_bytes + 1;
	} else {
		id = find_short_flag(word[1]);
		if (word[2] != '\0')
			value = word + 2;
	}
	if (id < 0)
		return refuse_unknown_flag(word, error);
	return store_flag(invocation, id, value, words, error);
}

/* Leaves the operands at the front of argv, in their order. */
static int split(struct invocation *invocation, struct words *words,
		 struct error *error)
{
	bool flags_ended = false;
	size_t kept = 0;

	while (words->next < words->count) {
		char *word = words->words[words->next++];

		if (flags_ended || word[0] != '-' || word[1] == '\0') {
			invocation->operands[kept++] = word;
		} else if (strcmp(word, "--") == 0) {
			flags_ended = true;
		} else {
			int ret = take_flag(invocation, word, words, error);

			if (ret < 0)
				return ret;
		}
	}
	invocation->operand_count = kept;
	return 0;
}

static void drop_operand(struct invocation *invocation)
{
	invocation->operands++;
	invocation->operand_count--;
}

static int name_noun(struct invocation *invocation, struct error *error)
{
	const char *word = invocation->operands[0];
	const char *names[GRAMMAR_NAMES_MAX];
	const char *meant;

	invocation->noun = grammar_find_noun(word);
	if (invocation->noun) {
		drop_operand(invocation);
		return 0;
	}
	for (size_t i = 0; i < grammar_noun_count; i++)
		names[i] = grammar_nouns[i].name;
	meant = nearest_name(names, grammar_noun_count, word);
	if (meant)
		return error_set(error, -EINVAL,
				 "%s: no such noun; did you mean 'forebay %s'?",
				 word, meant);
	return error_set(error, -EINVAL,
			 "%s: no such noun; see 'forebay --help'", word);
}

static int name_verb(struct invocation *invocation, struct error *error)
{
	const struct noun *noun = invocation->noun;
	const char *word = invocation->operands[0];
	const char *names[GRAMMAR_NAMES_MAX];
	const char *meant;

	invocation->verb = grammar_find_verb(noun, word);
	if (invocation->verb) {
		drop_operand(invocation);
		return 0;
	}
	for (size_t i = 0; i < noun->verb_count; i++)
		names[i] = noun->verbs[i].name;
	meant = nearest_name(names, noun->verb_count, word);
	if (meant)
		return error_set(error, -EINVAL,
				 "%s: no verb '%s'; did you mean "
				 "'forebay %s %s'?",
				 noun->name, word, noun->name, meant);
	return error_set(error, -EINVAL,
			 "%s: no verb '%s'; see 'forebay %s --help'",
			 noun->name, word, noun->name);
}

static int check_flags(const struct invocation *invocation, struct error *error)
{
	const struct verb *verb = invocation->verb;
	char buffer[64];
	const char *command =
		arguments_describe(invocation, buffer, sizeof(buffer));

	for (unsigned int id = 0; id < FLAG_COUNT; id++) {
		const struct flag *flag = &grammar_flags[id];

		if (invocation->flags[id] &&
		    !((verb->flags | FLAGS_GLOBAL) & FLAG_BIT(id)))
			return error_set(error, -EINVAL,
					 "%s: does not take --%s; see "
					 "'forebay %s --help'",
					 command, flag->name, command);
		if (!invocation->flags[id] && (verb->required & FLAG_BIT(id)))
			return error_set(error, -EINVAL,
					 "%s: needs --%s %s; see "
					 "'forebay %s --help'",
					 command, flag->name, flag->value,
					 command);
	}
	return 0;
}

static int check_operands(const struct invocation *invocation,
			  struct error *error)
{
	const struct verb *verb = invocation->verb;
	char buffer[64];
	const char *command =
		arguments_describe(invocation, buffer, sizeof(buffer));
	size_t wanted = 0;
	bool many = false;

	while (wanted < OPERAND_KINDS_MAX && verb->operands[wanted].name) {
		if (wanted >= invocation->operand_count &&
		    !verb->operands[wanted].optional)
			return error_set(error, -EINVAL,
					 "%s: needs %s; see "
					 "'forebay %s --help'",
					 command, verb->operands[wanted].name,
					 command);
		many = verb->operands[wanted].many;
		wanted++;
	}
	for (size_t i = 0; i < invocation->operand_count; i++) {
		if (invocation->operands[i][0] == '\0')
			return error_set(error, -EINVAL,
					 "%s: an operand is empty; see "
					 "'forebay %s --help'",
					 command, command);
	}
	if (!many && invocation->operand_count > wanted)
		return error_set(error, -EINVAL,
				 "%s: unexpected '%s'; see "
				 "'forebay %s --help'",
				 command, invocation->operands[wanted],
				 command);
	return 0;
}

static int check_output(const struct invocation *invocation,
			struct error *error)
{
	const char *form = invocation->flags[FLAG_OUTPUT];

	if (!form || strcmp(form, "table") == 0 || strcmp(form, "json") == 0 ||
	    strcmp(form, "yaml") == 0)
		return 0;
	return error_set(error, -EINVAL,
			 "--output: '%s' is no form; write table, json or yaml",
			 form);
}

/* Names noun and verb as far as words are there; what lacks stays NULL. */
static int name_command(struct invocation *invocation, struct error *error)
{
	int ret;

	if (invocation->operand_count > 0 &&
	    strcmp(invocation->operands[0], "help") == 0) {
		drop_operand(invocation);
		invocation->flags[FLAG_HELP] = "";
	}
	if (invocation->operand_count == 0)
		return 0;
	ret = name_noun(invocation, error);
	if (ret < 0)
		return ret;
	if (grammar_noun_is_command(invocation->noun)) {
		invocation->verb = &invocation->noun->verbs[0];
		return 0;
	}
	if (invocation->operand_count == 0)
		return 0;
	return name_verb(invocation, error);
}

int arguments_parse(int argc, char **argv, struct invocation *ret_invocation,
		    struct error *error)
{
	struct invocation invocation = {.operands = argv};
	struct words words = {.words = argv, .count = argc, .next = 1};
	int ret;

	ret = split(&invocation, &words, error);
	if (ret < 0)
		return ret;
	ret = name_command(&invocation, error);
	if (ret < 0)
		return ret;
	if (invocation.flags[FLAG_HELP]) {
		invocation.intent = INTENT_HELP;
	} else if (invocation.flags[FLAG_VERSION]) {
		invocation.intent = INTENT_VERSION;
	} else if (!invocation.verb) {
		invocation.intent = INTENT_INCOMPLETE;
	} else {
		ret = check_operands(&invocation, error);
		if (ret == 0)
			ret = check_flags(&invocation, error);
		if (ret == 0)
			ret = check_output(&invocation, error);
		if (ret < 0)
			return ret;
		invocation.intent = INTENT_RUN;
	}
	*ret_invocation = invocation;
	return 0;
}
