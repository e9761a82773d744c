/* SPDX-License-Identifier: Apache-2.0 */
/* rescue.c - forebay disk rescue: no daemon is asked, only a file is read. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arguments.h"
#include "client.h"
#include "error.h"
#include "extract.h"
#include "findings.h"
#include "nouns.h"
#include "output.h"
#include "quantity.h"
#include "recovered.h"
#include "rescue_report.h"
#include "rescue_view.h"
#include "source.h"

#define SIZE_BYTES 32u

/* One run of the command. */
struct rescue {
	const struct invocation *invocation;
	const char *path;
	struct source source;
	struct recovered recovered;
	/* Why a start refuses the file; salvage was tried then. */
	struct error refusal;
	struct error headers; /* what is wrong with them although it starts */
	struct findings findings;
	uint64_t percent_told;
};

static int show(const struct rescue *rescue, json_t *report,
		output_present_fn present, struct error *error)
{
	struct client_answer answer = {.status = 200, .json = report};
	int status;

	if (report)
		answer.bytes = json_dumps(report, JSON_INDENT(2));
	if (!answer.bytes) {
		client_answer_release(&answer);
		return error_set(error, -ENOMEM, "forebay: out of memory");
	}
	answer.byte_count = strlen(answer.bytes);
	status = output_answer(rescue->invocation, &answer, present, error);
	client_answer_release(&answer);
	return status;
}

static json_t *report_of(const struct rescue *rescue)
{
	return rescue_report_log(rescue->path, &rescue->source,
				 rescue->recovered.engine ? &rescue->recovered
							  : NULL,
				 rescue->refusal.message);
}

/* Returns: a new reference, or NULL. */
static json_t *report_with_data(const struct rescue *rescue)
{
	json_t *report = report_of(rescue);

	if (report && rescue->headers.message[0])
		json_object_set_new(report, "headers",
				    json_string(rescue->headers.message));
	if (report && rescue_report_add(report, &rescue->findings) < 0) {
		json_decref(report);
		return NULL;
	}
	return report;
}

/* Only damage: out of memory is another matter. */
static bool is_damage(int status)
{
	return status == -EUCLEAN || status == -EIO;
}

/* @salvage: go on where a start refuses. */
static int recover(struct rescue *rescue, bool salvage, struct error *error)
{
	struct error why;
	int status;

	if (rescue->source.blank)
		return 0;
	status = recovered_make(&rescue->source, ENGINE_INSPECT,
				&rescue->recovered, &rescue->refusal);
	if (status == 0)
		return 0;
	if (!is_damage(status) || !salvage)
		return error_set(error, status, "%s: %s%s", rescue->path,
				 rescue->refusal.message,
				 is_damage(status)
					 ? "; --salvage gives what is left"
					 : "");
	status = recovered_make(&rescue->source, ENGINE_SALVAGE,
				&rescue->recovered, &why);
	return status < 0 ? error_set(error, status, "%s: %s", rescue->path,
				      why.message)
			  : 0;
}

static void progress(void *context, uint64_t blocks_done)
{
	struct rescue *rescue = context;
	uint64_t all = rescue->recovered.log.cached_blocks +
		       rescue->recovered.log.zero_blocks;
	uint64_t percent = all > 0 ? blocks_done * 100 / all : 100;

	if (percent == rescue->percent_told)
		return;
	rescue->percent_told = percent;
	(void)fprintf(stderr, "\r%s: %llu %%\033[K", rescue->path,
		      (unsigned long long)percent);
}

static void progress_end(const struct rescue *rescue)
{
	if (rescue->percent_told > 0)
		(void)fputs("\r\033[K", stderr);
}

static const char *size_text(uint64_t bytes, char buffer[SIZE_BYTES])
{
	return quantity_format_size(bytes, buffer, SIZE_BYTES);
}

/* A result that the shell must learn of is a failure. */
static int judge(const struct rescue *rescue, struct error *error)
{
	char size[SIZE_BYTES];

	if (rescue->refusal.code < 0)
		return error_set(error, -EUCLEAN, "%s: %s", rescue->path,
				 rescue->refusal.message);
	if (rescue->findings.bad_dirty_bytes > 0)
		return error_set(
			error, -EIO,
			"%s: %s of dirty data can't be read; the "
			"backend has only older ones",
			rescue->path,
			size_text(rescue->findings.bad_dirty_bytes, size));
	return 0;
}

static int run_list(struct rescue *rescue, struct error *error)
{
	int status = recover(rescue, true, error);

	if (status == 0)
		status = show(rescue, report_of(rescue), rescue_view_list,
			      error);
	return status == 0 ? judge(rescue, error) : status;
}

/* What a start does not see as long as there are summaries. */
static int check_headers(struct rescue *rescue, struct error *error)
{
	struct recovered recovered;
	int status = recovered_make(&rescue->source, ENGINE_INSPECT_HEADERS,
				    &recovered, &rescue->headers);

	if (status == 0)
		recovered_release(&recovered);
	else if (!is_damage(status))
		return error_set(error, status, "%s: %s", rescue->path,
				 rescue->headers.message);
	return 0;
}

