/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_yaml.c - policy files: what the reader takes, the writer can write and
 * the reader reads back as the same value.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "error.h"
#include "yaml_read.h"
#include "yaml_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static int read_bytes(const void *bytes, size_t count,
		      struct yaml_source *ret_source)
{
	struct error error = {0};
	FILE *stream = fmemopen((void *)bytes, count, "r");
	int ret;

	if (!stream)
		return -1;
	ret = yaml_read(stream, "fuzz", ret_source, &error);
	(void)fclose(stream);
	assert((ret == 0) == (error.message[0] == '\0'));
	return ret;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	struct yaml_source source;
	struct yaml_source again;
	char *text = NULL;
	size_t text_bytes = 0;
	FILE *stream;

	if (count == 0 || read_bytes(bytes, count, &source) < 0)
		return 0;
	assert(yaml_source_line(&source, "/filters/0") >= 1);
	stream = open_memstream(&text, &text_bytes);
	assert(stream && yaml_write(stream, source.value) == 0);
	(void)fclose(stream);
	assert(read_bytes(text, text_bytes, &again) == 0);
	assert(json_equal(source.value, again.value));
	yaml_source_close(&again);
	yaml_source_close(&source);
	free(text);
	return 0;
}
