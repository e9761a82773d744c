/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_read.c - walks libyaml's events; one function for each kind of node.
 *
 * The parser is fed from memory: the whole file is taken first, up to a limit,
 * so that "-" and a file behave alike. Aliases are refused rather than
 * expanded: a policy has no use for them, and nine lines of them can ask for
 * gigabytes.
 */
#include "yaml_read.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "error.h"
#include "yaml_scalar.h"

#define POINTER_BYTES 512u

struct reader {
	yaml_parser_t parser;
	const char *name;
	json_t *lines;
	struct error *error;
	unsigned int depth;
	unsigned int value_count;
	/* JSON pointer of the value at hand; grows and shrinks with depth. */
	char pointer[POINTER_BYTES];
};

static int read_node(struct reader *reader, const yaml_event_t *event,
		     json_t **ret_value);

static int refuse(struct reader *reader, const yaml_mark_t *mark,
		  const char *what)
{
	return error_set(reader->error, -EINVAL, "%s:%zu: %s", reader->name,
			 mark->line + 1, what);
}

/* Fills @ret_event, which the caller deletes after a return of 0. */
static int next_event(struct reader *reader, yaml_event_t *ret_event)
{
	yaml_parser_t *parser = &reader->parser;

	if (yaml_parser_parse(parser, ret_event))
		return 0;
	if (parser->error == YAML_MEMORY_ERROR)
		return error_set(reader->error, -ENOMEM, "%s: out of memory",
				 reader->name);
	if (parser->error == YAML_READER_ERROR)
		return error_set(reader->error, -EINVAL,
				 "%s: byte %zu: %s; write it in UTF-8",
				 reader->name, parser->problem_offset,
				 parser->problem);
	return error_set(reader->error, -EINVAL, "%s:%zu: not YAML: %s%s%s",
			 reader->name, parser->problem_mark.line + 1,
			 parser->problem, parser->context ? ", " : "",
			 parser->context ? parser->context : "");
}

/* Appends "/KEY", with '~' and '/' escaped as RFC 6901 wants it. */
static int pointer_push(struct reader *reader, const char *key,
			const yaml_mark_t *mark)
{
	size_t length = strlen(reader->pointer);

	if (length + 2 * strlen(key) + 2 > POINTER_BYTES)
		return refuse(reader, mark,
			      "the keys down to here are too "
			      "long; shorten them");
	reader->pointer[length++] = '/';
	for (; *key; key++) {
		if (*key == '~' || *key == '/')
			reader->pointer[length++] = '~';
		reader->pointer[length++] = *key == '~'	  ? '0'
					    : *key == '/' ? '1'
							  : *key;
	}
	reader->pointer[length] = '\0';
	return 0;
}

static int note_line(struct reader *reader, const yaml_mark_t *mark)
{
	json_t *line = json_integer((json_int_t)mark->line + 1);

	if (json_object_set_new(reader->lines, reader->pointer, line) < 0)
		return error_set(reader->error, -ENOMEM, "%s: out of memory",
				 reader->name);
	return 0;
}

static int read_scalar(struct reader *reader, const yaml_event_t *event,
		       json_t **ret_value)
{
	const char *text = (const char *)event->data.scalar.value;
	json_t *value;

	if (strlen(text) != event->data.scalar.length)
		return refuse(reader, &event->start_mark,
			      "holds a NUL character; remove it");
	if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		value = yaml_scalar_resolve(text);
	else
		value = json_string(text);
	if (!value)
		return refuse(reader, &event->start_mark,
			      "the number is too large; use a smaller one");
	*ret_value = value;
	return 0;
}

/* The key is refused unless it is a plain or quoted word that is new here. */
static int take_key(struct reader *reader, const yaml_event_t *event,
		    const json_t *object)
{
	const char *key;
	char what[160];

	if (event->type != YAML_SCALAR_EVENT || event->data.scalar.tag ||
	    event->data.scalar.anchor)
		return refuse(reader, &event->start_mark,
			      "a key must be a plain word; write 'key: value'");
	key = (const char *)event->data.scalar.value;
	if (json_object_get(object, key)) {
		(void)snprintf(what, sizeof(what),
			       "key '%.100s' is here twice; keep one of them",
			       key);
		return refuse(reader, &event->start_mark, what);
	}
	return pointer_push(reader, key, &event->start_mark);
}

