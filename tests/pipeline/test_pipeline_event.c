// SPDX-License-Identifier: Apache-2.0
/* test_pipeline_event.c - lifecycle events through whole pipelines. */
#include "pipeline_scene.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "pipeline_event.h"

/* Where a filter is late on purpose. */
#define SHORT_NS (30 * NS_PER_MS)

/* What was told of events that are over; the kinds' numbers. */
static unsigned int happened[16];
static unsigned int happened_count;

static void on_happened(void *owner, const struct pipeline_event *event)
{
	(void)owner;
	happened[happened_count++] = event->kind;
}

static void on_phase_done(struct pipeline_event *event, int status)
{
	on_done(event->owner, status);
}

/* Top, middle and bottom, each with properties, or NULL. */
static void open_three(struct scene *scene, const char *top, const char *middle,
		       const char *bottom)
{
	happened_count = 0;
	scene->opening.happened = on_happened;
	add(scene, "event-top", top);
	add(scene, "event-middle", middle);
	add(scene, "event-bottom", bottom);
	assert_int_equal(open_pipeline(scene), 0);
	events[0] = '\0';
	happened_count = 0;
}

static void prepare(struct scene *scene, struct pipeline_event *event,
		    enum forebay_event_kind kind)
{
	*event = (struct pipeline_event){
		.kind = kind,
		.done = on_phase_done,
		.owner = scene,
	};
}

typedef void (*phase_fn)(struct pipeline *pipeline,
			 struct pipeline_event *event);

static int run_phase(struct scene *scene, phase_fn phase,
		     struct pipeline_event *event)
{
	phase(scene->pipeline, event);
	assert_int_equal(loop_run(scene->loop), 0);
	return scene->status;
}

static int run_action(struct scene *scene, const char *filter,
		      const char *action)
{
	pipeline_action(scene->pipeline, filter, action, on_done, scene);
	assert_int_equal(loop_run(scene->loop), 0);
	return scene->status;
}

/* Result number @index of @event is @filter's @outcome. */
static void assert_result(const struct pipeline_event *event, size_t index,
			  const char *filter, const char *outcome)
{
	const json_t *result = json_array_get(event->results, index);

	assert_non_null(result);
	assert_string_equal(
		json_string_value(json_object_get(result, "filter")), filter);
	assert_string_equal(
		json_string_value(json_object_get(result, "outcome")), outcome);
}

static void an_event_goes_down_and_comes_back_up(void **state)
{
	struct scene *scene = *state;
	struct pipeline_event event;

	open_three(scene, NULL, "{\"slow\": \"grow-pre\"}", NULL);
	prepare(scene, &event, FOREBAY_EVENT_GROW);
	assert_int_equal(run_phase(scene, pipeline_event_pre, &event), 0);
	assert_int_equal(happened_count, 0);
	assert_int_equal(run_phase(scene, pipeline_event_post, &event), 0);
	assert_string_equal(events, "top:grow-pre middle:grow-pre "
				    "bottom:grow-pre bottom:grow-post "
				    "middle:grow-post top:grow-post");
	assert_int_equal(json_array_size(event.results), 6);
	assert_result(&event, 1, "event-middle", "done");
	assert_int_equal(event.ended_with, FOREBAY_EVENT_POST);
	assert_int_equal(happened_count, 1);
	assert_int_equal(happened[0], FOREBAY_EVENT_GROW);
	pipeline_event_release(&event);
	close_pipeline(scene);
}

static void what_does_not_happen_is_undone(void **state)
{
	struct scene *scene = *state;
	struct pipeline_event event;

	open_three(scene, NULL, NULL, NULL);
	prepare(scene, &event, FOREBAY_EVENT_CLONE);
	event.name = "copy";
	assert_int_equal(run_phase(scene, pipeline_event_pre, &event), 0);
	assert_int_equal(run_phase(scene, pipeline_event_undo, &event), 0);
	assert_string_equal(events,
			    "top:clone-pre=copy middle:clone-pre=copy "
			    "bottom:clone-pre=copy bottom:clone-undo=copy "
			    "middle:clone-undo=copy top:clone-undo=copy");
	assert_int_equal(event.ended_with, FOREBAY_EVENT_UNDO);
	pipeline_event_release(&event);
	close_pipeline(scene);
}

