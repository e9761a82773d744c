/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.c - makes and shows pools.
 *
 * Request threads. A pool is in the store before forebay-cached learns of it,
 * and taken out again if that refuses: at any instant, what forebay-cached has
 * is what the store has, or about to be.
 */
#include "pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "data_plane.h"
#include "documents.h"
#include "gate.h"
#include "pool_directory.h"

#define CACHED_START_TIMEOUT_NS (10 * NS_PER_SECOND)
#define CACHED_CALL_TIMEOUT_NS (10 * NS_PER_SECOND)
/* Who only looks doesn't wait long for what is nice to know. */
#define CACHED_STATS_TIMEOUT_NS (2 * NS_PER_SECOND)

/* The request's paths, checked, without links. */
struct paths {
	char *items[GATE_LIST_MAX];
	size_t count;
};

static void paths_free(struct paths *paths)
{
	for (size_t i = 0; i < paths->count; i++)
		free(paths->items[i]);
}

static int refuse_used(struct problem *problem, const char *path,
		       const char *user)
{
	problem_set(problem, PROBLEM_PATH_IN_USE, "directory %s %s", path,
		    user);
	problem_about(problem, "directory", path);
	return problem_hint(problem, "give another directory");
}

static int check_paths(const json_t *list, struct paths *paths,
		       struct problem *problem)
{
	const json_t *item;
	size_t index;

	json_array_foreach(list, index, item)
	{
		char *path;
		int result;

		if (!json_is_string(item))
			return problem_set(problem, PROBLEM_BAD_REQUEST,
					   "member \"paths\" must be a list of "
					   "strings");
		result = pool_directory_check(json_string_value(item), &path,
					      problem);
		if (result < 0)
			return result;
		paths->items[paths->count++] = path;
		for (size_t i = 0; i + 1 < paths->count; i++) {
			if (strcmp(paths->items[i], path) == 0)
				return refuse_used(problem, path,
						   "is named twice");
		}
	}
	return 0;
}

static int refuse_name(struct problem *problem, const char *name)
{
	problem_set(problem, PROBLEM_POOL_EXISTS, "there is a pool %s already",
		    name);
	problem_about(problem, "pool", name);
	return problem_hint(problem, "choose another name");
}

/* Why the transaction found something there already. */
static int explain_conflict(struct agent *agent, const char *name,
			    const struct paths *paths, struct problem *problem)
{
	for (size_t i = 0; i < paths->count; i++) {
		json_auto_t *owner = NULL;
		char user[128];

		if (documents_get(agent->store, &owner, NULL, "pool-paths/%s",
				  paths->items[i]) < 0)
			continue;
		snprintf(user, sizeof(user), "belongs to pool %s already",
			 json_string_value(json_object_get(owner, "pool")));
		return refuse_used(problem, paths->items[i], user);
	}
	return refuse_name(problem, name);
}

static json_t *path_array(const struct paths *paths)
{
	json_t *array = json_array();

	for (size_t i = 0; i < paths->count; i++)
		json_array_append_new(array, json_string(paths->items[i]));
	return array;
}

static int record(struct agent *agent, const char *name,
		  const struct paths *paths, struct problem *problem)
{
	struct documents_txn txn = {0};
	int result;

	documents_expect(&txn, 0, "pools/%s", name);
	documents_put(&txn,
		      json_pack("{s:s, s:o}", "name", name, "paths",
				path_array(paths)),
		      "pools/%s", name);
	for (size_t i = 0; i < paths->count; i++) {
		documents_expect(&txn, 0, "pool-paths/%s", paths->items[i]);
		documents_put(&txn, json_pack("{s:s}", "pool", name),
			      "pool-paths/%s", paths->items[i]);
	}
	result = documents_commit(agent->store, &txn);
	if (result == -ESTALE)
		return explain_conflict(agent, name, paths, problem);
	if (result < 0)
		return problem_internal(problem, "store", result);
	return 0;
}

static bool is_up(struct agent *agent)
{
	struct unit unit = {0};

	supervisor_look(agent->supervisor, AGENT_CACHED, &unit);
	return unit.state == UNIT_UP;
}

static int wait_for_cached(struct agent *agent, struct problem *problem)
{
	struct unit unit = {0};
	int result = supervisor_wait(agent->supervisor, AGENT_CACHED,
				     CACHED_START_TIMEOUT_NS, &unit);

	if (result == -ECANCELED)
		return problem_set(problem, PROBLEM_STOPPING,
				   "forebayd is stopping");
	if (result == 0 && unit.state == UNIT_UP)
		return 0;
	problem_set(problem, PROBLEM_DATA_PLANE_DOWN,
		    "forebay-cached is not running: %s",
		    unit.reason[0] ? unit.reason : "it is still starting");
	return problem_hint(problem, "see cached.log in %s", agent->host.log);
}

