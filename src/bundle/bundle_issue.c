/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bundle_issue.c - the table of codes.
 */
#include "bundle_issue.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *code;
	const char *title;
	const char *advice;
} issues[BUNDLE_ISSUE_COUNT] = {
	[BUNDLE_DAMAGED] = {"damaged", "The file is not a whole bundle",
			    "fetch it again, or build it again"},
	[BUNDLE_TOO_LARGE] = {"too-large", "The bundle exceeds a limit",
			      "leave out what the filter doesn't need"},
	[BUNDLE_UNEXPECTED_FILE] =
		{"unexpected-file",
		 "The bundle holds what a bundle must not hold",
		 "make it with 'forebay filter build'"},
	[BUNDLE_BAD_MANIFEST] = {"bad-manifest",
				 "The manifest is not understood",
				 "make it with 'forebay filter build' of this "
				 "version"},
	[BUNDLE_UNSIGNED] = {"unsigned", "Nobody has signed the bundle",
			     "sign it with 'forebay filter sign'"},
	[BUNDLE_UNTRUSTED_KEY] = {"untrusted-key",
				  "The key that signed is not trusted here",
				  "if you trust its owner: 'forebay filter "
				  "trust FILE'"},
	[BUNDLE_TAMPERED] = {"tampered", "The contents are not what was signed",
			     "don't use it; fetch it again from its author"},
	[BUNDLE_WRONG_ARCHITECTURE] = {"wrong-architecture",
				       "The filter is for another processor",
				       "build it on this kind of machine"},
	[BUNDLE_WRONG_ABI] = {"wrong-abi",
			      "The filter speaks another version of the API",
			      "build the filter again with this Forebay's "
			      "header"},
	[BUNDLE_UNMET_NEED] = {"unmet-need",
			       "The filter needs what this host doesn't give",
			       "build it without that need"},
	[BUNDLE_VERSION_EXISTS] = {"version-exists",
				   "The same version with other contents is "
				   "installed",
				   "raise the version, or uninstall that one"},
	[BUNDLE_MISSING_SYMBOL] = {"missing-symbol",
				   "The library lacks a symbol",
				   "export 'forebay_filter', and link all that "
				   "the library uses"},
	[BUNDLE_NOT_LOADABLE] = {"not-loadable", "The library can't be loaded",
				 "build it on this distribution; 'ldd' shows "
				 "what it lacks"},
	[BUNDLE_LOAD_FAILED] = {"load-failed",
				"The library crashed, hung or broke out "
				"while it was loaded",
				"leave to open() what it does when it is "
				"loaded"},
	[BUNDLE_BAD_TABLE] = {"bad-table",
			      "The filter's table breaks a rule of the API",
			      "see the header"},
	[BUNDLE_NAME_MISMATCH] = {"name-mismatch",
				  "The filter calls itself otherwise than its "
				  "manifest",
				  "build the bundle again"},
	[BUNDLE_WRONG_CLASS] = {"wrong-class",
				"The filter is of another class than its "
				"manifest says, or of none",
				"build the bundle again"},
	[BUNDLE_DESCRIPTION_MISMATCH] =
		{"description-mismatch",
		 "The filter says otherwise than its manifest",
		 "build the bundle again"},
};

int bundle_refuse(struct bundle_refusal *refusal, enum bundle_issue issue,
		  const char *format, ...)
{
	va_list arguments;

	refusal->issue = issue;
	va_start(arguments, format);
	(void)vsnprintf(refusal->detail, sizeof(refusal->detail), format,
			arguments);
	va_end(arguments);
	return -EBADMSG;
}

const char *bundle_issue_code(enum bundle_issue issue)
{
	return issues[issue].code;
}

const char *bundle_issue_title(enum bundle_issue issue)
{
	return issues[issue].title;
}

const char *bundle_issue_advice(enum bundle_issue issue)
{
	return issues[issue].advice;
}

int bundle_issue_find(const char *code, enum bundle_issue *ret_issue)
{
	for (unsigned int i = 0; i < BUNDLE_ISSUE_COUNT; i++) {
		if (strcmp(issues[i].code, code) == 0) {
			*ret_issue = (enum bundle_issue)i;
			return 0;
		}
	}
	return -ENOENT;
}