static void a_refusal_is_undone_above_and_says_who_and_why(void **state)
{
	struct scene *scene = *state;
	struct pipeline_event event;

	open_three(scene, NULL, "{\"refuse\": \"snapshot-pre\"}", NULL);
	prepare(scene, &event, FOREBAY_EVENT_SNAPSHOT);
	assert_int_equal(run_phase(scene, pipeline_event_pre, &event), -EBUSY);
	assert_string_equal(events, "top:snapshot-pre middle:snapshot-pre "
				    "top:snapshot-undo");
	assert_string_equal(event.error.message,
			    "filter event-middle refuses snapshot of disk db1: "
			    "it was told to");
	assert_result(&event, 1, "event-middle", "refused");
	assert_int_equal(happened_count, 1);
	pipeline_event_release(&event);
	close_pipeline(scene);
}

static void a_late_filter_fails_the_event_and_is_named(void **state)
{
	struct scene *scene = *state;
	struct pipeline_event event;

	open_three(scene, NULL, NULL, "{\"hold\": \"grow-pre\"}");
	prepare(scene, &event, FOREBAY_EVENT_GROW);
	event.deadline_ns = SHORT_NS;
	assert_int_equal(run_phase(scene, pipeline_event_pre, &event),
			 -ETIMEDOUT);
	assert_string_equal(events, "top:grow-pre middle:grow-pre "
				    "bottom:grow-pre middle:grow-undo "
				    "top:grow-undo");
	assert_string_equal(event.error.message,
			    "filter event-bottom holds up grow of disk db1: "
			    "its time is over");
	pipeline_event_release(&event);
	close_pipeline(scene);
}

static const char *stuck_kind(struct scene *scene)
{
	json_t *stats = pipeline_stats(scene->pipeline);
	const json_t *event = json_object_get(
		json_array_get(json_object_get(stats, "filters"), 0), "event");
	static char kind[32];

	kind[0] = '\0';
	if (json_is_true(json_object_get(event, "stuck")))
		(void)snprintf(
			kind, sizeof(kind), "%s",
			json_string_value(json_object_get(event, "kind")));
	json_decref(stats);
	return kind;
}

static void a_stuck_filter_is_left_out_until_it_ends_its_event(void **state)
{
	struct scene *scene = *state;
	struct pipeline_event event;

	open_three(scene, "{\"hold\": \"vm-post\"}", NULL, NULL);
	prepare(scene, &event, FOREBAY_EVENT_VM);
	event.vm = FOREBAY_VM_RUNNING;
	event.deadline_ns = SHORT_NS;
	assert_int_equal(run_phase(scene, pipeline_event_post, &event), 0);
	assert_result(&event, 2, "event-top", "late");
	pipeline_event_release(&event);
	assert_string_equal(stuck_kind(scene), "vm");

	events[0] = '\0';
	prepare(scene, &event, FOREBAY_EVENT_GROW);
	assert_int_equal(run_phase(scene, pipeline_event_pre, &event), -EBUSY);
	assert_result(&event, 0, "event-top", "stuck");
	assert_string_equal(events, "");
	pipeline_event_release(&event);

	assert_int_equal(run_action(scene, "event-top", "end"), 0);
	assert_string_equal(stuck_kind(scene), "");
	prepare(scene, &event, FOREBAY_EVENT_GROW);
	assert_int_equal(run_phase(scene, pipeline_event_pre, &event), 0);
	assert_int_equal(run_phase(scene, pipeline_event_undo, &event), 0);
	pipeline_event_release(&event);
	close_pipeline(scene);
}

