// SPDX-License-Identifier: Apache-2.0
/* actions_filter.c - declares actions with arguments, and ends them in each way
 * that there is. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <forebay/filter.h>

#define LATER_NS UINT64_C(50000000)
#define RESULT_BYTES 256

struct actions {
	struct forebay_instance *instance;
	const struct forebay_host *host;
	struct forebay_timer timer;
	struct forebay_call *late;
};

enum { ECHO, LATER, FAIL, NONSENSE, TWICE };

static const struct forebay_property echo_arguments[] = {
	{
		.name = "number",
		.description = "A number.",
		.type = FOREBAY_PROPERTY_INTEGER,
		.default_integer = 3,
		.maximum = 9,
	},
	{
		.name = "size",
		.description = "A size.",
		.type = FOREBAY_PROPERTY_SIZE,
		.maximum = INT64_MAX,
	},
	{
		.name = "word",
		.description = "A word.",
		.type = FOREBAY_PROPERTY_STRING,
		.default_string = "none",
	},
	{
		.name = "loud",
		.description = "Whether.",
		.type = FOREBAY_PROPERTY_BOOLEAN,
	},
	{0},
};

static const struct forebay_action action_list[] = {
	[ECHO] = {"echo", "Answers with its arguments.", echo_arguments},
	[LATER] = {"later", "Takes its time.", NULL},
	[FAIL] = {"fail", "Fails.", NULL},
	[NONSENSE] = {"nonsense", "Answers with what is no JSON.", NULL},
	[TWICE] = {"twice", "Ends twice.", NULL},
	{0},
};

static void on_timer(struct forebay_timer *timer)
{
	struct actions *actions = timer->owner;

	actions->host->call_done(actions->late, 0, "\"at last\"");
}

static void actions_open(struct forebay_instance *instance,
			 const struct forebay_host *host,
			 const struct forebay_disk *disk, void **ret_state)
{
	struct actions *actions = calloc(1, sizeof(*actions));

	(void)disk;
	if (!actions) {
		host->open_done(instance, -ENOMEM);
		return;
	}
	actions->instance = instance;
	actions->host = host;
	actions->timer.expired = on_timer;
	actions->timer.owner = actions;
	*ret_state = actions;
	host->open_done(instance, 0);
}

static void actions_close(void *state)
{
	struct actions *actions = state;
	struct forebay_instance *instance = actions->instance;
	const struct forebay_host *host = actions->host;

	free(actions);
	host->close_done(instance, 0);
}

static void actions_submit(void *state, struct forebay_request *request)
{
	const struct actions *actions = state;

	actions->host->request_forward(request);
}

static void echo(const struct actions *actions, struct forebay_call *call)
{
	const struct forebay_host *host = actions->host;
	char text[RESULT_BYTES];
	const char *word = "";
	int64_t number = 0;
	int64_t size = 0;
	bool loud = false;

	host->call_integer(call, "number", &number);
	host->call_integer(call, "size", &size);
	host->call_string(call, "word", &word);
	host->call_boolean(call, "loud", &loud);
	snprintf(text, sizeof(text),
		 "{\"number\": %" PRId64 ", \"size\": %" PRId64
		 ", \"word\": \"%s\", \"loud\": %s}",
		 number, size, word, loud ? "true" : "false");
	host->call_done(call, 0, text);
}

static void actions_call(void *state, uint32_t action,
			 struct forebay_call *call)
{
	struct actions *actions = state;

	switch (action) {
	case ECHO:
		echo(actions, call);
		return;
	case LATER:
		actions->late = call;
		actions->host->timer_arm(actions->instance, &actions->timer,
					 LATER_NS);
		return;
	case FAIL:
		actions->host->call_done(call, -EIO, "there is no ink");
		return;
	case NONSENSE:
		actions->host->call_done(call, 0, "{\"unfinished\": ");
		return;
	case TWICE:
		actions->host->call_done(call, 0, NULL);
		actions->host->call_done(call, 0, NULL);
		return;
	}
	abort();
}

const struct forebay_filter forebay_filter = {
	.abi_version = FOREBAY_FILTER_ABI,
	.struct_size = sizeof(struct forebay_filter),
	.name = "actions",
	.version = "1.0.0",
	.description = "Does what it is called for.",
	.filter_class = FOREBAY_CLASS_INSPECTION,
	.operations = FOREBAY_OPERATION_BIT(FOREBAY_READ) |
		      FOREBAY_OPERATION_BIT(FOREBAY_WRITE) |
		      FOREBAY_OPERATION_BIT(FOREBAY_FLUSH),
	.open = actions_open,
	.close = actions_close,
	.submit = actions_submit,
	.actions = action_list,
	.call = actions_call,
};
