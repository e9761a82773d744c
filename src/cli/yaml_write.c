/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_write.c - JSON values as libyaml's events.
 *
 * A string is left plain only when it would read back as a string: "true",
 * "12" and "" are quoted, "60s" is not.
 */
#include "yaml_write.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <yaml.h>

#include "yaml_scalar.h"

static bool write_node(yaml_emitter_t *emitter, const json_t *value);

static bool write_text(yaml_emitter_t *emitter, const char *text, bool quoted)
{
	yaml_scalar_style_t style = quoted ? YAML_SINGLE_QUOTED_SCALAR_STYLE
					   : YAML_PLAIN_SCALAR_STYLE;
	yaml_event_t event;

	return yaml_scalar_event_initialize(&event, NULL, NULL,
					    (const yaml_char_t *)text,
					    (int)strlen(text), 1, 1, style) &&
	       yaml_emitter_emit(emitter, &event);
}

static bool write_string(yaml_emitter_t *emitter, const char *text)
{
	json_t *plain = yaml_scalar_resolve(text);
	bool quoted = !json_is_string(plain);

	json_decref(plain);
	return write_text(emitter, text, quoted);
}

/* Numbers, true, false and null read the same in YAML as in JSON. */
static bool write_word(yaml_emitter_t *emitter, const json_t *value)
{
	char text[64];
	size_t length = json_dumpb(value, text, sizeof(text) - 1,
				   JSON_ENCODE_ANY | JSON_COMPACT);

	if (length >= sizeof(text))
		return false;
	text[length] = '\0';
	return write_text(emitter, text, false);
}

static bool write_array(yaml_emitter_t *emitter, const json_t *array)
{
	yaml_sequence_style_t style = json_array_size(array) == 0
					      ? YAML_FLOW_SEQUENCE_STYLE
					      : YAML_BLOCK_SEQUENCE_STYLE;
	yaml_event_t event;

	if (!yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
						  style) ||
	    !yaml_emitter_emit(emitter, &event))
		return false;
	for (size_t i = 0; i < json_array_size(array); i++) {
		if (!write_node(emitter, json_array_get(array, i)))
			return false;
	}
	return yaml_sequence_end_event_initialize(&event) &&
	       yaml_emitter_emit(emitter, &event);
}

static bool write_object(yaml_emitter_t *emitter, const json_t *object)
{
	yaml_mapping_style_t style = json_object_size(object) == 0
					     ? YAML_FLOW_MAPPING_STYLE
					     : YAML_BLOCK_MAPPING_STYLE;
	yaml_event_t event;
	const char *key;
	json_t *value;

	if (!yaml_mapping_start_event_initialize(&event, NULL, NULL, 1,
						 style) ||
	    !yaml_emitter_emit(emitter, &event))
		return false;
	json_object_foreach((json_t *)object, key, value)
	{
		if (!write_string(emitter, key) || !write_node(emitter, value))
			return false;
	}
	return yaml_mapping_end_event_initialize(&event) &&
	       yaml_emitter_emit(emitter, &event);
}

static bool write_node(yaml_emitter_t *emitter, const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return write_object(emitter, value);
	case JSON_ARRAY:
		return write_array(emitter, value);
	case JSON_STRING:
		return write_string(emitter, json_string_value(value));
	case JSON_INTEGER:
	case JSON_REAL:
	case JSON_TRUE:
	case JSON_FALSE:
	case JSON_NULL:
		return write_word(emitter, value);
	}
	return false;
}

static bool write_document(yaml_emitter_t *emitter, const json_t *value)
{
	yaml_event_t event;

	return yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING) &&
	       yaml_emitter_emit(emitter, &event) &&
	       yaml_document_start_event_initialize(&event, NULL, NULL, NULL,
						    1) &&
	       yaml_emitter_emit(emitter, &event) &&
	       write_node(emitter, value) &&
	       yaml_document_end_event_initialize(&event, 1) &&
	       yaml_emitter_emit(emitter, &event) &&
	       yaml_stream_end_event_initialize(&event) &&
	       yaml_emitter_emit(emitter, &event);
}

int yaml_write(FILE *stream, const json_t *value)
{
	yaml_emitter_t emitter;
	int ret = 0;

	if (!yaml_emitter_initialize(&emitter))
		return -ENOMEM;
	yaml_emitter_set_output_file(&emitter, stream);
	yaml_emitter_set_unicode(&emitter, 1);
	yaml_emitter_set_width(&emitter, -1);
	if (!write_document(&emitter, value))
		ret = emitter.error == YAML_MEMORY_ERROR ? -ENOMEM : -EIO;
	yaml_emitter_delete(&emitter);
	return ret;
}
