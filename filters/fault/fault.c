// SPDX-License-Identifier: Apache-2.0
/*
 * fault.c - what rules.c decides, done to requests.
 *
 * A request meets the rules in their order. What happens happens at once, but
 * for delays, which add up: the request is kept until its time, and then it
 * goes on, or fails if a rule said so too. A failure ends the walk, so the
 * rules behind it don't count this request.
 *
 * The requests that wait are a list in the order of their times, linked through
 * their contexts; one timer stands for the first. A crash, a hang, a loop and a
 * leak are real ones, because it is their effects that people want to see.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <forebay/filter.h>

#include "rules.h"
#include "status_text.h"

#define NS_PER_S UINT64_C(1000000000)
/* Longest sleep at a time; any will do. */
#define SLEEP_NS_MAX (3600 * NS_PER_S)

/* This filter's part of a request that waits. */
struct waiting {
	struct forebay_request *next;
	uint64_t due_ns;
	int status; /* not 0: what it fails with */
};

/* What a leak has taken: known, so that the end of the instance frees it. */
struct leak {
	struct leak *next;
	unsigned char bytes[];
};

struct fault {
	struct forebay_instance *instance;
	const struct forebay_host *host;
	struct rules rules;
	/* Why the last text was refused; "" if it wasn't. */
	char refused[RULES_MESSAGE_BYTES];
	struct forebay_request *first;
	struct forebay_timer timer;
	struct leak *leaks;
	uint64_t leaked_bytes;
	uint64_t waiting_count;
};

static struct waiting *waiting_of(struct fault *fault,
				  struct forebay_request *request)
{
	return fault->host->request_context(request);
}

/* What can happen to the process. */

static void crash(void)
{
	/* Where nothing is mapped; an address that no compiler knows. */
	volatile char *volatile wild = (volatile char *)64;

	*wild = 1;
}

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* How much of @amount is left since @begin_ns. */
static uint64_t left_ns(uint64_t amount, uint64_t begin_ns)
{
	uint64_t passed = clock_ns() - begin_ns;

	if (amount == RULE_FOR_EVER)
		return SLEEP_NS_MAX;
	return passed < amount ? amount - passed : 0;
}

static void hang(uint64_t amount)
{
	uint64_t begin_ns = clock_ns();
	uint64_t left = left_ns(amount, begin_ns);

	while (left > 0) {
		uint64_t nap = left < SLEEP_NS_MAX ? left : SLEEP_NS_MAX;
		struct timespec time = {
			.tv_sec = (time_t)(nap / NS_PER_S),
			.tv_nsec = (long)(nap % NS_PER_S),
		};

		nanosleep(&time, NULL);
		left = left_ns(amount, begin_ns);
	}
}

static void loop(uint64_t amount)
{
	uint64_t begin_ns = clock_ns();

	while (left_ns(amount, begin_ns) > 0)
		continue;
}

/* Returns: 0 or -ENOMEM: there was nothing left to take. */
static int leak(struct fault *fault, uint64_t bytes)
{
	struct leak *taken;
	size_t whole;

	if (__builtin_add_overflow(sizeof(*taken), bytes, &whole))
		return -ENOMEM;
	taken = malloc(whole);
	if (!taken)
		return -ENOMEM;
	/* Memory that nobody has touched isn't there yet. */
	memset(taken->bytes, 0xa5, bytes);
	taken->next = fault->leaks;
	fault->leaks = taken;
	fault->leaked_bytes += bytes;
	return 0;
}

/* The last word of this process may be what it dies of. */
static void announce(struct fault *fault, const struct rule *rule,
		     const struct forebay_request *request)
{
	const struct forebay_host *host = fault->host;

	host->log(fault->instance, FOREBAY_LOG_WARNING,
		  "now: \"%s\", by a request of %" PRIu64 " bytes at %" PRIu64,
		  rule->text, host->request_length(request),
		  host->request_offset(request));
}

