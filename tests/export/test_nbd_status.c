// SPDX-License-Identifier: Apache-2.0
/*
 * test_nbd_status.c - queries of metadata contexts, and the answers to
 * BLOCK_STATUS.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "nbd_context.h"
#include "nbd_status.h"

#define ALLOCATION NBD_CONTEXT_BIT(NBD_CONTEXT_ALLOCATION)
#define DIRTY NBD_CONTEXT_BIT(NBD_CONTEXT_DIRTY)

/* Data of an option: the name "d" and some queries. */
struct data {
	uint8_t bytes[8192];
	uint8_t *end;
};

static void begin(struct data *data, uint32_t count)
{
	data->end = nbd_put_u32(data->bytes, 1);
	data->end = nbd_put_bytes(data->end, "d", 1);
	data->end = nbd_put_u32(data->end, count);
}

static void add(struct data *data, const char *query)
{
	size_t length = strlen(query);

	data->end = nbd_put_u32(data->end, (uint32_t)length);
	data->end = nbd_put_bytes(data->end, query, length);
}

static int parse(const struct data *data, struct nbd_context_query *ret_query)
{
	return nbd_context_parse(
		data->bytes, (uint32_t)(data->end - data->bytes), ret_query);
}

static uint8_t match(const char *query, bool listing)
{
	struct nbd_context_query parsed;
	struct data data;

	begin(&data, 1);
	add(&data, query);
	assert_int_equal(parse(&data, &parsed), 0);
	assert_int_equal(parsed.name_bytes, 1);
	return nbd_context_match(&parsed, listing);
}

static void a_context_is_selected_by_its_whole_name(void **state)
{
	(void)state;
	assert_int_equal(match("base:allocation", false), ALLOCATION);
	assert_int_equal(match("forebay:dirty", false), DIRTY);
	assert_int_equal(match("base:allocatio", false), 0);
	assert_int_equal(match("base:allocation2", false), 0);
	assert_int_equal(match("qemu:dirty-bitmap:b", false), 0);
	assert_int_equal(match(":", false), 0);
}

static void a_namespace_alone_lists_and_does_not_select(void **state)
{
	(void)state;
	assert_int_equal(match("base:", true), ALLOCATION);
	assert_int_equal(match("forebay:", true), DIRTY);
	assert_int_equal(match("base:", false), 0);
	assert_int_equal(match("forebay:", false), 0);
	assert_int_equal(match("bas:", true), 0);
}

static void no_query_lists_all_and_selects_nothing(void **state)
{
	struct nbd_context_query query;
	struct data data;

	(void)state;
	begin(&data, 0);
	assert_int_equal(parse(&data, &query), 0);
	assert_int_equal(nbd_context_match(&query, true), ALLOCATION | DIRTY);
	assert_int_equal(nbd_context_match(&query, false), 0);
}

static void several_queries_add_up(void **state)
{
	struct nbd_context_query query;
	struct data data;

	(void)state;
	begin(&data, 3);
	add(&data, "forebay:dirty");
	add(&data, "other:thing");
	add(&data, "base:allocation");
	assert_int_equal(parse(&data, &query), 0);
	assert_int_equal(nbd_context_match(&query, false), ALLOCATION | DIRTY);
}

static void more_queries_than_the_limit_are_too_many(void **state)
{
	struct nbd_context_query query;
	struct data data;

	(void)state;
	for (uint32_t count = NBD_QUERIES_MAX; count <= NBD_QUERIES_MAX + 1;
	     count++) {
		begin(&data, count);
		for (uint32_t i = 0; i < count; i++)
			add(&data, "base:");
		assert_int_equal(parse(&data, &query),
				 count <= NBD_QUERIES_MAX ? 0 : -E2BIG);
	}
}

static void a_query_without_a_namespace_is_refused(void **state)
{
	struct nbd_context_query query;
	struct data data;

	(void)state;
	begin(&data, 1);
	add(&data, "allocation");
	assert_int_equal(parse(&data, &query), -EINVAL);
}

static void a_string_longer_than_the_protocol_has_is_refused(void **state)
{
	static char string[NBD_STRING_BYTES_MAX + 2];
	struct nbd_context_query query;
	struct data data;

	(void)state;
	memset(string, 'x', NBD_STRING_BYTES_MAX);
	string[1] = ':';
	begin(&data, 1);
	add(&data, string);
	assert_int_equal(parse(&data, &query), 0);
	string[NBD_STRING_BYTES_MAX] = 'x';
	begin(&data, 1);
	add(&data, string);
	assert_int_equal(parse(&data, &query), -EINVAL);
}

static void data_cut_anywhere_or_too_long_is_refused(void **state)
{
	struct nbd_context_query query;
	struct data data;
	uint8_t *whole;

	(void)state;
	begin(&data, 2);
	add(&data, "base:allocation");
	add(&data, "forebay:dirty");
	whole = data.end;
	for (data.end = data.bytes; data.end < whole; data.end++)
		assert_int_equal(parse(&data, &query), -EINVAL);
	data.end = whole + 1;
	assert_int_equal(parse(&data, &query), -EINVAL);
	data.end = whole;
	assert_int_equal(parse(&data, &query), 0);
}

/* Takes a reply apart, chunk by chunk. */
struct reader {
	const uint8_t *at;
	uint32_t left;
};

