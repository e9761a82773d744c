// SPDX-License-Identifier: Apache-2.0
/*
 * test_claim.c - the sidecar of an image, and what an open learns from it.
 *
 * Two claims of one process stand for two hosts: the table of kept descriptors
 * is emptied between them.
 */
#include "image_scene.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "claim.h"
#include "fd.h"

struct host {
	struct claim_spec spec;
	struct claim claim;
};

static char folder[128];

static void make_host(struct scene *scene, struct host *host, char letter)
{
	*host = (struct host){
		.spec = {
			.disk_name = "d1",
			.host_name = letter == 'a' ? "anna" : "berta",
			.folder = folder,
			.owner_of = scene->path,
			.epoch = 1,
		}};
	memset(host->spec.disk_uuid, 'd', 16);
	memset(host->spec.host_uuid, letter, 16);
	snprintf(folder, sizeof(folder), "%s.forebay", scene->path);
}

/* The image is open; the words of a failure are in scene->error. */
static int begin(struct scene *scene, struct host *host)
{
	sidecar_forget();
	if (!scene->backend)
		open_for_writing(scene);
	return claim_begin(&host->spec, scene->backend, &host->claim,
			   &scene->error);
}

static void take(struct scene *scene, struct host *host, bool holds)
{
	assert_int_equal(begin(scene, host), 0);
	assert_int_equal(claim_hold(&host->claim, holds, &scene->error), 0);
	assert_int_equal(claim_take(&host->claim, &scene->error), 0);
}

static void end(struct scene *scene, struct host *host, bool in_order)
{
	claim_end(&host->claim, scene->backend, in_order);
	backend_close(scene->backend);
	scene->backend = NULL;
}

static struct claim_state state_of(const struct host *host)
{
	struct claim_state state;

	claim_state(&host->claim, &state);
	return state;
}

static void each_open_raises_the_generation(void **state)
{
	struct scene *scene = *state;
	uint64_t last = 0;
	struct host host;

	make_host(scene, &host, 'a');
	for (unsigned int i = 0; i < 5; i++) {
		take(scene, &host, false);
		assert_true(state_of(&host).generation >= last);
		assert_true(state_of(&host).next_generation >
			    state_of(&host).generation);
		last = state_of(&host).next_generation;
		end(scene, &host, i % 2);
	}
	assert_int_equal(begin(scene, &host), 0);
	assert_int_equal(state_of(&host).generation, last);
	end(scene, &host, true);
}

static void an_open_that_writes_nothing_raises_nothing(void **state)
{
	struct scene *scene = *state;
	uint64_t first;
	struct host host;

	make_host(scene, &host, 'a');
	assert_int_equal(begin(scene, &host), 0);
	first = state_of(&host).generation;
	assert_int_not_equal(first, 0);
	end(scene, &host, true);
	assert_int_equal(begin(scene, &host), 0);
	assert_int_equal(state_of(&host).generation, first);
	end(scene, &host, true);
}

static void a_marker_stands_until_a_close_in_order_without_data(void **state)
{
	struct scene *scene = *state;
	struct host host;

	make_host(scene, &host, 'a');
	take(scene, &host, true);
	assert_false(state_of(&host).marked);
	end(scene, &host, false);

	take(scene, &host, true);
	assert_true(state_of(&host).marked);
	end(scene, &host, true);

	take(scene, &host, false);
	assert_true(state_of(&host).marked);
	end(scene, &host, true);

	assert_int_equal(begin(scene, &host), 0);
	assert_false(state_of(&host).marked);
	end(scene, &host, true);
}

static void attach(struct scene *scene, struct host *host, const char *filters)
{
	assert_int_equal(claim_attach(&host->claim, filters, &scene->error), 0);
}

