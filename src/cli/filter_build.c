/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter_build.c - forebay filter build: a folder becomes a bundle.
 *
 * The folder's manifest.json names the filter and its needs; what else stands
 * in the bundle's manifest the library says of itself. So the two can't differ.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "arguments.h"
#include "bundle_file.h"
#include "client.h"
#include "describe.h"
#include "file.h"
#include "installed.h"
#include "nouns.h"

struct builder {
	const char *folder;
	json_t *source; /* the folder's manifest.json */
	json_t *description;
	const char *name;
	char library[PATH_MAX]; /* where it is */
	char *contents[BUNDLE_FILES_MAX];
	json_t *files;
	struct bundle_file out;
	char *text; /* of the bundle's manifest */
};

static void release(struct builder *builder)
{
	json_decref(builder->source);
	json_decref(builder->description);
	json_decref(builder->files);
	for (size_t i = 0; i < BUNDLE_FILES_MAX; i++)
		free(builder->contents[i]);
	manifest_release(&builder->out.manifest);
	free(builder->text);
}

/* -- the folder's manifest ---------------------------------------------- */

static int check_source(const struct builder *builder, struct error *error)
{
	const char *key;
	json_t *value;

	if (!json_is_object(builder->source))
		return error_set(error, -EINVAL,
				 "%s/manifest.json: is not a JSON object",
				 builder->folder);
	json_object_foreach(builder->source, key, value)
	{
		if (strcmp(key, "name") != 0 && strcmp(key, "needs") != 0)
			return error_set(error, -EINVAL,
					 "%s/manifest.json: has \"%.40s\"; it "
					 "takes name and needs, the library "
					 "says the rest",
					 builder->folder, key);
	}
	if (!builder->name || strchr(builder->name, '/'))
		return error_set(error, -EINVAL,
				 "%s/manifest.json: lacks the filter's name",
				 builder->folder);
	return 0;
}

static int read_source(struct builder *builder, struct error *error)
{
	char path[PATH_MAX], *text;
	json_error_t where;
	int status;

	(void)snprintf(path, sizeof(path), "%s/manifest.json", builder->folder);
	status = file_read(path, BUNDLE_MANIFEST_BYTES_MAX, &text, NULL);
	if (status < 0)
		return error_set(error, status,
				 "%s: cannot be read: %s; it holds {\"name\": "
				 "NAME}",
				 path, strerror(-status));
	builder->source = json_loads(text, JSON_REJECT_DUPLICATES, &where);
	free(text);
	if (!builder->source)
		return error_set(error, -EINVAL, "%s:%d: %s", path, where.line,
				 where.text);
	builder->name =
		json_string_value(json_object_get(builder->source, "name"));
	return check_source(builder, error);
}

/* -- the library -------------------------------------------------------- */

/* In the folder, or in build/, where meson puts it. */
static int find_library(struct builder *builder, struct error *error)
{
	static const char *const forms[] = {"%s/%s.so", "%s/build/%s.so"};
	char path[PATH_MAX];
	unsigned int found = 0;

	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		(void)snprintf(path, sizeof(path), forms[i], builder->folder,
			       builder->name);
		if (access(path, F_OK) < 0)
			continue;
		memcpy(builder->library, path, strlen(path) + 1);
		found++;
	}
	if (found == 0)
		return error_set(error, -ENOENT,
				 "%s: has no %s.so, nor has its folder build; "
				 "compile the filter first",
				 builder->folder, builder->name);
	if (found > 1)
		return error_set(error, -EINVAL,
				 "%s: has a %s.so, and its folder build has "
				 "another; remove one",
				 builder->folder, builder->name);
	return 0;
}

static int describe(struct builder *builder, struct error *error)
{
	struct bundle_refusal refusal;
	char program[PATH_MAX];
	int status;

	installed_path("libexec/forebay/forebay-disk", program,
		       sizeof(program));
	status = describe_filter(program, builder->library,
				 &builder->description, &refusal);
	if (status == -EBADMSG)
		return bundle_file_refuse(builder->library, &refusal, error);
	return status < 0 ? error_set(error, status, "%s", refusal.detail) : 0;
}

/* -- files -------------------------------------------------------------- */

/* @path: in the bundle. */
static int add_file(struct builder *builder, const char *path, const char *from,
		    struct error *error)
{
	size_t index = json_array_size(builder->files), bytes;
	char hash_text[SIGNING_HASH_TEXT_BYTES];
	uint8_t hash[SIGNING_HASH_BYTES];
	struct bundle_span content;
	int status;

	if (index == BUNDLE_FILES_MAX)
		return error_set(error, -EINVAL,
				 "%s: has more than %u files for a bundle",
				 builder->folder, BUNDLE_FILES_MAX);
	status = file_read(from, BUNDLE_FILE_BYTES_MAX,
			   &builder->contents[index], &bytes);
	if (status < 0)
		return error_set(error, status, "%s: cannot be read: %s", from,
				 strerror(-status));
	content = (struct bundle_span){
		(const uint8_t *)builder->contents[index], bytes};
	signing_hash(content, hash);
	signing_hash_text(hash, hash_text);
	builder->out.files[index] = content;
	json_array_append_new(builder->files,
			      json_pack("{s:s, s:I, s:s}", "path", path,
					"bytes", (json_int_t)bytes, "sha256",
					hash_text));
	return 0;
}

