/* SPDX-License-Identifier: Apache-2.0 */
/* help.c - three levels: the program, a noun, a verb. */
#include "help.h"

#include <string.h>

#include "grammar.h"

#define FLAG_COLUMN 28

static void print_flag(FILE *stream, const struct flag *flag)
{
	char text[64];

	if (flag->letter)
		(void)snprintf(text, sizeof(text), "-%c, --%s%s%s",
			       flag->letter, flag->name, flag->value ? " " : "",
			       flag->value ? flag->value : "");
	else
		(void)snprintf(text, sizeof(text), "    --%s%s%s", flag->name,
			       flag->value ? " " : "",
			       flag->value ? flag->value : "");
	(void)fprintf(stream, "  %-*s", FLAG_COLUMN, text);
	if (strlen(text) >= FLAG_COLUMN)
		(void)fprintf(stream, "\n  %*s", FLAG_COLUMN, "");
	(void)fprintf(stream, "%s\n", flag->summary);
}

static void print_flags(FILE *stream, const char *title, uint64_t flags)
{
	if (!flags)
		return;
	(void)fprintf(stream, "\n%s:\n", title);
	for (unsigned int id = 0; id < FLAG_COUNT; id++) {
		if (flags & FLAG_BIT(id))
			print_flag(stream, &grammar_flags[id]);
	}
}

static void print_examples(FILE *stream, const struct verb *verb)
{
	(void)fprintf(stream, "\nExamples:\n");
	for (size_t i = 0; i < EXAMPLES_MAX && verb->examples[i]; i++)
		(void)fprintf(stream, "  %s\n", verb->examples[i]);
}

void help_synopsis(FILE *stream, const struct noun *noun,
		   const struct verb *verb)
{
	(void)fprintf(stream, "forebay %s", noun->name);
	if (verb->name)
		(void)fprintf(stream, " %s", verb->name);
	for (size_t i = 0; i < OPERAND_KINDS_MAX && verb->operands[i].name; i++)
		(void)fprintf(stream, " %s%s%s%s",
			      verb->operands[i].optional ? "[" : "",
			      verb->operands[i].name,
			      verb->operands[i].many ? "..." : "",
			      verb->operands[i].optional ? "]" : "");
	for (unsigned int id = 0; id < FLAG_COUNT; id++) {
		const struct flag *flag = &grammar_flags[id];
		int required = (verb->required & FLAG_BIT(id)) != 0;

		if (!(verb->flags & FLAG_BIT(id)))
			continue;
		(void)fprintf(stream, " %s--%s%s%s%s", required ? "" : "[",
			      flag->name, flag->value ? " " : "",
			      flag->value ? flag->value : "",
			      required ? "" : "]");
	}
}

static void print_verb_line(FILE *stream, const struct noun *noun,
			    const struct verb *verb)
{
	char command[48];

	(void)snprintf(command, sizeof(command), "%s%s%s", noun->name,
		       verb->name ? " " : "", verb->name ? verb->name : "");
	(void)fprintf(stream, "  %-15s  %s\n", command, verb->summary);
}

static void print_program(FILE *stream)
{
	(void)fprintf(stream,
		      "forebay - I/O filters and a write-back SSD cache for "
		      "KVM virtual disks\n"
		      "\n"
		      "Usage: forebay NOUN VERB [NAME] [--flags]\n"
		      "\n"
		      "Commands:\n");
	for (size_t i = 0; i < grammar_noun_count; i++) {
		const struct noun *noun = &grammar_nouns[i];

		for (size_t j = 0; j < noun->verb_count; j++)
			print_verb_line(stream, noun, &noun->verbs[j]);
	}
	print_flags(stream, "Flags of every command", FLAGS_GLOBAL);
	(void)fprintf(stream,
		      "\nExamples:\n"
		      "  forebay pool create ssd /var/cache/forebay\n"
		      "  forebay disk create web1 --backend "
		      "/srv/images/web1.raw --policy gold\n"
		      "  forebay disk open web1\n"
		      "\n'forebay NOUN VERB --help' tells more; so does "
		      "forebay(1).\n");
}

static void print_noun(FILE *stream, const struct noun *noun)
{
	(void)fprintf(stream, "forebay %s - %s\n\nUsage:\n", noun->name,
		      noun->summary);
	for (size_t i = 0; i < noun->verb_count; i++) {
		(void)fputs("  ", stream);
		help_synopsis(stream, noun, &noun->verbs[i]);
		(void)fputc('\n', stream);
	}
	(void)fprintf(stream, "\nVerbs:\n");
	for (size_t i = 0; i < noun->verb_count; i++)
		(void)fprintf(stream, "  %-8s  %s\n", noun->verbs[i].name,
			      noun->verbs[i].summary);
	print_flags(stream, "Flags of every command", FLAGS_GLOBAL);
	print_examples(stream, &noun->verbs[0]);
}

static void print_verb(FILE *stream, const struct noun *noun,
		       const struct verb *verb)
{
	(void)fprintf(stream, "%s.\n\nUsage:\n  ", verb->summary);
	help_synopsis(stream, noun, verb);
	(void)fputc('\n', stream);
	if (verb->details)
		(void)fprintf(stream, "\n%s\n", verb->details);
	print_flags(stream, "Flags", verb->flags);
	print_flags(stream, "Flags of every command", FLAGS_GLOBAL);
	print_examples(stream, verb);
}

void help_print(FILE *stream, const struct noun *noun, const struct verb *verb)
{
	if (!noun)
		print_program(stream);
	else if (!verb)
		print_noun(stream, noun);
	else
		print_verb(stream, noun, verb);
}
