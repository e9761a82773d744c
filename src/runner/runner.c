// SPDX-License-Identifier: Apache-2.0
/*
 * runner.c - the pump between an engine and its host.
 *
 * Results of I/O are put on a list first and handed to the engine by the pump,
 * since a host may report an io from inside the call that started it, in the
 * middle of the pump's own loop over the engine's actions.
 */
#include "runner.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "failpoint.h"
#include "log_format.h"

/* Most I/O given to the host at a time; what is more waits in the engine. */
#define RUNNER_IOS_MAX 256u
/* Where the log's superblocks stand. */
#define SUPERBLOCKS_BYTES \
	(LOG_SUPERBLOCK_COPIES * LOG_SUPERBLOCK_BLOCKS * LOG_BLOCK_BYTES)

struct runner_slot {
	struct forebay_io io;
	struct engine_io *action;
	struct list node; /* in idle or finished, or in none: at the host */
	int result;
};

struct runner {
	struct engine *engine;
	struct engine_memory memory;
	size_t memory_bytes;
	size_t kept_bytes; /* 0: the host's */
	int file;

	const struct runner_host *host;
	void *context;
	void (*state_changed)(void *owner, enum engine_state state,
			      const struct error *failure);
	void (*completed)(void *owner, struct engine_request *request);
	void (*troubles_changed)(void *owner,
				 const struct engine_troubles *troubles);
	struct engine_troubles troubles_told;
	void (*returned)(void *owner);
	void *owner;

	struct forebay_deferred pump;
	bool pump_due; /* the host will run it */
	struct forebay_timer timer;
	uint64_t timer_ns; /* when it expires; 0: not armed */
	void (*hold_changed)(void *owner, const struct engine_hold *hold);
	enum engine_state state_told;
	enum engine_hold_state hold_told;

	struct list idle;
	struct list finished;
	unsigned int in_flight;

	uint64_t copied_told;
	bool copied_due; /* something may have been copied since */
	struct list drains;

	void (*close_done)(void *context);
	void *close_context;

	struct runner_slot slots[RUNNER_IOS_MAX];
};

static void pump_soon(struct runner *runner)
{
	if (runner->pump_due)
		return;
	runner->pump_due = true;
	runner->host->defer(runner->context, &runner->pump);
}

/* The places of an action: where it is given away, and one on where it ends. */
static enum failpoint action_failpoint(const struct engine_io *action)
{
	switch (action->type) {
	case ENGINE_SSD_READ:
		return FAILPOINT_SSD_READ_BEGIN;
	case ENGINE_SSD_WRITE:
		return action->offset < SUPERBLOCKS_BYTES
			       ? FAILPOINT_SUPERBLOCK_BEGIN
			       : FAILPOINT_SSD_WRITE_BEGIN;
	case ENGINE_SSD_FLUSH:
		return FAILPOINT_SSD_FLUSH_BEGIN;
	case ENGINE_BELOW_READ:
		return FAILPOINT_BELOW_READ_BEGIN;
	case ENGINE_BELOW_WRITE:
		return FAILPOINT_BELOW_WRITE_BEGIN;
	case ENGINE_BELOW_FLUSH:
		return FAILPOINT_BELOW_FLUSH_BEGIN;
	case ENGINE_BELOW_ZERO:
		return FAILPOINT_BELOW_ZERO_BEGIN;
	case ENGINE_VOID:
		return FAILPOINT_VOID_BEGIN;
	}
	__builtin_unreachable();
}

static void io_done(struct forebay_io *io, int result)
{
	struct runner *runner = io->owner;
	struct runner_slot *slot = container_of(io, struct runner_slot, io);

	slot->result =
		failpoint_result(action_failpoint(slot->action) + 1, result);
	list_append(&runner->finished, &slot->node);
	pump_soon(runner);
}