/* Returns: what the request fails with, or 0. Adds to @delay_ns. */
static int strike(struct fault *fault, const struct rule *rule,
		  const struct forebay_request *request, uint64_t *delay_ns)
{
	switch (rule->action) {
	case RULE_ERROR:
		return rule->status;
	case RULE_DELAY:
		*delay_ns += rule->amount;
		return 0;
	case RULE_CRASH:
		announce(fault, rule, request);
		crash();
		return 0;
	case RULE_HANG:
		announce(fault, rule, request);
		hang(rule->amount);
		return 0;
	case RULE_LOOP:
		announce(fault, rule, request);
		loop(rule->amount);
		return 0;
	case RULE_LEAK:
		return leak(fault, rule->amount);
	}
	return 0;
}

/* Requests. */

static void pass(struct fault *fault, struct forebay_request *request,
		 int status)
{
	if (status < 0)
		fault->host->request_complete(request, status);
	else
		fault->host->request_forward(request);
}

static void set_timer(struct fault *fault, uint64_t now_ns)
{
	uint64_t due_ns;

	if (!fault->first)
		return;
	due_ns = waiting_of(fault, fault->first)->due_ns;
	fault->host->timer_arm(fault->instance, &fault->timer,
			       due_ns > now_ns ? due_ns - now_ns : 0);
}

/* Behind those that are due at the same time: they came before. */
static void wait_until(struct fault *fault, struct forebay_request *request,
		       uint64_t due_ns, int status)
{
	struct forebay_request **at = &fault->first;
	struct waiting *waiting = waiting_of(fault, request);

	while (*at && waiting_of(fault, *at)->due_ns <= due_ns)
		at = &waiting_of(fault, *at)->next;
	waiting->next = *at;
	waiting->due_ns = due_ns;
	waiting->status = status;
	*at = request;
	fault->waiting_count++;
}

static void on_timer(struct forebay_timer *timer)
{
	struct fault *fault = timer->owner;
	uint64_t now_ns = fault->host->now_ns(fault->instance);

	while (fault->first &&
	       waiting_of(fault, fault->first)->due_ns <= now_ns) {
		struct forebay_request *request = fault->first;
		int status = waiting_of(fault, request)->status;

		/* Off the list first: passing it on may submit the next. */
		fault->first = waiting_of(fault, request)->next;
		fault->waiting_count--;
		pass(fault, request, status);
	}
	set_timer(fault, now_ns);
}

static void fault_submit(void *state, struct forebay_request *request)
{
	struct fault *fault = state;
	const struct forebay_host *host = fault->host;
	enum forebay_operation operation = host->request_operation(request);
	uint64_t offset = host->request_offset(request);
	uint64_t length = host->request_length(request);
	uint64_t delay_ns = 0;
	int status = 0;

	for (unsigned int i = 0; i < fault->rules.count && status == 0; i++)
		if (rule_fires(&fault->rules.list[i], operation, offset,
			       length))
			status = strike(fault, &fault->rules.list[i], request,
					&delay_ns);
	if (delay_ns == 0) {
		pass(fault, request, status);
		return;
	}
	wait_until(fault, request, host->now_ns(fault->instance) + delay_ns,
		   status);
	if (fault->first == request)
		set_timer(fault, host->now_ns(fault->instance));
}

/* Life. */

/* The rules stay as they are when the text is refused. */
static int read_rules(struct fault *fault)
{
	const char *text = "";
	int64_t seed = 0;
	int status;

	fault->host->property_string(fault->instance, "rules", &text);
	fault->host->property_integer(fault->instance, "seed", &seed);
	status = rules_parse(text, (uint64_t)seed, &fault->rules,
			     fault->refused);
	if (status == 0)
		fault->refused[0] = '\0';
	return status;
}

static void fault_properties_changed(void *state)
{
	struct fault *fault = state;

	if (read_rules(fault) < 0)
		fault->host->log(fault->instance, FOREBAY_LOG_ERROR,
				 "the new rules are refused, the old ones "
				 "stand: %s",
				 fault->refused);
}

