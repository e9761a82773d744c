// SPDX-License-Identifier: Apache-2.0
/*
 * rules.c - reads rules word by word, and decides.
 *
 * The text is an operator's: everything in it is understood or refused, with
 * the number of the rule and the word. Words are made of a few characters only,
 * so a rule can be shown as it was written.
 */
#include "rules.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "quantity_word.h"

#define WORD_BYTES 64u
#define PPM_MAX 1000000u
#define OPERATIONS_KNOWN 7u

static const char *const operation_names[OPERATIONS_KNOWN] = {
	[FOREBAY_READ] = "read",
	[FOREBAY_WRITE] = "write",
	[FOREBAY_FLUSH] = "flush",
	[FOREBAY_DISCARD] = "discard",
	[FOREBAY_WRITE_ZEROES] = "write-zeroes",
	[FOREBAY_EXTENTS] = "extents",
	[FOREBAY_CACHE] = "cache",
};

static const char *const action_names[] = {
	[RULE_ERROR] = "error", [RULE_DELAY] = "delay", [RULE_CRASH] = "crash",
	[RULE_HANG] = "hang",	[RULE_LOOP] = "loop",	[RULE_LEAK] = "leak",
};

static const struct {
	const char *name;
	int number;
} error_names[] = {
	{"EIO", EIO},
	{"EAGAIN", EAGAIN},
	{"EBUSY", EBUSY},
	{"EINVAL", EINVAL},
	{"ENOMEM", ENOMEM},
	{"ENOSPC", ENOSPC},
	{"EOPNOTSUPP", EOPNOTSUPP},
	{"EPERM", EPERM},
	{"ETIMEDOUT", ETIMEDOUT},
};

#define ACTION_COUNT (sizeof(action_names) / sizeof(*action_names))
#define ERROR_COUNT (sizeof(error_names) / sizeof(*error_names))

/* A text that is being read. */
struct reader {
	const char *at;
	unsigned int number; /* of the rule, from 1 */
	char word[WORD_BYTES]; /* the next one; "" where the rule ends */
	char *message;
};

/* What stands in a message was written by somebody. */
static void make_plain(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~' || *text == '\\')
			*text = '?';
}

static int refuse(struct reader *reader, const char *wanted)
{
	char word[WORD_BYTES];

	memcpy(word, reader->word, sizeof(word));
	make_plain(word);
	if (word[0])
		snprintf(reader->message, RULES_MESSAGE_BYTES,
			 "rule %u: \"%s\" isn't %s", reader->number, word,
			 wanted);
	else
		snprintf(reader->message, RULES_MESSAGE_BYTES,
			 "rule %u ends before %s", reader->number, wanted);
	return -EINVAL;
}

static bool ends_rule(char character)
{
	return character == '\0' || character == ';' || character == '\n';
}

static void next_word(struct reader *reader)
{
	size_t length = 0;

	while (*reader->at == ' ')
		reader->at++;
	while (!ends_rule(*reader->at) && *reader->at != ' ') {
		if (length < WORD_BYTES - 1)
			reader->word[length++] = *reader->at;
		else
			reader->word[0] = '?'; /* too long to mean anything */
		reader->at++;
	}
	reader->word[length] = '\0';
}

static int take_number(struct reader *reader, uint64_t minimum,
		       uint64_t *ret_number)
{
	uint64_t number;

	next_word(reader);
	if (quantity_word_number(reader->word, &number) < 0 || number < minimum)
		return refuse(reader,
			      minimum > 0 ? "a number above 0" : "a number");
	*ret_number = number;
	return 0;
}

/* One of a list of operations. */
static bool add_operation(struct rule *rule, const char *name, size_t length)
{
	for (unsigned int i = 0; i < OPERATIONS_KNOWN; i++) {
		if (strlen(operation_names[i]) != length ||
		    memcmp(operation_names[i], name, length) != 0)
			continue;
		rule->operations |= FOREBAY_OPERATION_BIT(i);
		return true;
	}
	return false;
}