static enum forebay_operation action_operation(enum engine_io_type type)
{
	switch (type) {
	case ENGINE_SSD_READ:
	case ENGINE_BELOW_READ:
		return FOREBAY_READ;
	case ENGINE_SSD_WRITE:
	case ENGINE_BELOW_WRITE:
		return FOREBAY_WRITE;
	case ENGINE_SSD_FLUSH:
	case ENGINE_BELOW_FLUSH:
		return FOREBAY_FLUSH;
	case ENGINE_BELOW_ZERO:
		return FOREBAY_WRITE_ZEROES;
	case ENGINE_VOID:
		break;
	}
	__builtin_unreachable();
}

static bool action_is_below(enum engine_io_type type)
{
	return type == ENGINE_BELOW_READ || type == ENGINE_BELOW_WRITE ||
	       type == ENGINE_BELOW_FLUSH || type == ENGINE_BELOW_ZERO;
}

static void action_start(struct runner *runner, struct engine_io *action)
{
	struct runner_slot *slot = list_entry(list_take_first(&runner->idle),
					      struct runner_slot, node);
	struct forebay_io *io = &slot->io;

	slot->action = action;
	if (action->type == ENGINE_VOID) {
		failpoint(FAILPOINT_VOID_BEGIN);
		runner->in_flight++;
		io->owner = runner;
		io_done(io,
			runner->host->say_void(runner->context, action->lost,
					       engine_failure(runner->engine)));
		return;
	}
	io->operation = action_operation(action->type);
	io->flags = action->type == ENGINE_BELOW_ZERO && !action->may_unmap
			    ? FOREBAY_NO_HOLE
			    : 0;
	io->file = action_is_below(action->type) ? FOREBAY_BELOW : runner->file;
	io->iov = action->iov;
	io->iov_count = action->iov_count;
	io->offset = action->offset;
	io->length = action->length;
	io->done = io_done;
	io->owner = runner;
	runner->in_flight++;
	failpoint(action_failpoint(action));
	runner->host->io_submit(runner->context, io);
}

static void results_feed(struct runner *runner)
{
	struct list *node;

	while ((node = list_take_first(&runner->finished))) {
		struct runner_slot *slot =
			list_entry(node, struct runner_slot, node);
		struct engine_io *action = slot->action;

		slot->action = NULL;
		list_prepend(&runner->idle, node);
		runner->in_flight--;
		engine_io_done(runner->engine, action, slot->result);
	}
}

static void actions_start(struct runner *runner)
{
	while (!list_is_empty(&runner->idle)) {
		struct engine_io *action = engine_next_io(runner->engine);

		if (!action)
			break;
		action_start(runner, action);
	}
}

static void requests_complete(struct runner *runner)
{
	struct engine_request *request;

	while ((request = engine_next_completed(runner->engine))) {
		if ((request->sector | request->sector_count) % 8 != 0)
			runner->copied_due = true;
		failpoint(FAILPOINT_ENGINE_COMPLETED);
		runner->completed(runner->owner, request);
	}
}

static void copied_tell(struct runner *runner, const struct engine_stats *stats)
{
	uint64_t more = stats->copied_bytes - runner->copied_told;

	runner->copied_due = false;
	runner->copied_told = stats->copied_bytes;
	if (more > 0)
		runner->host->count_copied(runner->context, more);
}

static void state_tell(struct runner *runner)
{
	enum engine_state state = engine_state(runner->engine);

	if (state == runner->state_told)
		return;
	runner->state_told = state;
	runner->state_changed(runner->owner, state,
			      engine_failure(runner->engine));
}

static void hold_tell(struct runner *runner)
{
	struct engine_hold hold = engine_hold_now(runner->engine);

	if (hold.state == runner->hold_told)
		return;
	runner->hold_told = hold.state;
	if (runner->hold_changed)
		runner->hold_changed(runner->owner, &hold);
}

