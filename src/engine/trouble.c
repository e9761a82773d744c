// SPDX-License-Identifier: Apache-2.0
/*
 * trouble.c - what the layers below don't do, and who waits for it.
 *
 * Nothing here changes what the engine does: it is what a user is told, and
 * soon: within a second after writes began to wait.
 */
#include "pressure.h"

#include "core.h"

/* Without an answer for so long, below is called silent. */
#define SILENT_NS 1000000000ull
/* Writes that wait for less are slowed, and nothing to talk about. */
#define WAIT_NS 500000000ull

static bool asked(const struct engine *engine)
{
	const struct destage *destage = &engine->destage;

	return destage->ios_busy > 0 || engine->flusher.below_busy;
}

static uint64_t silent_at_ns(const struct engine *engine)
{
	return asked(engine) ? engine->destage.answered_ns + SILENT_NS
			     : UINT64_MAX;
}

static uint64_t waiting_at_ns(const struct engine *engine)
{
	const struct append *append = &engine->append;
	uint64_t since_ns = append->throttled_since_ns;

	if (since_ns == 0)
		return UINT64_MAX;
	if (engine->writes.admitted_ns > since_ns)
		since_ns = engine->writes.admitted_ns;
	return since_ns + WAIT_NS;
}

struct engine_troubles engine_troubles(const struct engine *engine)
{
	struct engine_troubles troubles = {0};

	if (engine->state != ENGINE_RUNNING)
		return troubles;
	troubles.lost_blocks = engine->lost_blocks;
	if (engine->now_ns >= silent_at_ns(engine)) {
		troubles.below = ENGINE_TROUBLE_SILENT;
	} else if (engine->destage.refused) {
		troubles.below = ENGINE_TROUBLE_REFUSING;
		troubles.code = engine->destage.error;
	}
	troubles.since_ns = engine->trouble_since_ns;
	troubles.writes_wait = troubles.below != ENGINE_TROUBLE_NONE &&
			       engine->now_ns >= waiting_at_ns(engine);
	return troubles;
}

void trouble_look(struct engine *engine)
{
	if (engine_troubles(engine).below == ENGINE_TROUBLE_NONE)
		engine->trouble_since_ns = 0;
	else if (engine->trouble_since_ns == 0)
		engine->trouble_since_ns = engine->now_ns;
}

static uint64_t coming(const struct engine *engine, uint64_t at_ns)
{
	return at_ns > engine->now_ns ? at_ns : UINT64_MAX;
}

uint64_t trouble_next_ns(const struct engine *engine)
{
	uint64_t silent = coming(engine, silent_at_ns(engine));
	uint64_t waiting = coming(engine, waiting_at_ns(engine));

	return silent < waiting ? silent : waiting;
}
