/* SPDX-License-Identifier: Apache-2.0 */
/*
 * routes.c - the table, and the thin layer between it and the objects.
 *
 * Request threads.
 */
#include "routes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "advice.h"
#include "disk.h"
#include "disk_hold.h"
#include "disk_view.h"
#include "exposition.h"
#include "filter_use.h"
#include "gate.h"
#include "history.h"
#include "host_status.h"
#include "libvirt_xml.h"
#include "metrics.h"
#include "policy.h"
#include "pool.h"
#include "trusted_keys.h"

/* -- matching ----------------------------------------------------------- */

/* Whether @path is @pattern, with one segment in the place of {name}. */
static bool matches(const char *pattern, const char *path, char *ret_object)
{
	const char *open = strchr(pattern, '{');
	const char *close = open ? strchr(open, '}') : NULL;
	size_t before, length;

	if (!open)
		return strcmp(pattern, path) == 0;
	before = (size_t)(open - pattern);
	if (strncmp(pattern, path, before) != 0)
		return false;
	path += before;
	length = strcspn(path, "/");
	if (length == 0 || length > 255 ||
	    strcmp(close + 1, path + length) != 0)
		return false;
	memcpy(ret_object, path, length);
	ret_object[length] = '\0';
	return true;
}

int route_find(const char *method, const char *path,
	       const struct route **ret_route, char ret_object[256],
	       char ret_allowed[ROUTE_METHODS_BYTES], struct problem *problem)
{
	ret_allowed[0] = '\0';
	ret_object[0] = '\0';
	for (const struct route *route = routes; route->method; route++) {
		size_t length = strlen(ret_allowed);

		if (!matches(route->path, path, ret_object))
			continue;
		if (strcmp(route->method, method) == 0) {
			*ret_route = route;
			return 0;
		}
		snprintf(ret_allowed + length, ROUTE_METHODS_BYTES - length,
			 "%s%s", length > 0 ? ", " : "", route->method);
	}
	if (ret_allowed[0]) {
		problem_set(problem, PROBLEM_METHOD_NOT_ALLOWED,
			    "%.120s has no method %.20s", path, method);
		return problem_hint(problem, "it has: %s", ret_allowed);
	}
	return problem_set(problem, PROBLEM_NO_SUCH_ROUTE,
			   "the API has no %.120s", path);
}

/* -- answers ------------------------------------------------------------ */

static int give_list(struct route_answer *answer, json_t *items)
{
	answer->document = json_pack("{s:o}", "items", items);
	return 0;
}

/* A verb on a disk is answered with the disk as it is then. */
static int give_disk(const struct route_request *request, bool done,
		     struct route_answer *answer, struct problem *problem)
{
	answer->status = done ? 200 : 202;
	return disk_view_one(request->agent, request->object, &answer->document,
			     problem);
}

/* What an operator asked of a disk, and what came of it. */
static void note(const struct route_request *request, const char *kind,
		 int result, const struct problem *problem)
{
	history_note(request->agent, request->object, kind, result, problem,
		     NULL);
}

static int status_get(const struct route_request *request,
		      struct route_answer *answer, struct problem *problem)
{
	return host_status(request->agent, &answer->document, problem);
}

static int pools_get(const struct route_request *request,
		     struct route_answer *answer, struct problem *problem)
{
	json_t *items;
	int result = pool_list(request->agent, &items, problem);

	return result < 0 ? result : give_list(answer, items);
}

static int pools_post(const struct route_request *request,
		      struct route_answer *answer, struct problem *problem)
{
	answer->status = 201;
	return pool_create(request->agent, request->body, &answer->document,
			   problem);
}

static int pool_get(const struct route_request *request,
		    struct route_answer *answer, struct problem *problem)
{
	return pool_show(request->agent, request->object, &answer->document,
			 problem);
}

static int policies_get(const struct route_request *request,
			struct route_answer *answer, struct problem *problem)
{
	json_t *items;
	int result = policy_list(request->agent, &items, problem);

	return result < 0 ? result : give_list(answer, items);
}

static int policies_post(const struct route_request *request,
			 struct route_answer *answer, struct problem *problem)
{
	answer->status = 201;
	return policy_create(request->agent, request->body, &answer->document,
			     problem);
}