static void troubles_tell(struct runner *runner)
{
	struct engine_troubles now = engine_troubles(runner->engine);
	struct engine_troubles *told = &runner->troubles_told;
	bool same = now.below == told->below && now.code == told->code &&
		    now.writes_wait == told->writes_wait &&
		    now.lost_blocks == told->lost_blocks;

	*told = now;
	if (!same && runner->troubles_changed)
		runner->troubles_changed(runner->owner, told);
}

/* When the layers below have had their time; UINT64_MAX: no trouble. */
static uint64_t stalled_at_ns(const struct runner *runner,
			      const struct runner_drain *drain)
{
	uint64_t since_ns = runner->troubles_told.since_ns;

	if (since_ns == 0)
		return UINT64_MAX;
	return (since_ns > drain->began_ns ? since_ns : drain->began_ns) +
	       RUNNER_DRAIN_STALL_NS;
}

static int drain_failure(const struct runner *runner,
			 const struct runner_drain *drain, uint64_t now_ns)
{
	const struct engine_troubles *troubles = &runner->troubles_told;

	if (engine_drain_failed(runner->engine))
		return -EIO;
	if (now_ns < stalled_at_ns(runner, drain))
		return 0;
	return troubles->below == ENGINE_TROUBLE_REFUSING ? troubles->code
							  : -ETIMEDOUT;
}

/* A later drain never ends before an earlier one, so the first decides. */
static void drains_end(struct runner *runner, uint64_t now_ns)
{
	while (!list_is_empty(&runner->drains)) {
		struct runner_drain *drain = list_entry(
			runner->drains.next, struct runner_drain, node);

		int status = drain_failure(runner, drain, now_ns);

		if (status == 0 &&
		    !engine_drained(runner->engine, &drain->point))
			return;
		list_remove(&drain->node);
		if (list_is_empty(&runner->drains))
			engine_set_draining(runner->engine, false);
		drain->done(drain, status);
	}
}

static void timer_set(struct runner *runner, uint64_t now_ns)
{
	uint64_t poll_ns = engine_next_poll_ns(runner->engine);

	if (!list_is_empty(&runner->drains)) {
		uint64_t stalled_ns = stalled_at_ns(
			runner, list_entry(runner->drains.next,
					   struct runner_drain, node));

		if (stalled_ns != UINT64_MAX &&
		    (poll_ns == 0 || stalled_ns < poll_ns))
			poll_ns = stalled_ns;
	}
	if (poll_ns == runner->timer_ns)
		return;
	runner->timer_ns = poll_ns;
	if (poll_ns == 0)
		runner->host->timer_cancel(runner->context, &runner->timer);
	else
		runner->host->timer_arm(runner->context, &runner->timer,
					poll_ns > now_ns ? poll_ns - now_ns
							 : 0);
}

static void close_finish(struct runner *runner)
{
	void (*done)(void *context) = runner->close_done;
	void *context = runner->close_context;

	if (!done || runner->pump_due || runner->in_flight > 0 ||
	    !engine_closed(runner->engine))
		return;
	failpoint(FAILPOINT_ENGINE_CLOSED);
	runner->host->timer_cancel(runner->context, &runner->timer);
	runner_destroy(runner);
	done(context);
}

static void pump_run(struct forebay_deferred *deferred)
{
	struct runner *runner = deferred->owner;
	uint64_t now_ns = runner->host->now_ns(runner->context);
	struct engine_stats stats;

	runner->pump_due = false;
	results_feed(runner);
	engine_poll(runner->engine, now_ns);
	failpoint(FAILPOINT_ENGINE_POLLED);
	actions_start(runner);
	requests_complete(runner);
	if (runner->copied_due) {
		engine_stats(runner->engine, &stats);
		copied_tell(runner, &stats);
	}
	state_tell(runner);
	hold_tell(runner);
	troubles_tell(runner);
	if (runner->returned && engine_has_returned(runner->engine))
		runner->returned(runner->owner);
	drains_end(runner, now_ns);
	timer_set(runner, now_ns);
	/* Last: it may free the runner. */
	close_finish(runner);
}

