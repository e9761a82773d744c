/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_pool.c - what forebay-cached and the cache filter take from each other,
 * and the list of pools. The first byte says which gate the rest meets:
 *
 *   0  a packet of a filter, as forebay-cached gets it
 *   1  an answer, as the filter gets it, with 0..2 descriptors by bits 2 and 3
 *   2  a list of pools
 */
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "daemon_protocol.h"
#include "pool.h"
#include "pool_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void packet(const uint8_t *bytes, size_t count)
{
	struct daemon_head head;
	union pool_request request;

	if (daemon_head_parse(bytes, count, &head) < 0)
		return;
	assert(head.bytes == count - sizeof(head));
	if (head.type != DAEMON_FILTER ||
	    pool_request_parse(bytes + sizeof(head), head.bytes, &request) < 0)
		return;
	if (request.type == POOL_OPEN)
		assert(strlen(request.open.pool) < sizeof(request.open.pool));
	else if (request.type == POOL_USE)
		assert(pool_use_is_valid(&request.use));
	else
		assert(request.type == POOL_BYE &&
		       head.bytes == sizeof(request.bye));
}

static void answer(const uint8_t *bytes, size_t count, uint32_t fd_count)
{
	union pool_answer parsed;

	if (pool_answer_parse(bytes, count, fd_count, &parsed) < 0)
		return;
	if (parsed.type == POOL_GRANT) {
		assert(fd_count == 1 &&
		       parsed.grant.file_bytes <= POOL_FILE_BYTES_MAX);
		return;
	}
	if (parsed.type == POOL_MAY) {
		assert(fd_count == 0 && parsed.may.granted_bytes > 0);
		return;
	}
	if (parsed.type == POOL_BYE) {
		assert(fd_count == 0);
		return;
	}
	assert(parsed.type == POOL_REFUSE && fd_count == 0);
	assert(parsed.refuse.error < 0);
	assert(strlen(parsed.refuse.message) < sizeof(parsed.refuse.message));
}

/* What was taken comes back as it is. */
static void pools(const uint8_t *bytes, size_t count)
{
	json_t *text = json_loadb((const char *)bytes, count, 0, NULL);
	struct pool_set *sets = calloc(2, sizeof(*sets));
	struct error error = {0};

	if (pool_set_parse(text, &sets[0], &error) == 0) {
		json_t *again = pool_set_json(&sets[0]);

		assert(sets[0].count <= POOL_DIRECTORIES_MAX);
		assert(pool_set_parse(again, &sets[1], &error) == 0);
		assert(sets[1].count == sets[0].count);
		json_decref(again);
	} else {
		assert(error.code < 0 && error.message[0] != '\0');
	}
	json_decref(text);
	free(sets);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	if (count == 0)
		return 0;
	switch (bytes[0] & 3) {
	case 0:
		packet(bytes + 1, count - 1);
		break;
	case 1:
		answer(bytes + 1, count - 1, bytes[0] >> 2 & 3);
		break;
	case 2:
		pools(bytes + 1, count - 1);
		break;
	}
	return 0;
}