static int take_operations(struct reader *reader, struct rule *rule)
{
	const char *at;

	next_word(reader);
	rule->operations = 0;
	for (at = reader->word;; at++) {
		size_t length = strcspn(at, ",");

		if (!add_operation(rule, at, length))
			return refuse(reader,
				      "a list of read, write, flush, discard, "
				      "write-zeroes, extents and cache");
		at += length;
		if (*at == '\0')
			return 0;
	}
}

static int take_range(struct reader *reader, struct rule *rule)
{
	static const char wanted[] = "a range such as 1GiB+64KiB";
	char offset[WORD_BYTES];
	const char *plus;
	uint64_t end;

	next_word(reader);
	plus = strchr(reader->word, '+');
	if (!plus)
		return refuse(reader, wanted);
	snprintf(offset, sizeof(offset), "%.*s", (int)(plus - reader->word),
		 reader->word);
	if (quantity_word_size(offset, &rule->offset) < 0 ||
	    quantity_word_size(plus + 1, &rule->length) < 0 ||
	    rule->length == 0 ||
	    __builtin_add_overflow(rule->offset, rule->length, &end))
		return refuse(reader, wanted);
	return 0;
}

static int take_chance(struct reader *reader, struct rule *rule)
{
	next_word(reader);
	if (quantity_word_percent(reader->word, &rule->chance_ppm) < 0)
		return refuse(reader, "a chance such as 0.5%");
	return 0;
}

static int take_condition(struct reader *reader, struct rule *rule)
{
	if (strcmp(reader->word, "on") == 0)
		return take_operations(reader, rule);
	if (strcmp(reader->word, "at") == 0)
		return take_range(reader, rule);
	if (strcmp(reader->word, "after") == 0)
		return take_number(reader, 0, &rule->after);
	if (strcmp(reader->word, "every") == 0)
		return take_number(reader, 1, &rule->every);
	if (strcmp(reader->word, "chance") == 0)
		return take_chance(reader, rule);
	if (strcmp(reader->word, "count") == 0)
		return take_number(reader, 1, &rule->count);
	return refuse(reader, "one of on, at, after, every, chance, count");
}

static int take_action(struct reader *reader, struct rule *rule)
{
	unsigned int i = 0;

	while (i < ACTION_COUNT && strcmp(action_names[i], reader->word) != 0)
		i++;
	if (i == ACTION_COUNT)
		return refuse(reader, "one of error, delay, crash, hang, loop, "
				      "leak");
	rule->action = (enum rule_action)i;
	return 0;
}

static int take_error(struct reader *reader, struct rule *rule)
{
	rule->status = -EIO;
	if (reader->word[0] != 'E')
		return 0;
	for (unsigned int i = 0; i < ERROR_COUNT; i++) {
		if (strcmp(error_names[i].name, reader->word) != 0)
			continue;
		rule->status = -error_names[i].number;
		next_word(reader);
		return 0;
	}
	return refuse(reader, "one of EIO, EAGAIN, EBUSY, EINVAL, ENOMEM, "
			      "ENOSPC, EOPNOTSUPP, EPERM, ETIMEDOUT");
}

/*
 * What may follow an action. The next word is read, and is the first condition
 * if it wasn't that.
 */
static int take_amount(struct reader *reader, struct rule *rule)
{
	next_word(reader);
	switch (rule->action) {
	case RULE_ERROR:
		rule->status = -EIO;
		return take_error(reader, rule);
	case RULE_CRASH:
		return 0;
	case RULE_HANG:
	case RULE_LOOP:
		rule->amount = RULE_FOR_EVER;
		if (reader->word[0] < '0' || reader->word[0] > '9')
			return 0;
		break;
	case RULE_DELAY:
		break;
	case RULE_LEAK:
		if (quantity_word_size(reader->word, &rule->amount) < 0)
			return refuse(reader, "a size such as 64KiB");
		next_word(reader);
		return 0;
	}
	if (quantity_word_time(reader->word, &rule->amount) < 0 ||
	    rule->amount > RULE_TIME_NS_MAX)
		return refuse(reader, "a time such as 20ms, of a day at most");
	next_word(reader);
	return 0;
}