static void fault_open(struct forebay_instance *instance,
		       const struct forebay_host *host,
		       const struct forebay_disk *disk, void **ret_state)
{
	struct fault *fault = calloc(1, sizeof(*fault));
	int status;

	(void)disk;
	if (!fault) {
		host->open_done(instance, -ENOMEM);
		return;
	}
	fault->instance = instance;
	fault->host = host;
	fault->timer.expired = on_timer;
	fault->timer.owner = fault;
	status = read_rules(fault);
	if (status < 0) {
		host->explain(instance, fault->refused);
		free(fault);
	} else {
		*ret_state = fault;
	}
	host->open_done(instance, status);
}

static void fault_close(void *state)
{
	struct fault *fault = state;
	struct forebay_instance *instance = fault->instance;
	const struct forebay_host *host = fault->host;

	host->timer_cancel(instance, &fault->timer);
	while (fault->leaks) {
		struct leak *next = fault->leaks->next;

		free(fault->leaks);
		fault->leaks = next;
	}
	free(fault);
	host->close_done(instance, 0);
}

static int fault_status(void *state, char *buffer, size_t buffer_bytes)
{
	const struct fault *fault = state;
	struct status_text text = status_text_begin(buffer, buffer_bytes);

	status_text_add(&text, "{\"rules\": [");
	for (unsigned int i = 0; i < fault->rules.count; i++) {
		const struct rule *rule = &fault->rules.list[i];

		status_text_add(&text,
				"%s{\"rule\": \"%s\", \"met\": %" PRIu64
				", \"fired\": %" PRIu64 "}",
				i > 0 ? ", " : "", rule->text, rule->met_count,
				rule->fired_count);
	}
	status_text_add(&text,
			"], \"waiting\": %" PRIu64
			", \"leaked_bytes\": %" PRIu64 ", \"refused\": ",
			fault->waiting_count, fault->leaked_bytes);
	status_text_add_string(&text,
			       fault->refused[0] ? fault->refused : NULL);
	status_text_add(&text, "}");
	return status_text_end(&text);
}

static const struct forebay_property fault_properties[] = {
	{
		.name = "rules",
		.description = "What goes wrong and when, such as \"error on "
			       "write every 100; delay 20ms chance 1%\".",
		.type = FOREBAY_PROPERTY_STRING,
		.default_string = "",
		.online = true,
	},
	{
		.name = "seed",
		.description = "What chances are drawn from.",
		.type = FOREBAY_PROPERTY_INTEGER,
		.default_integer = 1,
		.maximum = INT64_MAX,
		.online = true,
	},
	{0},
};

const struct forebay_filter forebay_filter = {
	.abi_version = FOREBAY_FILTER_ABI,
	.struct_size = sizeof(struct forebay_filter),
	.name = "fault",
	.version = "1.0.0",
	.description = "Makes requests fail, wait, crash, hang or leak, by "
		       "rules: for tests and fire drills.",
	.filter_class = FOREBAY_CLASS_INSPECTION,
	.operations = FOREBAY_OPERATION_BIT(FOREBAY_READ) |
		      FOREBAY_OPERATION_BIT(FOREBAY_WRITE) |
		      FOREBAY_OPERATION_BIT(FOREBAY_FLUSH) |
		      FOREBAY_OPERATION_BIT(FOREBAY_DISCARD) |
		      FOREBAY_OPERATION_BIT(FOREBAY_WRITE_ZEROES) |
		      FOREBAY_OPERATION_BIT(FOREBAY_EXTENTS) |
		      FOREBAY_OPERATION_BIT(FOREBAY_CACHE),
	.request_context_bytes = sizeof(struct waiting),
	.properties = fault_properties,
	.open = fault_open,
	.close = fault_close,
	.submit = fault_submit,
	.properties_changed = fault_properties_changed,
	.status = fault_status,
	.flags = FOREBAY_FILTER_HOLDS, /* a delay may last for long */
};
