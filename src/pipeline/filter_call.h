/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter_call.h - a named action of one filter, with typed arguments and a
 * result.
 *
 * Arguments are declared like properties, and checked before the filter hears
 * of the call. The result is JSON, checked as well.
 */
#ifndef FOREBAY_PIPELINE_FILTER_CALL_H
#define FOREBAY_PIPELINE_FILTER_CALL_H

#include <jansson.h>
#include <stdint.h>

#include "error.h"
#include "forebay/filter.h"

/* Most actions of one filter. */
#define FILTER_ACTIONS_MAX 64u
/* Longest name of one. */
#define FILTER_ACTION_NAME_MAX 31u

/* Checks what a filter declares. */
int filter_call_check(const struct forebay_filter *filter, struct error *error);
/* The table as a JSON array. Owns: the caller. */
json_t *filter_call_describe(const struct forebay_action *table);

struct filter_call_end {
	/*
	 * @result: the callee's; NULL if the filter gave none. @error: valid
	 * during the call; NULL if it went well.
	 */
	void (*done)(void *context, json_t *result, const struct error *error);
	void *context;
};

/*
 * Calls @action of an open instance. @arguments: an object, or NULL for none.
 * Order: @end may be called before this returns.
 */
void filter_call(struct forebay_instance *instance, const char *action,
		 const json_t *arguments, const struct filter_call_end *end);

/* The host's functions of these names. */
int filter_call_integer(struct forebay_call *call, const char *name,
			int64_t *ret_value);
int filter_call_string(struct forebay_call *call, const char *name,
		       const char **ret_value);
int filter_call_boolean(struct forebay_call *call, const char *name,
			bool *ret_value);
void filter_call_done(struct forebay_call *call, int status, const char *text);

#endif