/* One key with its value. @event: the key. */
static int read_member(struct reader *reader, const yaml_event_t *event,
		       json_t *object)
{
	size_t length = strlen(reader->pointer);
	yaml_event_t inner;
	json_t *value = NULL;
	int ret = take_key(reader, event, object);

	if (ret < 0)
		return ret;
	ret = note_line(reader, &event->start_mark);
	if (ret < 0)
		return ret;
	ret = next_event(reader, &inner);
	if (ret < 0)
		return ret;
	ret = read_node(reader, &inner, &value);
	yaml_event_delete(&inner);
	reader->pointer[length] = '\0';
	if (ret < 0)
		return ret;
	if (json_object_set_new(object, (const char *)event->data.scalar.value,
				value) < 0)
		return refuse(reader, &event->start_mark,
			      "the key isn't UTF-8; write it in UTF-8");
	return 0;
}

static int read_item(struct reader *reader, const yaml_event_t *event,
		     json_t *array)
{
	size_t length = strlen(reader->pointer);
	char index[24];
	json_t *value = NULL;
	int ret;

	(void)snprintf(index, sizeof(index), "%zu", json_array_size(array));
	ret = pointer_push(reader, index, &event->start_mark);
	if (ret < 0)
		return ret;
	ret = note_line(reader, &event->start_mark);
	if (ret < 0)
		return ret;
	ret = read_node(reader, event, &value);
	reader->pointer[length] = '\0';
	if (ret < 0)
		return ret;
	if (json_array_append_new(array, value) < 0)
		return refuse(reader, &event->start_mark, "out of memory");
	return 0;
}

/* Reads members or items up to @end into @container. */
static int read_container(struct reader *reader, yaml_event_type_t end,
			  json_t *container)
{
	for (;;) {
		yaml_event_t event;
		int ret = next_event(reader, &event);
		bool ended;

		if (ret < 0)
			return ret;
		ended = event.type == end;
		if (!ended && json_is_object(container))
			ret = read_member(reader, &event, container);
		else if (!ended)
			ret = read_item(reader, &event, container);
		yaml_event_delete(&event);
		if (ret < 0 || ended)
			return ret;
	}
}

static int check_node(struct reader *reader, const yaml_event_t *event)
{
	const yaml_mark_t *mark = &event->start_mark;
	const yaml_char_t *tag = NULL;
	const yaml_char_t *anchor = NULL;

	if (event->type == YAML_ALIAS_EVENT)
		return refuse(reader, mark,
			      "aliases aren't taken; write the "
			      "value out");
	if (event->type == YAML_SCALAR_EVENT) {
		tag = event->data.scalar.tag;
		anchor = event->data.scalar.anchor;
	} else if (event->type == YAML_SEQUENCE_START_EVENT) {
		tag = event->data.sequence_start.tag;
		anchor = event->data.sequence_start.anchor;
	} else if (event->type == YAML_MAPPING_START_EVENT) {
		tag = event->data.mapping_start.tag;
		anchor = event->data.mapping_start.anchor;
	}
	if (tag)
		return refuse(reader, mark, "tags aren't taken; remove it");
	if (anchor)
		return refuse(reader, mark, "anchors aren't taken; remove it");
	if (reader->depth >= YAML_READ_MAX_DEPTH)
		return refuse(reader, mark, "nested too deeply; flatten it");
	if (++reader->value_count > YAML_READ_MAX_VALUES)
		return refuse(reader, mark, "too many values; shorten it");
	return 0;
}