static uint32_t chunk(struct reader *reader, bool last, uint32_t id)
{
	uint32_t length = nbd_get_u32(reader->at + 16);

	assert_int_equal(nbd_get_u32(reader->at), NBD_STRUCTURED_REPLY_MAGIC);
	assert_int_equal(nbd_get_u16(reader->at + 4), last);
	assert_int_equal(nbd_get_u16(reader->at + 6),
			 NBD_STRUCTURED_BLOCK_STATUS);
	assert_int_equal(nbd_get_u64(reader->at + 8), 77);
	assert_int_equal(nbd_get_u32(reader->at + 20), id);
	assert_true(length >= 12 && length % 8 == 4);
	reader->at += 24;
	reader->left -= 20 + length;
	return (length - 4) / 8;
}

static void descriptor(struct reader *reader, uint32_t length, uint32_t status)
{
	assert_int_equal(nbd_get_u32(reader->at), length);
	assert_int_equal(nbd_get_u32(reader->at + 4), status);
	reader->at += 8;
}

static _Alignas(4096) uint8_t buffer[NBD_SMALL_BYTES];

static void put(struct forebay_extents *extents, uint64_t length,
		uint32_t flags)
{
	extents->list[extents->count++] = (struct forebay_extent){
		.length = length,
		.flags = flags,
	};
}

static void each_context_gets_a_chunk_of_its_own(void **state)
{
	const struct nbd_request request = {.cookie = 77, .length = 1 << 20};
	struct forebay_extents extents = nbd_status_list(buffer);
	struct reader reader = {.at = buffer};

	(void)state;
	put(&extents, 4096, FOREBAY_EXTENT_DIRTY);
	put(&extents, 8192, 0);
	put(&extents, 512, FOREBAY_EXTENT_HOLE | FOREBAY_EXTENT_ZERO);
	put(&extents, 1024, FOREBAY_EXTENT_ZERO);
	reader.left = nbd_status_format(&request, ALLOCATION | DIRTY, &extents,
					buffer);
	/* What a context doesn't tell apart is one. */
	assert_int_equal(chunk(&reader, false, 1), 3);
	descriptor(&reader, 12288, 0);
	descriptor(&reader, 512, NBD_STATE_HOLE | NBD_STATE_ZERO);
	descriptor(&reader, 1024, NBD_STATE_ZERO);
	assert_int_equal(chunk(&reader, true, 2), 2);
	descriptor(&reader, 4096, NBD_STATE_FOREBAY_DIRTY);
	descriptor(&reader, 9728, 0);
	assert_int_equal(reader.left, 0);
}

static void who_wants_one_extent_gets_one(void **state)
{
	const struct nbd_request request = {
		.cookie = 77,
		.length = 1 << 20,
		.flags = NBD_COMMAND_FLAG_REQ_ONE,
	};
	struct forebay_extents extents = nbd_status_list(buffer);
	struct reader reader = {.at = buffer};

	(void)state;
	put(&extents, 4096, 0);
	put(&extents, 4096, FOREBAY_EXTENT_DIRTY);
	put(&extents, 4096, FOREBAY_EXTENT_HOLE);
	reader.left = nbd_status_format(&request, ALLOCATION, &extents, buffer);
	assert_int_equal(chunk(&reader, true, 1), 1);
	descriptor(&reader, 8192, 0);
	assert_int_equal(reader.left, 0);
}

static void the_longest_answer_fits_beside_its_list(void **state)
{
	const struct nbd_request request = {.cookie = 77,
					    .length = UINT32_MAX - 511};
	struct forebay_extents extents = nbd_status_list(buffer);
	struct reader reader = {.at = buffer};

	(void)state;
	assert_int_equal(extents.capacity, NBD_EXTENTS_MAX);
	for (uint32_t i = 0; i < NBD_EXTENTS_MAX; i++)
		put(&extents, 512 * (i + 1),
		    i % 2 ? FOREBAY_EXTENT_DIRTY : FOREBAY_EXTENT_HOLE);
	reader.left = nbd_status_format(&request, ALLOCATION | DIRTY, &extents,
					buffer);
	assert_int_equal(reader.left, NBD_STATUS_REPLY_MAX);
	for (uint32_t id = 1; id <= 2; id++) {
		assert_int_equal(chunk(&reader, id == 2, id), NBD_EXTENTS_MAX);
		for (uint32_t i = 0; i < NBD_EXTENTS_MAX; i++)
			descriptor(&reader, 512 * (i + 1), i % 2 == id - 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_context_is_selected_by_its_whole_name),
		cmocka_unit_test(a_namespace_alone_lists_and_does_not_select),
		cmocka_unit_test(no_query_lists_all_and_selects_nothing),
		cmocka_unit_test(several_queries_add_up),
		cmocka_unit_test(more_queries_than_the_limit_are_too_many),
		cmocka_unit_test(a_query_without_a_namespace_is_refused),
		cmocka_unit_test(
			a_string_longer_than_the_protocol_has_is_refused),
		cmocka_unit_test(data_cut_anywhere_or_too_long_is_refused),
		cmocka_unit_test(each_context_gets_a_chunk_of_its_own),
		cmocka_unit_test(who_wants_one_extent_gets_one),
		cmocka_unit_test(the_longest_answer_fits_beside_its_list),
	};

	return cmocka_run_group_tests_name("nbd_status", tests, NULL, NULL);
}
