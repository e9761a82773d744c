/* SPDX-License-Identifier: Apache-2.0 */
/* help.h - the help texts, made from the grammar. */
#ifndef FOREBAY_CLI_HELP_H
#define FOREBAY_CLI_HELP_H

#include <stdio.h>

struct noun;
struct verb;

/* @noun NULL: the whole program; @verb NULL: the whole noun. */
void help_print(FILE *stream, const struct noun *noun, const struct verb *verb);
/* "forebay disk create NAME --backend URI [--size SIZE] ..." */
void help_synopsis(FILE *stream, const struct noun *noun,
		   const struct verb *verb);

#endif