static int policy_get(const struct route_request *request,
		      struct route_answer *answer, struct problem *problem)
{
	return policy_show(request->agent, request->object, &answer->document,
			   problem);
}

static int policy_post_update(const struct route_request *request,
			      struct route_answer *answer,
			      struct problem *problem)
{
	return policy_update(request->agent, request->object, request->body,
			     &answer->document, problem);
}

static int filters_get(const struct route_request *request,
		       struct route_answer *answer, struct problem *problem)
{
	json_t *items;
	int result = filters_list(request->agent->filters, &items, problem);

	if (result < 0)
		return result;
	give_list(answer, items);
	return filter_use_add(request->agent, items, problem);
}

static int filters_post(const struct route_request *request,
			struct route_answer *answer, struct problem *problem)
{
	answer->status = 201;
	return filter_install(request->agent, request->upload_fd,
			      &answer->document, problem);
}

static int filter_remove(const struct route_request *request,
			 struct route_answer *answer, struct problem *problem)
{
	return filter_uninstall(request->agent, request->object,
				&answer->document, problem);
}

static int keys_get(const struct route_request *request,
		    struct route_answer *answer, struct problem *problem)
{
	json_t *items;
	int result = trusted_keys_list(&request->agent->host, &items, problem);

	return result < 0 ? result : give_list(answer, items);
}

static int keys_post(const struct route_request *request,
		     struct route_answer *answer, struct problem *problem)
{
	int result = trusted_keys_add(&request->agent->host, request->body,
				      &answer->document, problem);

	answer->status = 201;
	filters_forget(request->agent->filters);
	return result;
}

static int key_remove(const struct route_request *request,
		      struct route_answer *answer, struct problem *problem)
{
	int result = trusted_keys_remove(&request->agent->host, request->object,
					 &answer->document, problem);

	filters_forget(request->agent->filters);
	return result;
}

static int filter_get(const struct route_request *request,
		      struct route_answer *answer, struct problem *problem)
{
	return filters_show(request->agent->filters, request->object,
			    &answer->document, problem);
}

static int disks_get(const struct route_request *request,
		     struct route_answer *answer, struct problem *problem)
{
	json_t *items;
	int result = disk_view_all(request->agent, &items, problem);

	return result < 0 ? result : give_list(answer, items);
}

static int disks_post(const struct route_request *request,
		      struct route_answer *answer, struct problem *problem)
{
	int result = disk_create(request->agent, request->body,
				 &answer->document, problem);

	answer->status = 201;
	if (result == 0)
		history_note(request->agent,
			     json_string_value(
				     json_object_get(answer->document, "id")),
			     "create", 0, problem, NULL);
	return result;
}

static int disk_get(const struct route_request *request,
		    struct route_answer *answer, struct problem *problem)
{
	return disk_view_one(request->agent, request->object, &answer->document,
			     problem);
}

/* A parameter of the request; false without it. */
static int query_flag(const struct route_request *request,
		      const char *parameter, bool *ret_value,
		      struct problem *problem)
{
	return gate_flag(parameter, request->query(request, parameter),
			 ret_value, problem);
}

static int disk_remove(const struct route_request *request,
		       struct route_answer *answer, struct problem *problem)
{
	struct disk_delete_options options = {0};
	int result;

	result = query_flag(request, "delete_backend", &options.delete_backend,
			    problem);
	if (result == 0)
		result = query_flag(request, "discard_dirty",
				    &options.discard_dirty, problem);
	if (result < 0)
		return result;
	return disk_delete(request->agent, request->object, &options,
			   &answer->document, problem);
}

static json_t *discarded_document(const struct disk_open_answer *opened)
{
	const char *host = opened->discarded_host;

	return json_pack(
		"{s:o, s:s?}", "dirty_bytes_at_most",
		opened->discarded_bytes == UINT64_MAX
			? json_null()
			: json_integer((json_int_t)opened->discarded_bytes),
		"marker_of_host", host[0] ? host : NULL);
}