static void a_disk_closes_under_a_stuck_filter(void **state)
{
	struct scene *scene = *state;
	struct pipeline_event event;

	open_three(scene, NULL, "{\"hold\": \"stun-post\"}", NULL);
	prepare(scene, &event, FOREBAY_EVENT_STUN);
	event.deadline_ns = SHORT_NS;
	assert_int_equal(run_phase(scene, pipeline_event_post, &event), 0);
	pipeline_event_release(&event);
	events[0] = '\0';
	close_pipeline(scene);
	assert_string_equal(events, "top:close-pre bottom:close-pre");
}

static void what_cant_be_refused_goes_on(void **state)
{
	struct scene *scene = *state;
	struct pipeline_event event;

	open_three(scene, "{\"refuse\": \"migrate-pre\"}", NULL, NULL);
	prepare(scene, &event, FOREBAY_EVENT_MIGRATE);
	assert_int_equal(run_phase(scene, pipeline_event_pre, &event), 0);
	assert_string_equal(events, "top:migrate-pre middle:migrate-pre "
				    "bottom:migrate-pre");
	assert_result(&event, 0, "event-top", "failed");
	pipeline_event_release(&event);
	close_pipeline(scene);
}

static void a_filter_is_told_only_of_the_kinds_it_names(void **state)
{
	struct scene *scene = *state;
	struct pipeline_event event;

	open_three(scene, NULL, NULL, NULL);
	prepare(scene, &event, FOREBAY_EVENT_ABORT);
	assert_int_equal(run_phase(scene, pipeline_event_pre, &event), 0);
	assert_string_equal(events, "top:abort-pre middle:abort-pre");
	pipeline_event_release(&event);
	close_pipeline(scene);
}

static void all_filters_are_told_that_the_disk_opens_and_closes(void **state)
{
	struct scene *scene = *state;

	scene->opening.happened = on_happened;
	happened_count = 0;
	add(scene, "event-top", NULL);
	add(scene, "probe-bottom", NULL);
	assert_int_equal(open_pipeline(scene), 0);
	close_pipeline(scene);
	assert_string_equal(events, "bottom:open top:open-post top:close-pre "
				    "bottom:close");
	assert_int_equal(happened_count, 2);
	assert_int_equal(happened[0], FOREBAY_EVENT_OPEN);
	assert_int_equal(happened[1], FOREBAY_EVENT_CLOSE);
}

static void events_that_come_together_go_round_one_by_one(void **state)
{
	struct scene *scene = *state;
	struct pipeline_event grow, clone;

	open_three(scene, "{\"slow\": \"grow-pre\"}", NULL, NULL);
	prepare(scene, &grow, FOREBAY_EVENT_GROW);
	prepare(scene, &clone, FOREBAY_EVENT_CLONE);
	grow.done = NULL;
	pipeline_event_pre(scene->pipeline, &grow);
	pipeline_event_pre(scene->pipeline, &clone);
	assert_int_equal(loop_run(scene->loop), 0);
	assert_string_equal(events, "top:grow-pre middle:grow-pre "
				    "bottom:grow-pre top:clone-pre "
				    "middle:clone-pre bottom:clone-pre");
	pipeline_event_release(&grow);
	pipeline_event_release(&clone);
	close_pipeline(scene);
}

static const char *value_of_slow(struct scene *scene)
{
	json_t *stats = pipeline_stats(scene->pipeline);
	static char value[32];

	(void)snprintf(
		value, sizeof(value), "%s",
		json_string_value(json_object_get(
			json_object_get(
				json_array_get(
					json_object_get(stats, "filters"), 0),
				"properties"),
			"slow")));
	json_decref(stats);
	return value;
}