static int read_node(struct reader *reader, const yaml_event_t *event,
		     json_t **ret_value)
{
	bool is_map = event->type == YAML_MAPPING_START_EVENT;
	json_t *container;
	int ret = check_node(reader, event);

	if (ret < 0)
		return ret;
	if (event->type == YAML_SCALAR_EVENT)
		return read_scalar(reader, event, ret_value);
	container = is_map ? json_object() : json_array();
	if (!container)
		return refuse(reader, &event->start_mark, "out of memory");
	reader->depth++;
	ret = read_container(reader,
			     is_map ? YAML_MAPPING_END_EVENT
				    : YAML_SEQUENCE_END_EVENT,
			     container);
	reader->depth--;
	if (ret < 0)
		json_decref(container);
	else
		*ret_value = container;
	return ret;
}

/* From the stream's start to its end: exactly one document. */
static int read_stream(struct reader *reader, json_t **ret_value)
{
	json_t *value = NULL;
	bool ended = false;
	int ret = 0;

	while (ret == 0 && !ended) {
		yaml_event_t event;

		ret = next_event(reader, &event);
		if (ret < 0)
			break;
		ended = event.type == YAML_STREAM_END_EVENT;
		if (event.type == YAML_DOCUMENT_START_EVENT && value)
			ret = refuse(reader, &event.start_mark,
				     "a second document begins; put each into "
				     "a file of its own");
		else if (event.type == YAML_SCALAR_EVENT ||
			 event.type == YAML_ALIAS_EVENT ||
			 event.type == YAML_SEQUENCE_START_EVENT ||
			 event.type == YAML_MAPPING_START_EVENT)
			ret = read_node(reader, &event, &value);
		yaml_event_delete(&event);
	}
	if (ret == 0 && !value)
		ret = error_set(reader->error, -EINVAL,
				"%s: is empty; see 'forebay policy create "
				"--help' for an example",
				reader->name);
	if (ret < 0)
		json_decref(value);
	else
		*ret_value = value;
	return ret;
}

static int take_all(FILE *stream, const char *name, char **ret_bytes,
		    size_t *ret_count, struct error *error)
{
	char *bytes = malloc(YAML_READ_MAX_BYTES + 1);
	size_t count;

	if (!bytes)
		return error_set(error, -ENOMEM, "%s: out of memory", name);
	errno = 0;
	count = fread(bytes, 1, YAML_READ_MAX_BYTES + 1, stream);
	if (ferror(stream)) {
		free(bytes);
		return error_set(error, -EIO, "%s: cannot be read: %s", name,
				 strerror(errno));
	}
	if (count > YAML_READ_MAX_BYTES) {
		free(bytes);
		return error_set(error, -EINVAL,
				 "%s: longer than 1 MiB; shorten it", name);
	}
	*ret_bytes = bytes;
	*ret_count = count;
	return 0;
}

int yaml_read(FILE *stream, const char *name, struct yaml_source *ret_source,
	      struct error *error)
{
	struct reader reader = {.name = name, .error = error};
	struct yaml_source source = {0};
	char *bytes = NULL;
	size_t count = 0;
	int ret = take_all(stream, name, &bytes, &count, error);

	if (ret < 0)
		return ret;
	source.name = strdup(name);
	source.lines = json_object();
	reader.lines = source.lines;
	if (!source.name || !source.lines ||
	    !yaml_parser_initialize(&reader.parser)) {
		ret = error_set(error, -ENOMEM, "%s: out of memory", name);
	} else {
		yaml_parser_set_input_string(
			&reader.parser, (const unsigned char *)bytes, count);
		ret = read_stream(&reader, &source.value);
		yaml_parser_delete(&reader.parser);
	}
	free(bytes);
	if (ret < 0)
		yaml_source_close(&source);
	else
		*ret_source = source;
	return ret;
}

void yaml_source_close(struct yaml_source *source)
{
	free(source->name);
	json_decref(source->value);
	json_decref(source->lines);
	*source = (struct yaml_source){0};
}

int yaml_source_line(const struct yaml_source *source, const char *pointer)
{
	char around[POINTER_BYTES];

	(void)snprintf(around, sizeof(around), "%s", pointer);
	for (;;) {
		json_t *line = json_object_get(source->lines, around);
		char *slash = strrchr(around, '/');

		if (line)
			return (int)json_integer_value(line);
		if (!slash)
			return 1;
		*slash = '\0';
	}
}