static void the_names_of_filters_stand_through_all_changes(void **state)
{
	struct scene *scene = *state;
	struct host host;

	make_host(scene, &host, 'a');
	assert_int_equal(begin(scene, &host), 0);
	assert_string_equal(claim_filters(&host.claim), "");
	attach(scene, &host, "count cache");
	/* Not durable yet, and not there without claim_take(). */
	end(scene, &host, false);
	assert_int_equal(begin(scene, &host), 0);
	assert_string_equal(claim_filters(&host.claim), "");
	attach(scene, &host, "count cache");
	assert_int_equal(claim_take(&host.claim, &scene->error), 0);
	end(scene, &host, false);

	take(scene, &host, true);
	assert_string_equal(claim_filters(&host.claim), "count cache");
	/* The claim is taken already: it is durable when this returns. */
	attach(scene, &host, "cache");
	end(scene, &host, false);
	take(scene, &host, false);
	assert_string_equal(claim_filters(&host.claim), "cache");
	end(scene, &host, true);
	assert_int_equal(begin(scene, &host), 0);
	assert_string_equal(claim_filters(&host.claim), "cache");
	end(scene, &host, true);
}

static void another_disk_begins_without_filters(void **state)
{
	struct scene *scene = *state;
	struct host host;

	make_host(scene, &host, 'a');
	assert_int_equal(begin(scene, &host), 0);
	attach(scene, &host, "cache");
	assert_int_equal(claim_take(&host.claim, &scene->error), 0);
	end(scene, &host, true);
	host.spec.disk_uuid[0] ^= 1;
	assert_int_equal(begin(scene, &host), 0);
	assert_string_equal(claim_filters(&host.claim), "");
	end(scene, &host, true);
}

static void a_store_that_failed_is_void_to_all_who_open_later(void **state)
{
	struct scene *scene = *state;
	struct host host;
	uint64_t first;

	make_host(scene, &host, 'a');
	take(scene, &host, true);
	first = state_of(&host).next_generation;
	assert_int_equal(state_of(&host).voided, 0);
	assert_int_equal(claim_void(&host.claim, false, &scene->error), 0);
	assert_true(state_of(&host).next_generation > first);
	/* Killed: it is known all the same. */
	end(scene, &host, false);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(begin(scene, &host), 0);
		assert_int_equal(state_of(&host).voided, first);
		assert_int_not_equal(state_of(&host).generation, first);
		assert_false(state_of(&host).marked);
		assert_int_equal(claim_hold(&host.claim, false, &scene->error),
				 0);
		assert_int_equal(claim_take(&host.claim, &scene->error), 0);
		end(scene, &host, true);
	}
}

static void a_store_that_lost_something_leaves_its_marker(void **state)
{
	struct scene *scene = *state;
	struct host host;

	make_host(scene, &host, 'a');
	take(scene, &host, true);
	assert_int_equal(claim_void(&host.claim, true, &scene->error), 0);
	end(scene, &host, true);
	assert_int_equal(begin(scene, &host), 0);
	assert_true(state_of(&host).marked);
	end(scene, &host, false);
}

static void nothing_is_void_without_a_sidecar(void **state)
{
	struct scene *scene = *state;
	struct host host;

	make_host(scene, &host, 'a');
	host.spec.folder = NULL;
	take(scene, &host, false);
	assert_int_equal(claim_void(&host.claim, false, &scene->error),
			 -ENOENT);
	/* Where nothing is ever written, nothing has to be said. */
	host.spec.read_only = true;
	assert_int_equal(claim_void(&host.claim, false, &scene->error), 0);
	host.spec.read_only = false;
	end(scene, &host, true);
}

static void another_hosts_marker_is_refused_by_its_name(void **state)
{
	struct scene *scene = *state;
	struct host here, there;

	make_host(scene, &here, 'a');
	make_host(scene, &there, 'b');
	take(scene, &here, true);
	end(scene, &here, false);
	assert_int_equal(begin(scene, &there), -ESTALE);
	assert_non_null(strstr(scene->error.message, "host anna"));
	end(scene, &there, false);
	/* A reader would read old data as well. */
	there.spec.read_only = true;
	assert_int_equal(begin(scene, &there), -ESTALE);
	end(scene, &there, false);
	/* Its own host goes on. */
	take(scene, &here, false);
	end(scene, &here, true);
	there.spec.read_only = false;
	take(scene, &there, false);
	end(scene, &there, true);
}