static int take_rule(struct reader *reader, struct rule *rule)
{
	int status = take_action(reader, rule);

	if (status == 0)
		status = take_amount(reader, rule);
	while (status == 0 && reader->word[0]) {
		status = take_condition(reader, rule);
		if (status == 0)
			next_word(reader);
	}
	return status;
}

static struct rule new_rule(uint64_t seed, unsigned int number)
{
	return (struct rule){
		.operations = FOREBAY_OPERATION_BIT(FOREBAY_READ) |
			      FOREBAY_OPERATION_BIT(FOREBAY_WRITE) |
			      FOREBAY_OPERATION_BIT(FOREBAY_FLUSH) |
			      FOREBAY_OPERATION_BIT(FOREBAY_DISCARD) |
			      FOREBAY_OPERATION_BIT(FOREBAY_WRITE_ZEROES),
		.every = 1,
		.count = UINT64_MAX,
		.chance_ppm = PPM_MAX,
		/* Each rule draws for itself. */
		.random =
			seed + (uint64_t)number * UINT64_C(0xd1342543de82ef95),
	};
}

/* Returns: whether it has room for what was read since @start. */
static bool keep_text(struct rule *rule, const char *start, const char *end)
{
	while (end > start && end[-1] == ' ')
		end--;
	if ((size_t)(end - start) >= sizeof(rule->text))
		return false;
	snprintf(rule->text, sizeof(rule->text), "%.*s", (int)(end - start),
		 start);
	return true;
}

static int add_rule(struct reader *reader, uint64_t seed, struct rules *rules)
{
	const char *start = reader->at - strlen(reader->word);
	struct rule *rule = &rules->list[rules->count];
	int status;

	reader->number = rules->count + 1;
	if (rules->count == RULES_MAX) {
		snprintf(reader->message, RULES_MESSAGE_BYTES,
			 "there are more than %u rules", RULES_MAX);
		return -EINVAL;
	}
	*rule = new_rule(seed, reader->number);
	status = take_rule(reader, rule);
	if (status < 0)
		return status;
	if (!keep_text(rule, start, reader->at)) {
		snprintf(reader->message, RULES_MESSAGE_BYTES,
			 "rule %u has more than %u characters", reader->number,
			 RULE_TEXT_BYTES - 1);
		return -EINVAL;
	}
	rules->count++;
	return 0;
}

int rules_parse(const char *text, uint64_t seed, struct rules *ret_rules,
		char *message)
{
	struct reader reader = {.at = text, .message = message};
	struct rules rules = {0};

	for (;;) {
		next_word(&reader);
		if (reader.word[0]) {
			int status = add_rule(&reader, seed, &rules);

			if (status < 0)
				return status;
		}
		if (*reader.at == '\0')
			break;
		reader.at++;
	}
	*ret_rules = rules;
	return 0;
}

/* splitmix64 (Steele, Lea, Flood 2014): any seed will do. */
static uint64_t draw(uint64_t *state)
{
	uint64_t mixed = *state += UINT64_C(0x9e3779b97f4a7c15);

	mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
	return mixed ^ (mixed >> 31);
}

static bool fits(const struct rule *rule, enum forebay_operation operation,
		 uint64_t offset, uint64_t length)
{
	if (!(rule->operations & FOREBAY_OPERATION_BIT(operation)))
		return false;
	if (rule->length == 0)
		return true;
	return length > 0 && offset < rule->offset + rule->length &&
	       rule->offset < offset + length;
}

bool rule_fires(struct rule *rule, enum forebay_operation operation,
		uint64_t offset, uint64_t length)
{
	if (!fits(rule, operation, offset, length))
		return false;
	rule->met_count++;
	if (rule->met_count <= rule->after ||
	    (rule->met_count - rule->after) % rule->every != 0 ||
	    rule->fired_count >= rule->count)
		return false;
	if (rule->chance_ppm < PPM_MAX &&
	    draw(&rule->random) % PPM_MAX >= rule->chance_ppm)
		return false;
	rule->fired_count++;
	return true;
}
