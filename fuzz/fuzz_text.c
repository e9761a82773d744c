/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_text.c - quantities and UUIDs: what is understood is written back and
 * understood as the same.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "quantity.h"
#include "uuid_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void try_size(const char *text)
{
	char written[32];
	uint64_t value, again;

	if (quantity_parse_size(text, &value) < 0)
		return;
	assert(value <= INT64_MAX);
	quantity_format_size(value, written, sizeof(written));
	assert(quantity_parse_size(written, &again) == 0 && again == value);
}

static void try_duration(const char *text)
{
	char written[32];
	uint64_t value, again;

	if (quantity_parse_duration(text, &value) < 0)
		return;
	assert(value <= INT64_MAX);
	quantity_format_duration(value, written, sizeof(written));
	assert(quantity_parse_duration(written, &again) == 0 && again == value);
}

static void try_uuid(const char *text)
{
	char written[UUID_TEXT_BYTES];
	uint8_t uuid[UUID_BYTES];

	if (uuid_parse(text, uuid) < 0)
		return;
	uuid_format(uuid, written);
	assert(strcasecmp(written, text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	char *text = malloc(count + 1);

	if (!text)
		return 0;
	memcpy(text, bytes, count);
	text[count] = '\0';
	try_size(text);
	try_duration(text);
	try_uuid(text);
	free(text);
	return 0;
}
