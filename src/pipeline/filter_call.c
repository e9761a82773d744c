// SPDX-License-Identifier: Apache-2.0
/*
 * filter_call.c - on the disk's loop.
 *
 * The calls that are under way are in a list, so that a call that is ended
 * twice is seen before its memory is looked at.
 */
#include "filter_call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "instance.h"
#include "properties.h"

struct forebay_call {
	struct forebay_instance *instance;
	const struct forebay_action *action;
	struct properties *arguments;
	struct filter_call_end end;
	struct forebay_call *next;
};

static struct forebay_call *under_way;

static uint32_t count_of(const struct forebay_action *table)
{
	uint32_t count = 0;

	while (table && table[count].name)
		count++;
	return count;
}

static bool name_valid(const char *name)
{
	size_t length = strnlen(name, FILTER_ACTION_NAME_MAX + 1);

	return length > 0 && length <= FILTER_ACTION_NAME_MAX &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

/* Returns: count_of() if there is none. */
static uint32_t find(const struct forebay_action *table, const char *name)
{
	uint32_t index = 0;

	while (table && table[index].name &&
	       strcmp(table[index].name, name) != 0)
		index++;
	return index;
}

int filter_call_check(const struct forebay_filter *filter, struct error *error)
{
	uint32_t count = count_of(filter->actions);

	if (count > FILTER_ACTIONS_MAX)
		return error_set(error, -EINVAL,
				 "filter %s declares %u actions, more than %u",
				 filter->name, count, FILTER_ACTIONS_MAX);
	if (count > 0 && !filter->call)
		return error_set(error, -EINVAL,
				 "filter %s declares actions and lacks call",
				 filter->name);
	for (uint32_t i = 0; i < count; i++) {
		const struct forebay_action *action = &filter->actions[i];

		if (!name_valid(action->name) || !action->description ||
		    find(filter->actions, action->name) != i)
			return error_set(
				error, -EINVAL,
				"filter %s declares its action number %u "
				"wrongly: a name is 1 to %u of a-z, 0-9 and "
				"'-', stands there once, and is described",
				filter->name, i, FILTER_ACTION_NAME_MAX);
		if (properties_check_table(action->arguments, filter->name,
					   error) < 0)
			return error->code;
	}
	return 0;
}

json_t *filter_call_describe(const struct forebay_action *table)
{
	json_t *list = json_array();
	uint32_t count = count_of(table);

	for (uint32_t i = 0; i < count; i++)
		json_array_append_new(
			list,
			json_pack("{s:s, s:s, s:o}", "name", table[i].name,
				  "description", table[i].description,
				  "arguments",
				  properties_describe(table[i].arguments)));
	return list;
}

/* Takes it out of the list. Returns: false if it isn't there. */
static bool leave(const struct forebay_call *call)
{
	struct forebay_call **link = &under_way;

	while (*link && *link != call)
		link = &(*link)->next;
	if (!*link)
		return false;
	*link = call->next;
	return true;
}

static void destroy(struct forebay_call *call)
{
	properties_destroy(call->arguments);
	free(call);
}

/* Returns: NULL with @error. */
static struct forebay_call *create(struct forebay_instance *instance,
				   const char *name, const json_t *arguments,
				   struct error *error)
{
	const struct forebay_filter *filter = instance->filter;
	uint32_t index = find(filter->actions, name);
	struct forebay_call *call;

	if (index == count_of(filter->actions)) {
		error_set(error, -ENOTSUP,
			  "filter %s has no action '%s' that can be called",
			  filter->name, name);
		return NULL;
	}
	call = calloc(1, sizeof(*call));
	if (!call) {
		error_set(error, -ENOMEM, "out of memory");
		return NULL;
	}
	call->instance = instance;
	call->action = &filter->actions[index];
	if (properties_create(call->action->arguments, filter->name, arguments,
			      &call->arguments, error) < 0) {
		free(call);
		return NULL;
	}
	return call;
}

void filter_call(struct forebay_instance *instance, const char *action,
		 const json_t *arguments, const struct filter_call_end *end)
{
	const struct running_place *before;
	struct error error = {0};
	struct forebay_call *call = create(instance, action, arguments, &error);

	if (!call) {
		end->done(end->context, NULL, &error);
		return;
	}
	call->end = *end;
	call->next = under_way;
	under_way = call;
	before = instance_enter(instance, RUNNING_CALL);
	instance->filter->call(
		instance->state,
		(uint32_t)(call->action - instance->filter->actions), call);
	running_leave(before);
}

int filter_call_integer(struct forebay_call *call, const char *name,
			int64_t *ret_value)
{
	return properties_integer(call->arguments, name, ret_value);
}

int filter_call_string(struct forebay_call *call, const char *name,
		       const char **ret_value)
{
	return properties_string(call->arguments, name, ret_value);
}

int filter_call_boolean(struct forebay_call *call, const char *name,
			bool *ret_value)
{
	return properties_boolean(call->arguments, name, ret_value);
}

static void fail(const struct forebay_call *call, int status, const char *why)
{
	struct error error = {0};

	error_set(&error, status, "filter %s, action '%s': %s",
		  call->instance->filter->name, call->action->name, why);
	call->end.done(call->end.context, NULL, &error);
}

void filter_call_done(struct forebay_call *call, int status, const char *text)
{
	json_t *result = NULL;

	if (!leave(call))
		running_misuse("(unknown)", "call_done()",
			       "of a call that has ended");
	if (status > 0)
		running_misuse(call->instance->filter->name, "call_done()",
			       "with a positive status");
	if (status == 0 && text)
		result = json_loads(text, JSON_DECODE_ANY, NULL);
	if (status < 0)
		fail(call, status, text ? text : strerror(-status));
	else if (text && !result)
		fail(call, -EPROTO, "its result isn't JSON");
	else
		call->end.done(call->end.context, result, NULL);
	destroy(call);
}
