/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rules.h - what goes wrong, and when: pure, without clock or I/O.
 *
 * A text of rules, separated by ';' or by a new line. A rule is an action and
 * the conditions under which it happens, in any order:
 *
 *	error [ERRNO]      the request fails; EIO if no other is named
 *	delay TIME         the request goes on later
 *	crash              a write through a wild pointer
 *	hang [TIME]        the disk's thread sleeps; without a time for ever
 *	loop [TIME]        the same, and the CPU is busy
 *	leak SIZE          memory is taken, filled and not given back
 *
 *	on OPERATION,...   only these; else what a guest can ask for
 *	at OFFSET+LENGTH   only what touches this range, so no flush
 *	after N            not the first N that fit
 *	every N            of the others the N-th, the 2N-th ...
 *	chance P%          of those so many, drawn from the seed
 *	count N            N times at most
 *
 * The same rules, seed and requests give the same faults. Counting begins anew
 * when the rules change and when the disk's process is started again.
 */
#ifndef FOREBAY_FAULT_RULES_H
#define FOREBAY_FAULT_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <forebay/filter.h>

#define RULES_MAX 16u
/* Longest text of one rule, with its NUL. */
#define RULE_TEXT_BYTES 160u
/* Longest reason why a text is refused, with its NUL. */
#define RULES_MESSAGE_BYTES 256u
/* Longest time in a rule: a day, so that all rules' together don't overflow. */
#define RULE_TIME_NS_MAX (UINT64_C(86400) * 1000000000)
/* `amount` of a hang or loop without an end. */
#define RULE_FOR_EVER UINT64_MAX

enum rule_action {
	RULE_ERROR,
	RULE_DELAY,
	RULE_CRASH,
	RULE_HANG,
	RULE_LOOP,
	RULE_LEAK,
};

struct rule {
	enum rule_action action;
	uint32_t operations; /* FOREBAY_OPERATION_BIT()s */
	uint64_t amount; /* LEAK: bytes; DELAY, HANG, LOOP: ns */
	uint64_t offset;
	uint64_t length; /* 0: anywhere */
	uint64_t after;
	uint64_t every;
	uint64_t count;
	uint64_t random;
	uint64_t met_count; /* fitted operation and range */
	uint64_t fired_count;
	int status; /* ERROR: a negative errno */
	uint32_t chance_ppm;
	/* As it was written; in JSON it needs no escapes. */
	char text[RULE_TEXT_BYTES];
};

struct rules {
	struct rule list[RULES_MAX];
	unsigned int count;
};

/*
 * Returns: 0, or -EINVAL and a @message of RULES_MESSAGE_BYTES that says which
 * word of which rule is wrong; it needs no escapes in JSON but for '"'.
 */
int rules_parse(const char *text, uint64_t seed, struct rules *ret_rules,
		char *message);

/* Whether it happens to this request; counts. */
bool rule_fires(struct rule *rule, enum forebay_operation operation,
		uint64_t offset, uint64_t length);

#endif