static void timer_expired(struct forebay_timer *timer)
{
	struct runner *runner = timer->owner;

	runner->timer_ns = 0;
	pump_soon(runner);
}

static int memory_map(size_t bytes, void **ret_memory)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return -errno;
	*ret_memory = memory;
	return 0;
}

static int memories_map(struct runner *runner, const struct runner_setup *setup)
{
	size_t bytes = engine_memory_bytes(&setup->config);
	size_t kept_bytes = engine_kept_bytes(&setup->config);
	int status;

	/* Let engine_create() find the words for a wrong configuration. */
	if (bytes == 0)
		return 0;
	status = memory_map(bytes, &runner->memory.own);
	if (status < 0)
		return status;
	runner->memory_bytes = bytes;
	if (setup->kept) {
		runner->memory.kept = setup->kept;
		return 0;
	}
	status = memory_map(kept_bytes, &runner->memory.kept);
	if (status < 0)
		return status;
	runner->kept_bytes = kept_bytes;
	return 0;
}

static int engine_make(struct runner *runner, const struct runner_setup *setup,
		       struct error *error)
{
	struct engine_config config = setup->config;
	int status = memories_map(runner, setup);

	if (status < 0)
		return error_set(error, status,
				 "no memory for the cache's index: %s",
				 strerror(-status));
	config.warm = setup->kept && config.warm;
	return engine_create(&config, &runner->memory, &runner->engine, error);
}

static void lists_init(struct runner *runner)
{
	list_init(&runner->idle);
	list_init(&runner->finished);
	list_init(&runner->drains);
	for (unsigned int i = 0; i < RUNNER_IOS_MAX; i++)
		list_append(&runner->idle, &runner->slots[i].node);
}

int runner_create(const struct runner_setup *setup, struct runner **ret_runner,
		  struct error *error)
{
	struct runner *runner = calloc(1, sizeof(*runner));
	int status;

	if (!runner)
		return error_set(error, -ENOMEM, "no memory for the cache");
	lists_init(runner);
	runner->file = setup->file;
	runner->host = setup->host;
	runner->context = setup->context;
	runner->state_changed = setup->state_changed;
	runner->completed = setup->completed;
	runner->hold_changed = setup->hold_changed;
	runner->troubles_changed = setup->troubles_changed;
	runner->returned = setup->returned;
	runner->owner = setup->owner;
	runner->pump.run = pump_run;
	runner->pump.owner = runner;
	runner->timer.expired = timer_expired;
	runner->timer.owner = runner;
	status = engine_make(runner, setup, error);
	if (status < 0) {
		runner_destroy(runner);
		return status;
	}
	runner->state_told = ENGINE_STARTING;
	*ret_runner = runner;
	return 0;
}

void runner_destroy(struct runner *runner)
{
	if (!runner)
		return;
	if (runner->memory_bytes > 0)
		munmap(runner->memory.own, runner->memory_bytes);
	if (runner->kept_bytes > 0)
		munmap(runner->memory.kept, runner->kept_bytes);
	free(runner);
}

void runner_start(struct runner *runner)
{
	engine_start(runner->engine);
	pump_soon(runner);
}

void runner_close(struct runner *runner, void (*done)(void *context),
		  void *context)
{
	assert(!runner->close_done);
	runner->close_done = done;
	runner->close_context = context;
	failpoint(FAILPOINT_ENGINE_CLOSING);
	engine_close(runner->engine);
	pump_soon(runner);
}

void runner_submit(struct runner *runner, struct engine_request *request)
{
	engine_submit(runner->engine, request);
	pump_soon(runner);
}

void runner_drain(struct runner *runner, struct runner_drain *drain)
{
	drain->point = engine_now(runner->engine);
	drain->began_ns = runner->host->now_ns(runner->context);
	list_append(&runner->drains, &drain->node);
	engine_set_draining(runner->engine, true);
	pump_soon(runner);
}