static int run_check(struct rescue *rescue, struct error *error)
{
	int status = recover(rescue, true, error);

	if (status == 0 && !rescue->source.blank)
		status = findings_check(&rescue->recovered,
					isatty(STDERR_FILENO) ? progress : NULL,
					rescue, &rescue->findings, error);
	progress_end(rescue);
	if (status == 0 && !rescue->source.blank && rescue->refusal.code == 0)
		status = check_headers(rescue, error);
	if (status == 0)
		status = show(rescue, report_with_data(rescue),
			      rescue_view_check, error);
	return status == 0 ? judge(rescue, error) : status;
}

static int show_extracted(const struct rescue *rescue, const char *to,
			  struct error *error)
{
	json_t *report;

	if (!to) {
		rescue_view_lines(stderr, "not given", &rescue->findings.bad);
		rescue_view_lines(stderr, "doubtful",
				  &rescue->findings.doubtful);
		return 0;
	}
	report = report_with_data(rescue);
	if (report)
		json_object_set_new(report, "to", json_string(to));
	return show(rescue, report, rescue_view_extract, error);
}

static int run_extract(struct rescue *rescue, struct error *error)
{
	const char *const *flags = rescue->invocation->flags;
	bool to_stream = strcmp(flags[FLAG_TO], "-") == 0;
	struct extract_options options = {
		.to = to_stream ? NULL : flags[FLAG_TO],
		.base = flags[FLAG_BASE],
		.in_place = flags[FLAG_IN_PLACE] != NULL,
		.dirty_only = flags[FLAG_DIRTY_ONLY] != NULL,
		.progress = isatty(STDERR_FILENO) ? progress : NULL,
		.context = rescue,
	};
	int status;

	if (rescue->source.blank)
		return error_set(error, -ENODATA,
				 "%s: nothing was ever stored in it",
				 rescue->path);
	status = recover(rescue, flags[FLAG_SALVAGE] != NULL, error);
	if (status == 0)
		status = extract(&rescue->recovered, &options,
				 &rescue->findings, error);
	progress_end(rescue);
	if (status == 0)
		status = show_extracted(rescue, options.to, error);
	return status == 0 ? judge(rescue, error) : status;
}

struct action {
	const char *name;
	uint64_t flags; /* of the verb's: those that it takes */
	int (*run)(struct rescue *rescue, struct error *error);
};

static const struct action actions[] = {
	{"list", FLAG_BIT(FLAG_FORCE_READ), run_list},
	{"check", FLAG_BIT(FLAG_FORCE_READ), run_check},
	{"extract",
	 FLAG_BIT(FLAG_FORCE_READ) | FLAG_BIT(FLAG_TO) | FLAG_BIT(FLAG_BASE) |
		 FLAG_BIT(FLAG_IN_PLACE) | FLAG_BIT(FLAG_DIRTY_ONLY) |
		 FLAG_BIT(FLAG_SALVAGE),
	 run_extract},
};

static const struct action *find_action(const char *name)
{
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (strcmp(actions[i].name, name) == 0)
			return &actions[i];
	}
	return NULL;
}

static int check_extract(const struct invocation *invocation,
			 struct error *error)
{
	const char *to = invocation->flags[FLAG_TO];
	bool stream = to && strcmp(to, "-") == 0;

	if (!to)
		return error_set(error, -EINVAL,
				 "rescue extract: needs --to IMAGE, or --to - "
				 "for standard output");
	if (invocation->flags[FLAG_IN_PLACE] &&
	    (stream || invocation->flags[FLAG_BASE]))
		return error_set(error, -EINVAL,
				 "--in-place: writes into an image, so neither "
				 "--base nor --to - go with it");
	if (stream && invocation->flags[FLAG_OUTPUT])
		return error_set(error, -EINVAL,
				 "--output: standard output is the disk's; "
				 "leave it out");
	return 0;
}

static int check_action(const struct invocation *invocation,
			const struct action *action, struct error *error)
{
	if (!action)
		return error_set(error, -EINVAL,
				 "rescue: no action '%s'; write list, check or "
				 "extract",
				 invocation->operands[0]);
	for (unsigned int id = 0; id < FLAG_COUNT; id++) {
		if (invocation->flags[id] &&
		    (invocation->verb->flags & FLAG_BIT(id)) &&
		    !(action->flags & FLAG_BIT(id)))
			return error_set(error, -EINVAL,
					 "rescue %s: does not take --%s",
					 action->name, grammar_flags[id].name);
	}
	return action->run == run_extract ? check_extract(invocation, error)
					  : 0;
}

int disk_rescue(const struct invocation *invocation, struct client *client,
		struct error *error)
{
	const struct action *action = find_action(invocation->operands[0]);
	struct rescue rescue = {
		.invocation = invocation,
		.path = invocation->operands[1],
	};
	int status = check_action(invocation, action, error);

	(void)client;
	if (status < 0)
		return status;
	status = source_open(rescue.path, invocation->flags[FLAG_FORCE_READ],
			     &rescue.source, error);
	if (status < 0)
		return status;
	if (rescue.source.in_use)
		(void)fprintf(stderr,
			      "forebay: %s: is in use: what is read may not "
			      "fit together\n",
			      rescue.path);
	status = action->run(&rescue, error);
	findings_release(&rescue.findings);
	recovered_release(&rescue.recovered);
	source_close(&rescue.source);
	return status;
}
