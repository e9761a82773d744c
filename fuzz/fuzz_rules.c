/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_rules.c - rules of the filter fault: what is understood is shown as a
 * text that means the same, and what isn't is refused in plain characters.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "rules.h"

#define TEXT_BYTES 4096u

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void check_plain(const char *text)
{
	for (; *text; text++)
		assert(*text >= ' ' && *text <= '~' && *text != '\\');
}

static void check_same(const struct rule *a, const struct rule *b)
{
	assert(a->action == b->action && a->operations == b->operations &&
	       a->amount == b->amount && a->offset == b->offset &&
	       a->length == b->length && a->after == b->after &&
	       a->every == b->every && a->count == b->count &&
	       a->status == b->status && a->chance_ppm == b->chance_ppm);
	assert(strcmp(a->text, b->text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	static struct rules rules, again;
	char text[TEXT_BYTES], message[RULES_MESSAGE_BYTES];

	if (count >= sizeof(text))
		return 0;
	memcpy(text, bytes, count);
	text[count] = '\0';
	if (rules_parse(text, 1, &rules, message) < 0) {
		assert(message[0]);
		check_plain(message);
		return 0;
	}
	for (unsigned int i = 0; i < rules.count; i++) {
		check_plain(rules.list[i].text);
		assert(!strchr(rules.list[i].text, '"'));
		assert(rules_parse(rules.list[i].text, 1, &again, message) ==
		       0);
		assert(again.count == 1);
		check_same(&rules.list[i], &again.list[0]);
		for (uint64_t at = 0; at < 64; at++)
			rule_fires(&rules.list[i],
				   (enum forebay_operation)(at % 7), at << 57,
				   512);
	}
	return 0;
}