/* One message to forebay-cached with @pools. */
static int send_pools(struct agent *agent, json_t *pools,
		      struct problem *problem)
{
	struct host_path socket = host_run(&agent->host, "cached-control.sock");
	json_auto_t *parameters = json_pack("{s:O}", "pools", pools);
	struct data_plane_call call = {
		.socket_path = socket.text,
		.method = "pools",
		.parameters = parameters,
	};

	data_plane_call_all(&call, 1, CACHED_CALL_TIMEOUT_NS, agent->stop_fd);
	json_decref(call.result);
	if (call.status == 0)
		return 0;
	if (call.status == -ECANCELED)
		return problem_set(problem, PROBLEM_STOPPING,
				   "forebayd is stopping");
	if (call.status == -ETIMEDOUT)
		return problem_set(problem, PROBLEM_DATA_PLANE_TIMEOUT,
				   "forebay-cached does not answer");
	return problem_set(problem, PROBLEM_POOL_REFUSED, "%s",
			   call.error.message);
}

static int send_all(struct agent *agent, struct problem *problem)
{
	json_auto_t *sent = NULL, *pools = NULL;
	int result;

	/*
	 * Two of these may run at once. Who has sent something looks again:
	 * whoever sends last has sent what was in the store after that.
	 */
	for (;;) {
		json_decref(pools);
		pools = NULL;
		result = documents_list(agent->store, "pools/", &pools);
		if (result < 0)
			return problem_internal(problem, "store", result);
		if (sent && json_equal(sent, pools))
			return 0;
		result = send_pools(agent, pools, problem);
		if (result < 0)
			return result;
		json_decref(sent);
		sent = json_incref(pools);
	}
}

int pool_publish(struct agent *agent, struct problem *problem)
{
	int result = wait_for_cached(agent, problem);

	return result < 0 ? result : send_all(agent, problem);
}

static void unrecord(struct agent *agent, const char *name,
		     const struct paths *paths)
{
	json_auto_t *left = NULL;
	struct documents_txn txn = {0};
	struct problem ignored;

	documents_delete(&txn, "pools/%s", name);
	for (size_t i = 0; i < paths->count; i++)
		documents_delete(&txn, "pool-paths/%s", paths->items[i]);
	if (documents_commit(agent->store, &txn) < 0 ||
	    documents_list(agent->store, "pools/", &left) < 0)
		return;
	if (is_up(agent))
		send_all(agent, &ignored);
	if (json_array_size(left) == 0)
		supervisor_want_down(agent->supervisor, AGENT_CACHED);
}

static int create_checked(struct agent *agent, const char *name,
			  const struct paths *paths, struct problem *problem)
{
	int result = record(agent, name, paths, problem);

	if (result < 0)
		return result;
	supervisor_want_up(agent->supervisor, AGENT_CACHED, true);
	result = pool_publish(agent, problem);
	if (result < 0) {
		struct problem why = *problem;

		unrecord(agent, name, paths);
		*problem = why;
		problem_about(problem, "pool", name);
	}
	return result;
}

int pool_create(struct agent *agent, const json_t *body, json_t **ret_pool,
		struct problem *problem)
{
	static const char *const members[] = {"name", "paths", NULL};
	struct paths paths = {0};
	const json_t *list;
	const char *name;
	int result;

	result = gate_object(body, members, problem);
	if (result == 0)
		result = gate_name(body, "pool", &name, problem);
	if (result == 0)
		result = gate_list(body, "paths", true, &list, problem);
	if (result < 0)
		return result;
	if (documents_has(agent->store, "pools/%s", name))
		return refuse_name(problem, name);
	result = check_paths(list, &paths, problem);
	if (result == 0)
		result = create_checked(agent, name, &paths, problem);
	paths_free(&paths);
	return result < 0 ? result : pool_show(agent, name, ret_pool, problem);
}

/* What forebay-cached says of @path, or NULL. */
static const json_t *stats_of(const json_t *stats, const char *path)
{
	const json_t *pool, *directory;
	size_t i, j;

	json_array_foreach(json_object_get(stats, "pools"), i, pool)
	{
		json_array_foreach(json_object_get(pool, "paths"), j, directory)
		{
			const char *its = json_string_value(
				json_object_get(directory, "path"));

			if (its && strcmp(its, path) == 0)
				return directory;
		}
	}
	return NULL;
}

static json_t *name_of(struct agent *agent, const json_t *id)
{
	json_auto_t *disk = NULL;
	json_t *name = NULL;

	if (documents_get(agent->store, &disk, NULL, "disks/%s",
			  json_string_value(id)) == 0)
		name = json_object_get(disk, "name");
	return json_incref(name ? name : (json_t *)id);
}