static void a_name_of_several_lines_is_one(void **state)
{
	struct scene *scene = *state;
	struct host here, there;

	make_host(scene, &here, 'a');
	make_host(scene, &there, 'b');
	here.spec.host_name = "anna\ngeneration 0";
	take(scene, &here, true);
	end(scene, &here, false);
	assert_int_equal(begin(scene, &there), -ESTALE);
	assert_int_not_equal(there.claim.found.generation, 0);
	assert_string_equal(there.claim.found.host_name, "anna?generation 0");
	end(scene, &there, false);
}

static void a_marker_needs_an_answer(void **state)
{
	struct scene *scene = *state;
	struct host host;

	make_host(scene, &host, 'a');
	take(scene, &host, true);
	end(scene, &host, false);
	assert_int_equal(begin(scene, &host), 0);
	assert_int_equal(claim_take(&host.claim, &scene->error), -ESTALE);
	assert_non_null(strstr(scene->error.message, "policy has no cache"));
	end(scene, &host, true);
	assert_int_equal(begin(scene, &host), 0);
	assert_true(state_of(&host).marked);
	end(scene, &host, true);
}

static void a_marker_can_be_given_up(void **state)
{
	struct claim_record record;
	struct scene *scene = *state;
	struct host here, there;

	make_host(scene, &here, 'a');
	make_host(scene, &there, 'b');
	take(scene, &here, true);
	assert_int_equal(claim_discard(folder, NULL, &record, &scene->error),
			 -EBUSY);
	end(scene, &here, false);
	assert_int_equal(claim_discard(folder, NULL, &record, &scene->error),
			 0);
	assert_true(record.marked);
	assert_string_equal(record.host_name, "anna");
	take(scene, &there, true);
	assert_int_not_equal(state_of(&there).generation,
			     here.claim.next_generation);
	end(scene, &there, true);
}

static void two_openers_do_not_share_it(void **state)
{
	struct scene *scene = *state;
	struct host here, there;

	make_host(scene, &here, 'a');
	make_host(scene, &there, 'b');
	take(scene, &here, false);
	/* Without the image's lock, as on a server that has none. */
	here.claim.sidecar.fd = dup(here.claim.sidecar.fd);
	assert_int_equal(begin(scene, &there), -EBUSY);
	sidecar_unlock(&here.claim.sidecar);
	assert_int_equal(begin(scene, &there), 0);
	fd_close(here.claim.sidecar.fd);
	end(scene, &there, true);
}

/* Closes in order, changes, and looks again. */
static struct claim_state after(struct scene *scene,
				void (*change)(struct scene *scene))
{
	struct claim_state found;
	struct host host;

	make_host(scene, &host, 'a');
	take(scene, &host, false);
	end(scene, &host, true);
	if (change)
		change(scene);
	assert_int_equal(begin(scene, &host), 0);
	found = state_of(&host);
	end(scene, &host, true);
	return found;
}

static void write_behind(struct scene *scene)
{
	_cleanup_fd_ int fd = open(scene->path, O_WRONLY);

	assert_int_equal(pwrite(fd, "x", 1, 4711), 1);
}

static void change_mode(struct scene *scene)
{
	assert_int_equal(chmod(scene->path, 0640), 0);
}

static void restore_older(struct scene *scene)
{
	char command[512];

	snprintf(command, sizeof(command), "cp -p %s %s.copy && mv %s.copy %s",
		 scene->path, scene->path, scene->path, scene->path);
	assert_int_equal(system(command), 0);
}

static void an_image_that_nobody_touched_is_as_it_was(void **state)
{
	assert_false(after(*state, NULL).changed);
}

static void a_write_behind_is_seen(void **state)
{
	struct claim_state found = after(*state, write_behind);

	assert_true(found.changed && found.rewritten);
}

