/* SPDX-License-Identifier: Apache-2.0 */
/*
 * routes.h - which method on which path does what.
 *
 * The table is what api/openapi.yaml says; a test compares them. HTTP is
 * elsewhere (rest.h): here a request is words and a JSON document.
 */
#ifndef FOREBAY_AGENT_ROUTES_H
#define FOREBAY_AGENT_ROUTES_H

#include <jansson.h>

#include "agent.h"
#include "problem.h"

#define ROUTE_METHODS_BYTES 64u

struct route_request {
	struct agent *agent;
	const char *object; /* what {pool}, {policy} or {disk} stands for */
	const json_t *body; /* NULL for methods without one */
	int upload_fd; /* of methods that take a file: all of it; else -1 */
	/* A query parameter, or NULL. */
	const char *(*query)(const struct route_request *request,
			     const char *name);
	void *owner;
};

/* Owned by the caller; zero it first. */
struct route_answer {
	int status; /* of HTTP; 0 stands for 200 */
	json_t *document; /* or: */
	char *text;
	const char *text_type; /* of that: a MIME type */
};

struct route {
	const char *method;
	const char *path; /* as in the API document, with at most one {name} */
	int (*handle)(const struct route_request *request,
		      struct route_answer *answer, struct problem *problem);
	bool takes_body; /* a JSON object, which it needs then */
	bool takes_file; /* bytes, at most REST_FILE_BYTES_MAX */
};

/* Ends with an entry without a method. */
extern const struct route routes[];

/*
 * Finds what @method on @path does. *ret_object: the rest of @path where the
 * name stands; it ends at the next '/', so it's copied.
 * Returns: 0 or a problem; for a wrong method @ret_allowed lists the right
 * ones.
 */
int route_find(const char *method, const char *path,
	       const struct route **ret_route, char ret_object[256],
	       char ret_allowed[ROUTE_METHODS_BYTES], struct problem *problem);

#endif
