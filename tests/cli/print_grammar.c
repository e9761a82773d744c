/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print_grammar.c - the grammar as JSON, for test_agreement.py: what help,
 * man pages and completion must say.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "exit_code.h"
#include "grammar.h"
#include "help.h"

static json_t *flag_names(uint64_t flags)
{
	json_t *names = json_array();

	for (unsigned int id = 0; id < FLAG_COUNT; id++) {
		if (flags & FLAG_BIT(id))
			json_array_append_new(
				names, json_string(grammar_flags[id].name));
	}
	return names;
}

static json_t *synopsis(const struct noun *noun, const struct verb *verb)
{
	char *text = NULL;
	size_t count = 0;
	FILE *stream = open_memstream(&text, &count);
	json_t *value;

	help_synopsis(stream, noun, verb);
	(void)fclose(stream);
	value = json_string(text);
	free(text);
	return value;
}

int main(void)
{
	json_t *verbs = json_array();
	json_t *grammar;

	for (size_t i = 0; i < grammar_noun_count; i++) {
		const struct noun *noun = &grammar_nouns[i];

		for (size_t j = 0; j < noun->verb_count; j++) {
			const struct verb *verb = &noun->verbs[j];

			json_array_append_new(
				verbs,
				json_pack("{s:s,s:s?,s:s,s:o,s:o}", "noun",
					  noun->name, "verb", verb->name,
					  "summary", verb->summary, "flags",
					  flag_names(verb->flags), "synopsis",
					  synopsis(noun, verb)));
		}
	}
	grammar = json_pack("{s:o,s:o,s:i}", "verbs", verbs, "global_flags",
			    flag_names(FLAGS_GLOBAL), "last_exit_code",
			    EXIT_CODE_TIMEOUT);
	(void)json_dumpf(grammar, stdout, JSON_INDENT(1));
	json_decref(grammar);
	return 0;
}