void runner_set_mode(struct runner *runner, enum engine_mode mode)
{
	engine_set_mode(runner->engine, mode);
	pump_soon(runner);
}

void runner_set_durable_writes(struct runner *runner, bool durable_writes)
{
	engine_set_durable_writes(runner->engine, durable_writes);
	pump_soon(runner);
}

void runner_set_max_dirty_age(struct runner *runner, uint64_t age_ns)
{
	engine_set_max_dirty_age(runner->engine, age_ns);
	pump_soon(runner);
}

int runner_hold(struct runner *runner, uint64_t timeout_ns)
{
	int status;

	/* What waits to be below would wait for the release. */
	if (runner_draining(runner))
		return -EAGAIN;
	status = engine_hold(runner->engine, timeout_ns);
	pump_soon(runner);
	return status;
}

int runner_release(struct runner *runner)
{
	int status = engine_release(runner->engine);

	pump_soon(runner);
	return status;
}

struct engine_hold runner_hold_now(const struct runner *runner)
{
	return engine_hold_now(runner->engine);
}

void runner_set_max_dirty_bytes(struct runner *runner, uint64_t max_bytes)
{
	engine_set_max_dirty_bytes(runner->engine, max_bytes);
	pump_soon(runner);
}

void runner_set_destage_rate(struct runner *runner, uint64_t bytes_per_s)
{
	engine_set_destage_rate(runner->engine, bytes_per_s);
	pump_soon(runner);
}

void runner_set_grant(struct runner *runner, uint32_t segments)
{
	engine_set_grant(runner->engine, segments);
	pump_soon(runner);
}

bool runner_next_returned(struct runner *runner, struct engine_segment *ret)
{
	return engine_next_returned(runner->engine, ret);
}

bool runner_next_away(const struct runner *runner, uint32_t from,
		      struct engine_segment *ret)
{
	return engine_next_away(runner->engine, from, ret);
}

void runner_take_segment(struct runner *runner, uint32_t number)
{
	/* Else it has failed meanwhile, and nobody needs it. */
	if (engine_state(runner->engine) == ENGINE_RUNNING)
		engine_take_segment(runner->engine, number);
	pump_soon(runner);
}

int runner_dirty_run(const struct runner *runner, uint64_t offset,
		     uint64_t length, uint64_t *ret_length, bool *ret_dirty)
{
	if (engine_state(runner->engine) != ENGINE_RUNNING)
		return -EIO;
	*ret_length =
		LOG_SECTOR_BYTES *
		engine_dirty_run(runner->engine, offset / LOG_SECTOR_BYTES,
				 length / LOG_SECTOR_BYTES, ret_dirty);
	return 0;
}

bool runner_next_lost(const struct runner *runner, uint64_t *offset,
		      uint64_t *ret_length)
{
	uint64_t sector = *offset / LOG_SECTOR_BYTES;
	uint64_t count;

	if (!engine_next_lost(runner->engine, &sector, &count))
		return false;
	*offset = sector * LOG_SECTOR_BYTES;
	*ret_length = count * LOG_SECTOR_BYTES;
	return true;
}

bool runner_may_fill(const struct runner *runner)
{
	return engine_may_fill(runner->engine);
}

void runner_stats(struct runner *runner, struct engine_stats *ret_stats)
{
	engine_stats(runner->engine, ret_stats);
	copied_tell(runner, ret_stats);
}

bool runner_curve(const struct runner *runner, struct engine_curve *ret_curve)
{
	return engine_curve(runner->engine, ret_curve);
}

struct engine_troubles runner_troubles(const struct runner *runner)
{
	return runner->troubles_told;
}

bool runner_draining(const struct runner *runner)
{
	return !list_is_empty(&runner->drains);
}

bool runner_clean(const struct runner *runner)
{
	return engine_clean(runner->engine);
}