/* Whatever its name says: the manifest's gate is the one that refuses. */
static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int add_docs(struct builder *builder, struct error *error)
{
	char folder[PATH_MAX - NAME_MAX - 2], from[PATH_MAX], path[PATH_MAX];
	struct dirent **entries = NULL;
	int status = 0, count;

	(void)snprintf(folder, sizeof(folder), "%s/docs", builder->folder);
	count = scandir(folder, &entries, is_visible, alphasort);
	for (int i = 0; i < count; i++) {
		(void)snprintf(path, sizeof(path), "docs/%s",
			       entries[i]->d_name);
		(void)snprintf(from, sizeof(from), "%s/%s", folder,
			       entries[i]->d_name);
		if (status == 0)
			status = add_file(builder, path, from, error);
		free(entries[i]);
	}
	free(entries);
	return status;
}

static int add_files(struct builder *builder, struct error *error)
{
	static const char *const companions[] = {"README.md", "LICENSE"};
	char path[PATH_MAX];
	int status;

	builder->files = json_array();
	(void)snprintf(path, sizeof(path), "%.200s.so", builder->name);
	status = add_file(builder, path, builder->library, error);
	for (size_t i = 0; i < sizeof(companions) / sizeof(*companions); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", builder->folder,
			       companions[i]);
		if (status == 0 && access(path, F_OK) == 0)
			status = add_file(builder, companions[i], path, error);
	}
	return status < 0 ? status : add_docs(builder, error);
}

/* -- the bundle --------------------------------------------------------- */

/* All that the library says and that has no member of its own. */
static json_t *make_interface(const json_t *description)
{
	static const char *const elsewhere[] = {"name", "version", "class",
						"description", "abi_version"};
	json_t *interface = json_copy((json_t *)description);

	for (size_t i = 0; i < sizeof(elsewhere) / sizeof(*elsewhere); i++)
		json_object_del(interface, elsewhere[i]);
	return interface;
}

static json_t *compose(const struct builder *builder)
{
	const json_t *description = builder->description;
	struct utsname machine;
	char library[PATH_MAX];

	if (uname(&machine) < 0)
		return NULL;
	(void)snprintf(library, sizeof(library), "%.200s.so", builder->name);
	return json_pack(
		"{s:i, s:O?, s:O?, s:O?, s:O?, s:O?, s:s, s:s, s:o, s:o, s:O}",
		"format", BUNDLE_FORMAT, "name",
		json_object_get(description, "name"), "version",
		json_object_get(description, "version"), "class",
		json_object_get(description, "class"), "description",
		json_object_get(description, "description"), "abi_version",
		json_object_get(description, "abi_version"), "architecture",
		machine.machine, "library", library, "interface",
		make_interface(description), "needs",
		manifest_complete_needs(
			json_object_get(builder->source, "needs")),
		"files", builder->files);
}

/* What it reads is what every reader will. */
static int make_manifest(struct builder *builder, struct error *error)
{
	json_t *document = compose(builder);
	struct bundle_refusal refusal;
	int status;

	builder->text = document ? json_dumps(document, JSON_INDENT(2)) : NULL;
	json_decref(document);
	if (!builder->text)
		return error_set(error, -ENOMEM, "forebay: out of memory");
	builder->out.head.manifest = (struct bundle_span){
		(const uint8_t *)builder->text, strlen(builder->text)};
	status = manifest_parse(builder->out.head.manifest,
				&builder->out.manifest, &refusal);
	if (status == 0 &&
	    strcmp(builder->out.manifest.name, builder->name) != 0)
		status = bundle_refuse(&refusal, BUNDLE_NAME_MISMATCH,
				       "its manifest.json names filter %.40s, "
				       "the library %s",
				       builder->name,
				       builder->out.manifest.name);
	return status < 0 ? bundle_file_refuse(builder->folder, &refusal, error)
			  : 0;
}

static int write_bundle(const struct builder *builder, const char *into,
			struct error *error)
{
	const struct manifest *manifest = &builder->out.manifest;
	char path[PATH_MAX];
	int status;

	if (into)
		(void)snprintf(path, sizeof(path), "%s", into);
	else
		(void)snprintf(path, sizeof(path), "%s-%s" BUNDLE_SUFFIX,
			       manifest->name, manifest->version);
	status = bundle_file_write(path, &builder->out, NULL, error);
	if (status == 0)
		(void)printf("%s: filter %s %s, not signed yet\n", path,
			     manifest->name, manifest->version);
	return status;
}

int filter_build(const struct invocation *invocation, struct client *client,
		 struct error *error)
{
	struct builder builder = {.folder = invocation->operands[0]};
	int status = 0;

	(void)client;
	if (signing_start() < 0 || strlen(builder.folder) > PATH_MAX / 2)
		return error_set(error, -EINVAL, "%s: too long a path",
				 builder.folder);
	status = read_source(&builder, error);
	if (status == 0)
		status = find_library(&builder, error);
	if (status == 0)
		status = describe(&builder, error);
	if (status == 0)
		status = add_files(&builder, error);
	if (status == 0)
		status = make_manifest(&builder, error);
	if (status == 0)
		status = write_bundle(&builder, invocation->flags[FLAG_INTO],
				      error);
	release(&builder);
	return status;
}
