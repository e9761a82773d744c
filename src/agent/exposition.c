// SPDX-License-Identifier: Apache-2.0
/* exposition.c - see exposition.h. */
#include "exposition.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static const char *const types[] = {
	[EXPOSITION_GAUGE] = "gauge",
	[EXPOSITION_COUNTER] = "counter",
	[EXPOSITION_HISTOGRAM] = "histogram",
};

int exposition_begin(struct exposition *exposition)
{
	*exposition = (struct exposition){0};
	exposition->stream =
		open_memstream(&exposition->text, &exposition->bytes);
	return exposition->stream ? 0 : -ENOMEM;
}

void exposition_family(struct exposition *exposition, const char *name,
		       enum exposition_type type, const char *help)
{
	exposition->family = name;
	fprintf(exposition->stream, "# HELP %s %s\n# TYPE %s %s\n", name, help,
		name, types[type]);
}

static void write_value(FILE *stream, const char *value)
{
	for (; value && *value; value++) {
		if (*value == '\n')
			fputs("\\n", stream);
		else if (*value == '"' || *value == '\\')
			fprintf(stream, "\\%c", *value);
		else
			fputc(*value, stream);
	}
}

void exposition_sample(struct exposition *exposition, const char *suffix,
		       const struct exposition_label *labels, double value)
{
	FILE *stream = exposition->stream;
	char separator = '{';

	fprintf(stream, "%s%s", exposition->family, suffix);
	for (; labels && labels->name; labels++) {
		fprintf(stream, "%c%s=\"", separator, labels->name);
		write_value(stream, labels->value);
		fputc('"', stream);
		separator = ',';
	}
	if (separator == ',')
		fputc('}', stream);
	/* Counts up to 2^53 are exact. */
	if (value == floor(value) && fabs(value) < 9007199254740992.0)
		fprintf(stream, " %.0f\n", value);
	else
		fprintf(stream, " %.9g\n", value);
}

char *exposition_end(struct exposition *exposition)
{
	int failed = ferror(exposition->stream);

	if (fclose(exposition->stream) != 0 || failed) {
		free(exposition->text);
		exposition->text = NULL;
	}
	exposition->stream = NULL;
	return exposition->text;
}