/* The filter reads `refuse` while it is asked, so it sees what is proposed. */
static void properties_are_proposed_before_they_are_applied(void **state)
{
	struct scene *scene = *state;

	open_three(scene, NULL, NULL, NULL);
	assert_int_equal(set_properties(scene, "event-top",
					"{\"refuse\": \"properties-pre\", "
					"\"slow\": \"x\"}"),
			 -EPERM);
	assert_string_equal(scene->error.message,
			    "filter event-top refuses properties of disk db1: "
			    "it was told to");
	assert_string_equal(value_of_slow(scene), "");
	assert_string_equal(events, "top:properties-pre");
	events[0] = '\0';
	assert_int_equal(
		set_properties(scene, "event-top", "{\"slow\": \"y\"}"), 0);
	assert_string_equal(value_of_slow(scene), "y");
	assert_string_equal(events, "top:properties-pre top:properties-post");
	close_pipeline(scene);
}

static void on_changed(void *context, const struct error *error)
{
	on_done(context, error ? error->code : 0);
}

static void properties_of_several_filters_change_together_or_not(void **state)
{
	struct scene *scene = *state;
	json_t *changes = json_loads("{\"event-top\": {\"slow\": \"x\"},"
				     " \"event-bottom\": "
				     "{\"refuse\": \"properties-pre\"}}",
				     0, NULL);

	open_three(scene, NULL, NULL, NULL);
	pipeline_set_properties(scene->pipeline, changes, on_changed, scene);
	assert_int_equal(loop_run(scene->loop), 0);
	assert_int_equal(scene->status, -EPERM);
	assert_string_equal(value_of_slow(scene), "");
	assert_string_equal(events, "top:properties-pre bottom:properties-pre "
				    "top:properties-undo");
	json_decref(changes);
	close_pipeline(scene);
}

static void on_changed_silently(void *context, const struct error *error)
{
	int *code = context;

	*code = error ? error->code : 0;
}

static void a_second_change_waits_for_nobody(void **state)
{
	struct scene *scene = *state;
	json_t *changes =
		json_pack("{s:{s:s}}", "event-top", "slow", "properties-pre");
	int second = 1;

	open_three(scene, "{\"slow\": \"properties-pre\"}", NULL, NULL);
	pipeline_set_properties(scene->pipeline, changes, on_changed, scene);
	pipeline_set_properties(scene->pipeline, changes, on_changed_silently,
				&second);
	assert_int_equal(second, -EBUSY);
	assert_int_equal(loop_run(scene->loop), 0);
	assert_int_equal(scene->status, 0);
	json_decref(changes);
	close_pipeline(scene);
}

/* In a process of its own: the rule is that it aborts. */
static void an_event_that_is_ended_twice_aborts(void **state)
{
	struct scene *scene = *state;
	struct pipeline_event event;
	int status = 0;
	pid_t child;

	open_three(scene, "{\"hold\": \"stun-pre\"}", NULL, NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		prepare(scene, &event, FOREBAY_EVENT_STUN);
		pipeline_event_pre(scene->pipeline, &event);
		pipeline_action(scene->pipeline, "event-top", "end-twice",
				on_done, scene);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	close_pipeline(scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(an_event_goes_down_and_comes_back_up),
		SCENE_TEST(what_does_not_happen_is_undone),
		SCENE_TEST(a_refusal_is_undone_above_and_says_who_and_why),
		SCENE_TEST(a_late_filter_fails_the_event_and_is_named),
		SCENE_TEST(a_stuck_filter_is_left_out_until_it_ends_its_event),
		SCENE_TEST(a_disk_closes_under_a_stuck_filter),
		SCENE_TEST(what_cant_be_refused_goes_on),
		SCENE_TEST(a_filter_is_told_only_of_the_kinds_it_names),
		SCENE_TEST(all_filters_are_told_that_the_disk_opens_and_closes),
		SCENE_TEST(events_that_come_together_go_round_one_by_one),
		SCENE_TEST(properties_are_proposed_before_they_are_applied),
		SCENE_TEST(
			properties_of_several_filters_change_together_or_not),
		SCENE_TEST(a_second_change_waits_for_nobody),
		SCENE_TEST(an_event_that_is_ended_twice_aborts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