static void other_rights_are_seen_and_no_new_contents(void **state)
{
	struct claim_state found = after(*state, change_mode);

	assert_true(found.changed && !found.rewritten);
}

static void an_older_copy_is_seen(void **state)
{
	struct claim_state found = after(*state, restore_older);

	assert_true(found.changed && found.rewritten);
}

/* Begins to grow the image, and is killed. */
static void grow_and_die(struct scene *scene)
{
	struct host host;

	make_host(scene, &host, 'a');
	assert_int_equal(begin(scene, &host), 0);
	assert_int_equal(claim_will_change(&host.claim, &scene->error), 0);
	assert_int_equal(truncate(scene->path, 64 << 20), 0);
	end(scene, &host, false);
}

static void write_behind_then_grow(struct scene *scene)
{
	write_behind(scene);
	grow_and_die(scene);
}

static void a_growth_of_ours_that_is_cut_short_is_nobody_elses(void **state)
{
	assert_false(after(*state, grow_and_die).changed);
}

static void a_write_behind_is_seen_past_a_growth(void **state)
{
	assert_true(after(*state, write_behind_then_grow).rewritten);
}

static void a_torn_slot_leaves_the_text_before(void **state)
{
	char text[SIDECAR_TEXT_BYTES];
	struct sidecar sidecar;
	struct scene *scene = *state;
	struct host host;

	make_host(scene, &host, 'a');
	sidecar_forget();
	assert_int_equal(
		sidecar_open(folder, NULL, true, &sidecar, &scene->error), 0);
	assert_int_equal(sidecar_read(&sidecar, text, &scene->error), 0);
	assert_string_equal(text, "");
	sidecar_write(&sidecar, "first\n", &scene->error);
	sidecar_write(&sidecar, "second\n", &scene->error);
	assert_int_equal(sidecar_read(&sidecar, text, &scene->error), 0);
	assert_string_equal(text, "second\n");
	/* The second one went into slot 0. */
	assert_int_equal(pwrite(sidecar.fd, "S", 1, 69), 1);
	assert_int_equal(sidecar_read(&sidecar, text, &scene->error), 0);
	assert_string_equal(text, "first\n");
	assert_int_equal(pwrite(sidecar.fd, "F", 1, SIDECAR_SLOT_BYTES + 69),
			 1);
	assert_int_equal(sidecar_read(&sidecar, text, &scene->error), -EUCLEAN);
}

static void the_longest_text_fits_and_no_longer_one(void **state)
{
	char text[SIDECAR_TEXT_BYTES + 1], back[SIDECAR_TEXT_BYTES];
	struct sidecar sidecar;
	struct scene *scene = *state;
	struct host host;

	make_host(scene, &host, 'a');
	sidecar_forget();
	assert_int_equal(
		sidecar_open(folder, NULL, true, &sidecar, &scene->error), 0);
	memset(text, 'x', sizeof(text));
	text[SIDECAR_TEXT_BYTES - 1] = '\0';
	assert_int_equal(sidecar_write(&sidecar, text, &scene->error), 0);
	assert_int_equal(sidecar_read(&sidecar, back, &scene->error), 0);
	assert_string_equal(text, back);
	text[SIDECAR_TEXT_BYTES - 1] = 'x';
	text[SIDECAR_TEXT_BYTES] = '\0';
	assert_int_equal(sidecar_write(&sidecar, text, &scene->error),
			 -EMSGSIZE);
}

