/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bundle_scene.c - the files are spans of these texts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "bundle_scene.h"

static const char library[] = "this would be ELF";
static const char page[] = "# null\n";

static const struct {
	const char *path;
	struct bundle_span content;
} files[] = {
	{"null.so", {(const uint8_t *)library, sizeof(library) - 1}},
	{"docs/null.md", {(const uint8_t *)page, sizeof(page) - 1}},
};

#define FILE_COUNT (sizeof(files) / sizeof(*files))

static json_t *list_files(void)
{
	json_t *list = json_array();

	for (size_t i = 0; i < FILE_COUNT; i++) {
		uint8_t hash[SIGNING_HASH_BYTES];
		char text[SIGNING_HASH_TEXT_BYTES];

		signing_hash(files[i].content, hash);
		signing_hash_text(hash, text);
		json_array_append_new(
			list,
			json_pack("{s:s, s:I, s:s}", "path", files[i].path,
				  "bytes", (json_int_t)files[i].content.count,
				  "sha256", text));
	}
	return list;
}

void scene_open(struct scene *scene)
{
	*scene = (struct scene){0};
	assert_int_equal(signing_start(), 0);
	signing_generate(&scene->secret);
	signing_public_of(&scene->secret, &scene->key);
	scene->manifest = json_pack(
		"{s:i, s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:{s:[s], s:[]}, "
		"s:o, s:o}",
		"format", BUNDLE_FORMAT, "name", "null", "version", "1.0.0",
		"class", "inspection", "description", "Does nothing.",
		"abi_version", 1, "architecture", "x86_64", "library",
		"null.so", "interface", "operations", "read", "properties",
		"needs", manifest_complete_needs(NULL), "files", list_files());
	assert_non_null(scene->manifest);
}

void scene_write(struct scene *scene, bool sign)
{
	struct manifest layout = {.file_count = FILE_COUNT};
	struct bundle_span contents[FILE_COUNT], text;
	struct signature signature;

	free(scene->text);
	free(scene->archive);
	scene->text = json_dumps(scene->manifest, JSON_INDENT(2));
	assert_non_null(scene->text);
	text = (struct bundle_span){(const uint8_t *)scene->text,
				    strlen(scene->text)};
	for (size_t i = 0; i < FILE_COUNT; i++) {
		layout.files[i].path = files[i].path;
		contents[i] = files[i].content;
	}
	signing_sign(&scene->secret, text, &signature);
	assert_int_equal(bundle_write(text, sign ? &signature : NULL, &layout,
				      contents, &scene->archive, &scene->bytes),
			 0);
}

void scene_close(struct scene *scene)
{
	json_decref(scene->manifest);
	free(scene->text);
	free(scene->archive);
}

int scene_read(const struct scene *scene, struct bundle_span archive,
	       struct bundle_refusal *refusal)
{
	struct bundle_span contents[BUNDLE_FILES_MAX];
	struct signature signature;
	struct bundle_head head;
	struct manifest manifest;
	int status = bundle_read_head(archive, &head, refusal);

	if (status < 0)
		return status;
	if (head.signature.count == 0)
		return bundle_refuse(refusal, BUNDLE_UNSIGNED, "unsigned");
	if (signing_parse_signature(head.signature, &signature) < 0 ||
	    !signing_verify(&signature, &scene->key, head.manifest))
		return bundle_refuse(refusal, BUNDLE_TAMPERED, "signature");
	status = manifest_parse(head.manifest, &manifest, refusal);
	if (status < 0)
		return status;
	status =
		bundle_read_files(archive, &head, &manifest, contents, refusal);
	manifest_release(&manifest);
	return status;
}
