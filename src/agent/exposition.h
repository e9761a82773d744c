/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exposition.h - text in the format that Prometheus scrapes.
 *
 * https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4:
 * families of samples with one name, each family told once with its help and
 * type. One thread at a time.
 */
#ifndef FOREBAY_AGENT_EXPOSITION_H
#define FOREBAY_AGENT_EXPOSITION_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum exposition_type {
	EXPOSITION_GAUGE,
	EXPOSITION_COUNTER,
	EXPOSITION_HISTOGRAM,
};

struct exposition {
	FILE *stream;
	char *text;
	size_t bytes;
	const char *family; /* its name, between _family() and the next */
};

/* A label's value may be any UTF-8; it is quoted. NULL counts as "". */
struct exposition_label {
	const char *name;
	const char *value;
};

/* Returns: 0 or -ENOMEM. */
int exposition_begin(struct exposition *exposition);
void exposition_family(struct exposition *exposition, const char *name,
		       enum exposition_type type, const char *help);
/* @suffix: "" or, of a histogram, "_bucket", "_sum", "_count". @labels ends
 * with an entry without a name. */
void exposition_sample(struct exposition *exposition, const char *suffix,
		       const struct exposition_label *labels, double value);
/* Returns: the text, which the caller frees, or NULL if out of memory. */
char *exposition_end(struct exposition *exposition);

#endif
