/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_scene.h - what the tests of the "file:" driver share: a loop, an image
 * in a directory of its own, and calls that run the loop until they are done.
 */
#ifndef FOREBAY_TESTS_BACKEND_IMAGE_SCENE_H
#define FOREBAY_TESTS_BACKEND_IMAGE_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>

#include "backend.h"

#define IMAGE_BYTES (1024u * 1024u)
#define BUFFER_BYTES 65536u

struct scene {
	struct loop *loop;
	struct backend *backend;
	struct backend_open_request request;
	bool keep; /* what open_image() opens */
	int status;
	struct error error;
	unsigned int waits;
	char reason[ERROR_MESSAGE_BYTES];
	struct loop_timer watchdog;
	char directory[32];
	char path[64];
	char uri[80];
	char *buffer; /* aligned */
};

/* Set-up and tear-down of a test. */
int scene_begin(void **state);
int scene_end(void **state);

#define SCENE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, scene_begin, scene_end)

/* Callbacks of scene->request. */
void opened(struct backend_open_request *request, int status,
	    struct backend *backend, const struct error *error);
void waits(struct backend_open_request *request, const char *reason);

/* Returns: the status; the backend is in scene->backend. */
int open_image(struct scene *scene, bool read_only, uint64_t timeout_ns);
void open_for_writing(struct scene *scene);

/* Return: the result of the operation. */
int run_vectored(struct scene *scene, enum backend_operation kind,
		 const struct iovec *iov, unsigned int count, uint64_t offset,
		 uint32_t flags);
int run_on(struct scene *scene, enum backend_operation kind, void *bytes,
	   uint64_t length, uint64_t offset, uint32_t flags);
/* An operation without memory. */
int run_range(struct scene *scene, enum backend_operation kind, uint64_t offset,
	      uint64_t length, uint32_t flags);

/* The image's bytes as any other program sees them. */
void read_back(struct scene *scene, void *bytes, size_t length, off_t offset);
bool all_are(const char *bytes, size_t count, char value);
void resize(struct scene *scene, off_t bytes);

#endif
