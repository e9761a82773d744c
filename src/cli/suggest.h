/* SPDX-License-Identifier: Apache-2.0 */
/* suggest.h - the known word that a mistyped one most likely meant. */
#ifndef FOREBAY_CLI_SUGGEST_H
#define FOREBAY_CLI_SUGGEST_H

struct suggest {
	const char *typed;
	const char *best; /* NULL: nothing near enough */
	unsigned int best_distance;
};

struct suggest suggest_start(const char *typed);
/* Borrows @candidate; the first of equally near ones wins. */
void suggest_offer(struct suggest *suggest, const char *candidate);

#endif
