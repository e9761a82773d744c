/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bundle_issue.h - every reason for which a filter bundle is refused.
 *
 * The codes are part of the API and of the command line (docs/filter-bundles.md
 * lists them). A function that looks at a bundle returns -EBADMSG with a filled
 * `struct bundle_refusal`; any other negative errno is the machine's failure,
 * about which the bundle says nothing.
 */
#ifndef FOREBAY_BUNDLE_ISSUE_H
#define FOREBAY_BUNDLE_ISSUE_H

#include "error.h"

enum bundle_issue {
	/* What arrived. */
	BUNDLE_DAMAGED = 0,
	BUNDLE_TOO_LARGE,
	BUNDLE_UNEXPECTED_FILE,
	BUNDLE_BAD_MANIFEST,
	/* Who made it. */
	BUNDLE_UNSIGNED,
	BUNDLE_UNTRUSTED_KEY,
	BUNDLE_TAMPERED,
	/* Whether it can run here. */
	BUNDLE_WRONG_ARCHITECTURE,
	BUNDLE_WRONG_ABI,
	BUNDLE_UNMET_NEED,
	BUNDLE_VERSION_EXISTS,
	/* What its library did when it was loaded. */
	BUNDLE_MISSING_SYMBOL,
	BUNDLE_NOT_LOADABLE,
	BUNDLE_LOAD_FAILED,
	BUNDLE_BAD_TABLE,
	BUNDLE_NAME_MISMATCH,
	BUNDLE_WRONG_CLASS,
	BUNDLE_DESCRIPTION_MISMATCH,
	BUNDLE_ISSUE_COUNT, /* not one */
};

struct bundle_refusal {
	enum bundle_issue issue;
	char detail[ERROR_MESSAGE_BYTES]; /* one line */
};

/* Returns: -EBADMSG, always. */
int bundle_refuse(struct bundle_refusal *refusal, enum bundle_issue issue,
		  const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* "wrong-abi" */
const char *bundle_issue_code(enum bundle_issue issue);
/* What it means, in a sentence without its full stop. */
const char *bundle_issue_title(enum bundle_issue issue);
/* What to do about it. */
const char *bundle_issue_advice(enum bundle_issue issue);
/* Returns: 0, or -ENOENT for a word that is no code. */
int bundle_issue_find(const char *code, enum bundle_issue *ret_issue);

#endif