static int disk_post_open(const struct route_request *request,
			  struct route_answer *answer, struct problem *problem)
{
	struct disk_open_options options = {0};
	struct disk_open_answer opened = {0};
	int result =
		query_flag(request, "incoming", &options.incoming, problem);

	if (result == 0)
		result = query_flag(request, "drop_clean", &options.drop_clean,
				    problem);
	if (result == 0)
		result = query_flag(request, "discard_dirty",
				    &options.discard_dirty, problem);
	if (result == 0)
		result = disk_open(request->agent, request->object, &options,
				   &opened, problem);
	note(request, "open", result, problem);
	if (result == 0)
		result = give_disk(request, opened.done, answer, problem);
	if (result == 0 && opened.discarded)
		json_object_set_new(answer->document, "discarded",
				    discarded_document(&opened));
	return result;
}

static int disk_post_restart(const struct route_request *request,
			     struct route_answer *answer,
			     struct problem *problem)
{
	uint64_t stall_ns = 0;
	bool done;
	int result = disk_restart(request->agent, request->object, &done,
				  &stall_ns, problem);

	note(request, "restart", result, problem);
	if (result == 0)
		result = give_disk(request, done, answer, problem);
	if (result == 0 && done)
		json_object_set_new(answer->document, "stall_ns",
				    json_integer((json_int_t)stall_ns));
	return result;
}

static int disk_post_resize(const struct route_request *request,
			    struct route_answer *answer,
			    struct problem *problem)
{
	bool done;
	int result = disk_resize(request->agent, request->object, request->body,
				 &done, problem);

	note(request, "resize", result, problem);
	return result < 0 ? result : give_disk(request, done, answer, problem);
}

static int disk_post_close(const struct route_request *request,
			   struct route_answer *answer, struct problem *problem)
{
	bool background = false, done = false;
	int result = query_flag(request, "background", &background, problem);

	if (result == 0)
		result = disk_close(request->agent, request->object, background,
				    &done, problem);
	note(request, "close", result, problem);
	return result < 0 ? result : give_disk(request, done, answer, problem);
}

static int disk_post_flush(const struct route_request *request,
			   struct route_answer *answer, struct problem *problem)
{
	bool done;
	int result =
		disk_flush(request->agent, request->object, &done, problem);

	return result < 0 ? result : give_disk(request, done, answer, problem);
}

static int disk_post_hold(const struct route_request *request,
			  struct route_answer *answer, struct problem *problem)
{
	int result = disk_hold(request->agent, request->object, request->body,
			       problem);

	note(request, "hold", result, problem);
	return result < 0 ? result : give_disk(request, false, answer, problem);
}

static int disk_post_release(const struct route_request *request,
			     struct route_answer *answer,
			     struct problem *problem)
{
	int result = disk_release(request->agent, request->object, problem);

	note(request, "release", result, problem);
	return result < 0 ? result : give_disk(request, true, answer, problem);
}

static int disk_post_notify(const struct route_request *request,
			    struct route_answer *answer,
			    struct problem *problem)
{
	int result = disk_notify(request->agent, request->object, request->body,
				 problem);

	return result < 0 ? result : give_disk(request, true, answer, problem);
}

static int disk_get_history(const struct route_request *request,
			    struct route_answer *answer,
			    struct problem *problem)
{
	return history_show(request->agent, request->object, &answer->document,
			    problem);
}

static int disk_get_stats(const struct route_request *request,
			  struct route_answer *answer, struct problem *problem)
{
	return disk_stats(request->agent, request->object, &answer->document,
			  problem);
}

/* All of them, or the one that the parameter names. */
static int disk_get_filters(const struct route_request *request,
			    struct route_answer *answer,
			    struct problem *problem)
{
	const char *wanted = request->query(request, "filter");
	json_auto_t *stats = NULL;
	json_t *items = json_array();
	json_t *filter;
	size_t index;
	int result =
		disk_stats(request->agent, request->object, &stats, problem);

	json_array_foreach(json_object_get(stats, "filters"), index, filter)
	{
		const char *name =
			json_string_value(json_object_get(filter, "name"));

		if (!wanted || (name && strcmp(name, wanted) == 0))
			json_array_append(items, filter);
	}
	if (result == 0 && (!wanted || json_array_size(items) > 0))
		return give_list(answer, items);
	json_decref(items);
	if (result < 0)
		return result;
	problem_set(problem, PROBLEM_UNKNOWN_FILTER,
		    "disk %s has no filter '%.64s'", request->object, wanted);
	return problem_about(problem, "disk", request->object);
}