/* What each disk has there, in the words of forebay-cached. */
static json_t *shares_of(struct agent *agent, const json_t *known)
{
	static const char *const members[] = {
		"state",	   "reserved_bytes", "granted_bytes",
		"allocated_bytes", "used_bytes",     "limit_bytes",
	};
	json_t *shares = json_array();
	const json_t *share;
	size_t index;

	json_array_foreach(known, index, share)
	{
		json_t *view = json_pack(
			"{s:o}", "disk",
			name_of(agent, json_object_get(share, "uuid")));

		for (size_t i = 0; i < sizeof(members) / sizeof(members[0]);
		     i++)
			json_object_set(view, members[i],
					json_object_get(share, members[i]));
		json_array_append_new(shares, view);
	}
	return shares;
}

/* Names in place of ids; an id whose disk is gone stays one. */
static json_t *names_of(struct agent *agent, const json_t *ids)
{
	json_t *names = json_array();
	const json_t *id;
	size_t index;

	json_array_foreach(ids, index, id)
		json_array_append_new(names, name_of(agent, id));
	return names;
}

static json_t *view_path(struct agent *agent, const json_t *stats,
			 const char *path)
{
	const json_t *known = stats_of(stats, path);
	const json_t *reason = json_object_get(known, "reason");
	struct pool_directory_space space;
	const json_t *granted;
	json_t *view;

	/* What is left of a directory whose file system is away says nothing.
	 */
	if (json_is_string(reason) || pool_directory_space(path, &space) < 0)
		view = json_pack("{s:s, s:n, s:n}", "path", path, "size_bytes",
				 "free_bytes");
	else
		view = json_pack("{s:s, s:I, s:I}", "path", path, "size_bytes",
				 (json_int_t)space.size_bytes, "free_bytes",
				 (json_int_t)space.free_bytes);
	granted = json_object_get(known, "file_bytes");
	json_object_set_new(view, "granted_bytes",
			    json_is_integer(granted) ? json_deep_copy(granted)
						     : json_null());
	json_object_set_new(view, "reason",
			    json_is_string(reason) ? json_deep_copy(reason)
						   : json_null());
	/* What a disk may have is agreed with its process, and not enforced. */
	json_object_set_new(view, "isolation", json_string("soft"));
	json_object_set_new(
		view, "disks",
		known ? names_of(agent, json_object_get(known, "disks"))
		      : json_null());
	json_object_set_new(
		view, "shares",
		known ? shares_of(agent, json_object_get(known, "shares"))
		      : json_null());
	return view;
}

/* Returns: what forebay-cached knows of the directories, or NULL. */
static json_t *ask_cached(struct agent *agent)
{
	struct host_path socket = host_run(&agent->host, "cached-control.sock");
	struct data_plane_call call = {
		.socket_path = socket.text,
		.method = "pool-stats",
	};

	data_plane_call_all(&call, 1, CACHED_STATS_TIMEOUT_NS, agent->stop_fd);
	return call.status == 0 ? call.result : NULL;
}

/* The document as the API shows it. */
static json_t *view(struct agent *agent, const json_t *stats,
		    const json_t *document)
{
	json_t *paths = json_array();
	bool ready = is_up(agent);
	const json_t *path;
	size_t index;

	json_array_foreach(json_object_get(document, "paths"), index, path)
		json_array_append_new(
			paths,
			view_path(agent, stats, json_string_value(path)));
	return json_pack("{s:O, s:s, s:s?, s:o}", "name",
			 json_object_get(document, "name"), "state",
			 ready ? "ready" : "pending", "reason",
			 ready ? NULL : "forebay-cached is not running",
			 "paths", paths);
}

int pool_show(struct agent *agent, const char *name, json_t **ret_pool,
	      struct problem *problem)
{
	json_auto_t *document = NULL, *stats = NULL;
	int result =
		documents_get(agent->store, &document, NULL, "pools/%s", name);

	if (result == -ENOENT) {
		problem_set(problem, PROBLEM_NO_SUCH_POOL,
			    "there is no pool %.80s", name);
		return problem_about(problem, "pool", name);
	}
	if (result < 0)
		return problem_internal(problem, "store", result);
	stats = ask_cached(agent);
	*ret_pool = view(agent, stats, document);
	return 0;
}

int pool_list(struct agent *agent, json_t **ret_pools, struct problem *problem)
{
	json_auto_t *documents = NULL, *stats = NULL;
	const json_t *document;
	json_t *pools;
	size_t index;
	int result = documents_list(agent->store, "pools/", &documents);

	if (result < 0)
		return problem_internal(problem, "store", result);
	if (json_array_size(documents) > 0)
		stats = ask_cached(agent);
	pools = json_array();
	json_array_foreach(documents, index, document)
		json_array_append_new(pools, view(agent, stats, document));
	*ret_pools = pools;
	return 0;
}

bool pool_is_any(struct agent *agent)
{
	json_auto_t *pools = NULL;

	/* When in doubt: then forebay-cached is asked, and says more. */
	return documents_list(agent->store, "pools/", &pools) < 0 ||
	       json_array_size(pools) > 0;
}