static void a_record_is_read_as_it_was_written(void **state)
{
	struct claim_record record = {
		.generation = 0x1234567890abcdefull,
		.marked = true,
		.host_name = "a host",
		.epoch = 7,
		.marked_generation = 0xffffffffffffffffull,
		.voided = 0xfedcba0987654321ull,
		.closed = {true, 1, 2, 3, 4},
	};
	struct claim_record back;
	char text[SIDECAR_TEXT_BYTES];

	(void)state;
	memset(record.disk_uuid, 1, 16);
	memset(record.host_uuid, 2, 16);
	claim_format(&record, text);
	assert_int_equal(claim_parse(text, &back), 0);
	assert_memory_equal(&back, &record, sizeof(back));
	snprintf(text + strlen(text), sizeof(text) - strlen(text),
		 "later word\n");
	assert_int_equal(claim_parse(text, &back), 0);
	assert_int_equal(claim_parse("marker host x epoch 1", &back), -EUCLEAN);
	assert_int_equal(claim_parse("closed inode", &back), -EUCLEAN);
	assert_int_equal(claim_parse("generation x", &back), -EUCLEAN);
	assert_int_equal(claim_parse("void x", &back), -EUCLEAN);
}

static void what_cannot_be_made_is_told_when_it_is_needed(void **state)
{
	struct scene *scene = *state;
	struct host host;

	make_host(scene, &host, 'a');
	snprintf(folder, sizeof(folder), "%s/no/such/place", scene->directory);
	assert_int_equal(begin(scene, &host), 0);
	assert_false(state_of(&host).told);
	assert_int_equal(claim_take(&host.claim, &scene->error), 0);
	assert_int_equal(claim_hold(&host.claim, true, &scene->error), -ENOENT);
	assert_non_null(strstr(scene->error.message, "--sidecar"));
	end(scene, &host, true);
}

static void it_goes_with_the_image(void **state)
{
	struct scene *scene = *state;
	struct host host;

	make_host(scene, &host, 'a');
	take(scene, &host, false);
	end(scene, &host, true);
	assert_int_equal(access(folder, F_OK), 0);
	assert_int_equal(backend_delete(scene->uri, &scene->error), 0);
	assert_int_equal(access(folder, F_OK), -1);
}

static int finish(void **state)
{
	struct scene *scene = *state;
	char command[512];

	sidecar_forget();
	snprintf(command, sizeof(command), "rm -rf %s.forebay", scene->path);
	assert_int_equal(system(command), 0);
	return scene_end(state);
}

#define CLAIM_TEST(name) \
	cmocka_unit_test_setup_teardown(name, scene_begin, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM_TEST(each_open_raises_the_generation),
		CLAIM_TEST(an_open_that_writes_nothing_raises_nothing),
		CLAIM_TEST(a_marker_stands_until_a_close_in_order_without_data),
		CLAIM_TEST(the_names_of_filters_stand_through_all_changes),
		CLAIM_TEST(another_disk_begins_without_filters),
		CLAIM_TEST(a_store_that_failed_is_void_to_all_who_open_later),
		CLAIM_TEST(a_store_that_lost_something_leaves_its_marker),
		CLAIM_TEST(nothing_is_void_without_a_sidecar),
		CLAIM_TEST(another_hosts_marker_is_refused_by_its_name),
		CLAIM_TEST(a_name_of_several_lines_is_one),
		CLAIM_TEST(a_marker_needs_an_answer),
		CLAIM_TEST(a_marker_can_be_given_up),
		CLAIM_TEST(two_openers_do_not_share_it),
		CLAIM_TEST(an_image_that_nobody_touched_is_as_it_was),
		CLAIM_TEST(a_write_behind_is_seen),
		CLAIM_TEST(other_rights_are_seen_and_no_new_contents),
		CLAIM_TEST(an_older_copy_is_seen),
		CLAIM_TEST(a_growth_of_ours_that_is_cut_short_is_nobody_elses),
		CLAIM_TEST(a_write_behind_is_seen_past_a_growth),
		CLAIM_TEST(a_torn_slot_leaves_the_text_before),
		CLAIM_TEST(the_longest_text_fits_and_no_longer_one),
		CLAIM_TEST(a_record_is_read_as_it_was_written),
		CLAIM_TEST(what_cannot_be_made_is_told_when_it_is_needed),
		CLAIM_TEST(it_goes_with_the_image),
	};

	return cmocka_run_group_tests_name("backend: claim", tests, NULL, NULL);
}