static int disk_post_call(const struct route_request *request,
			  struct route_answer *answer, struct problem *problem)
{
	return disk_call(request->agent, request->object, request->body,
			 &answer->document, problem);
}

static int disk_get_advice(const struct route_request *request,
			   struct route_answer *answer, struct problem *problem)
{
	return advice_show(request->agent, request->object, &answer->document,
			   problem);
}

static int disk_get_xml(const struct route_request *request,
			struct route_answer *answer, struct problem *problem)
{
	json_auto_t *disk = NULL;
	int result =
		disk_view_one(request->agent, request->object, &disk, problem);

	if (result < 0)
		return result;
	answer->text_type = "text/xml";
	return libvirt_xml_render(disk, request->query(request, "export"),
				  request->query(request, "target"),
				  &answer->text, problem);
}

static int metrics_get(const struct route_request *request,
		       struct route_answer *answer, struct problem *problem)
{
	answer->text_type = EXPOSITION_TYPE;
	return metrics_render(request->agent, &answer->text, problem);
}

/* That this is answered is what it says. */
static int healthz_get(const struct route_request *request,
		       struct route_answer *answer, struct problem *problem)
{
	(void)request;
	answer->text_type = "text/plain";
	answer->text = strdup("ok\n");
	return answer->text ? 0 : problem_internal(problem, "healthz", -ENOMEM);
}

const struct route routes[] = {
	{"GET", "/healthz", healthz_get, false},
	{"GET", "/metrics", metrics_get, false},
	{"GET", "/v1/status", status_get, false},
	{"GET", "/v1/pools", pools_get, false},
	{"POST", "/v1/pools", pools_post, true},
	{"GET", "/v1/pools/{pool}", pool_get, false},
	{"GET", "/v1/policies", policies_get, false},
	{"POST", "/v1/policies", policies_post, true},
	{"GET", "/v1/policies/{policy}", policy_get, false},
	{"POST", "/v1/policies/{policy}/update", policy_post_update, true},
	{"GET", "/v1/filters", filters_get, false},
	{"POST", "/v1/filters", filters_post, false, .takes_file = true},
	{"GET", "/v1/filters/{filter}", filter_get, false},
	{"DELETE", "/v1/filters/{filter}", filter_remove, false},
	{"GET", "/v1/trusted-keys", keys_get, false},
	{"POST", "/v1/trusted-keys", keys_post, true},
	{"DELETE", "/v1/trusted-keys/{key}", key_remove, false},
	{"GET", "/v1/disks", disks_get, false},
	{"POST", "/v1/disks", disks_post, true},
	{"GET", "/v1/disks/{disk}", disk_get, false},
	{"DELETE", "/v1/disks/{disk}", disk_remove, false},
	{"POST", "/v1/disks/{disk}/open", disk_post_open, false},
	{"POST", "/v1/disks/{disk}/close", disk_post_close, false},
	{"POST", "/v1/disks/{disk}/flush", disk_post_flush, false},
	{"POST", "/v1/disks/{disk}/hold", disk_post_hold, true},
	{"POST", "/v1/disks/{disk}/release", disk_post_release, false},
	{"POST", "/v1/disks/{disk}/restart", disk_post_restart, false},
	{"POST", "/v1/disks/{disk}/resize", disk_post_resize, true},
	{"POST", "/v1/disks/{disk}/notify", disk_post_notify, true},
	{"GET", "/v1/disks/{disk}/history", disk_get_history, false},
	{"GET", "/v1/disks/{disk}/stats", disk_get_stats, false},
	{"GET", "/v1/disks/{disk}/filters", disk_get_filters, false},
	{"POST", "/v1/disks/{disk}/call", disk_post_call, true},
	{"GET", "/v1/disks/{disk}/advice", disk_get_advice, false},
	{"GET", "/v1/disks/{disk}/xml", disk_get_xml, false},
	{NULL, NULL, NULL, false},
};
