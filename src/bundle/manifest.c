/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest.c - each member is checked where it is taken.
 */
#include "manifest.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "version.h"

#define LIST_LENGTH_MAX 32u

static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
static const char path_letters[] = "abcdefghijklmnopqrstuvwxyz0123456789"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ._-";
/* The lists of `needs`. */
static const char *const need_lists[] = {"files", "devices", "sockets", "keys"};

#define NEED_LIST_COUNT (sizeof(need_lists) / sizeof(*need_lists))

/* -- small gates -------------------------------------------------------- */

/* Printable, in one line. */
static bool text_valid(const json_t *value)
{
	const char *text = json_string_value(value);
	size_t length = json_string_length(value);

	if (!text || length == 0 || length > MANIFEST_TEXT_LENGTH_MAX)
		return false;
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	}
	return true;
}

static bool name_valid(const char *name)
{
	size_t length = strlen(name);

	return length > 0 && length <= MANIFEST_NAME_LENGTH_MAX &&
	       strspn(name, letters) > 0 &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

bool manifest_path_valid(const char *path)
{
	const char *file = path;

	if (strlen(path) > BUNDLE_PATH_LENGTH_MAX)
		return false;
	if (strncmp(path, "docs/", 5) == 0)
		file += 5;
	return file[0] != '\0' && file[0] != '.' &&
	       strspn(file, path_letters) == strlen(file);
}

/* Whether a bundle may hold it, beside its library. */
static bool is_companion(const char *path)
{
	return strncmp(path, "docs/", 5) == 0 ||
	       strcmp(path, "README.md") == 0 || strcmp(path, "LICENSE") == 0;
}

static int check_members(const json_t *object, const char *what,
			 const char *const *known,
			 struct bundle_refusal *refusal)
{
	const char *key;
	json_t *value;
	size_t count = 0;

	if (!json_is_object(object))
		return bundle_refuse(refusal, BUNDLE_BAD_MANIFEST,
				     "%s is not an object", what);
	while (known[count]) {
		if (!json_object_get(object, known[count]))
			return bundle_refuse(refusal, BUNDLE_BAD_MANIFEST,
					     "%s has no \"%s\"", what,
					     known[count]);
		count++;
	}
	if (json_object_size(object) == count)
		return 0;
	json_object_foreach((json_t *)object, key, value)
	{
		const char *const *name = known;

		(void)value;
		while (*name && strcmp(*name, key) != 0)
			name++;
		if (!*name)
			return bundle_refuse(refusal, BUNDLE_BAD_MANIFEST,
					     "%s has an unknown member "
					     "\"%.80s\"",
					     what, key);
	}
	return 0;
}

/* -- needs -------------------------------------------------------------- */

static int check_need_list(const json_t *list, const char *name,
			   struct bundle_refusal *refusal)
{
	const json_t *value;
	size_t index;

	if (!json_is_array(list) || json_array_size(list) > LIST_LENGTH_MAX)
		return bundle_refuse(refusal, BUNDLE_BAD_MANIFEST,
				     "needs: \"%s\" is not a list of at most "
				     "%u texts",
				     name, LIST_LENGTH_MAX);
	json_array_foreach(list, index, value)
	{
		if (!text_valid(value))
			return bundle_refuse(
				refusal, BUNDLE_BAD_MANIFEST,
				"needs: \"%s\" holds what is not a "
				"line of text",
				name);
	}
	return 0;
}

int manifest_check_needs(const json_t *needs, struct bundle_refusal *refusal)
{
	static const char *const members[] = {
		"files", "devices", "sockets", "keys", "memory_bytes", NULL,
	};
	const json_t *memory = json_object_get(needs, "memory_bytes");
	int status = check_members(needs, "needs", members, refusal);

	for (size_t i = 0; status == 0 && i < NEED_LIST_COUNT; i++)
		status = check_need_list(json_object_get(needs, need_lists[i]),
					 need_lists[i], refusal);
	if (status == 0 &&
	    (!json_is_integer(memory) || json_integer_value(memory) < 0))
		status = bundle_refuse(refusal, BUNDLE_BAD_MANIFEST,
				       "needs: \"memory_bytes\" is not a "
				       "number of bytes");
	return status;
}

json_t *manifest_complete_needs(const json_t *given)
{
	json_t *needs = json_object();

	for (size_t i = 0; i < NEED_LIST_COUNT; i++)
		json_object_set_new(needs, need_lists[i], json_array());
	json_object_set_new(needs, "memory_bytes", json_integer(0));
	if (given && json_object_update(needs, (json_t *)given) < 0) {
		json_decref(needs);
		return NULL;
	}
	return needs;
}

/* -- files -------------------------------------------------------------- */

static bool named_before(const struct manifest *manifest, const char *path)
{
	for (uint32_t i = 0; i < manifest->file_count; i++) {
		if (strcmp(manifest->files[i].path, path) == 0)
			return true;
	}
	return false;
}

static int take_file(const json_t *entry, struct manifest *manifest,
		     struct bundle_refusal *refusal)
{
	static const char *const members[] = {"path", "bytes", "sha256", NULL};
	struct manifest_file *file = &manifest->files[manifest->file_count];
	const json_t *bytes = json_object_get(entry, "bytes");
	const char *hash = json_string_value(json_object_get(entry, "sha256"));
	int status = check_members(entry, "a file", members, refusal);

	if (status < 0)
		return status;
	file->path = json_string_value(json_object_get(entry, "path"));
	if (!file->path || !manifest_path_valid(file->path))
		return bundle_refuse(refusal, BUNDLE_UNEXPECTED_FILE,
				     "\"%.100s\" is not a path that a bundle "
				     "may hold",
				     file->path ? file->path : "");
	if (strcmp(file->path, manifest->library) != 0 &&
	    !is_companion(file->path))
		return bundle_refuse(refusal, BUNDLE_UNEXPECTED_FILE,
				     "%s is neither the library nor "
				     "documentation",
				     file->path);
	if (named_before(manifest, file->path))
		return bundle_refuse(refusal, BUNDLE_BAD_MANIFEST,
				     "%s is listed twice", file->path);
	if (!json_is_integer(bytes) || json_integer_value(bytes) < 0 || !hash ||
	    signing_parse_hash(hash, file->hash) < 0)
		return bundle_refuse(refusal, BUNDLE_BAD_MANIFEST,
				     "%s has no size or no SHA-256",
				     file->path);
	file->bytes = (uint64_t)json_integer_value(bytes);
	manifest->file_count++;
	return 0;
}

static int take_files(const json_t *list, struct manifest *manifest,
		      struct bundle_refusal *refusal)
{
	const json_t *entry;
	uint64_t bytes = 0;
	size_t index;

	if (!json_is_array(list) || json_array_size(list) > BUNDLE_FILES_MAX)
		return bundle_refuse(refusal, BUNDLE_TOO_LARGE,
				     "its files are not a list of at most %u",
				     BUNDLE_FILES_MAX);
	assert(manifest->library);
	json_array_foreach(list, index, entry)
	{
		int status = take_file(entry, manifest, refusal);

		if (status < 0)
			return status;
		/* The first is not near overflow, so neither is the sum. */
		if (manifest->files[index].bytes > BUNDLE_FILE_BYTES_MAX)
			bytes = BUNDLE_FILE_BYTES_MAX + 1;
		else
			bytes += manifest->files[index].bytes;
		if (bytes > BUNDLE_FILE_BYTES_MAX)
			return bundle_refuse(
				refusal, BUNDLE_TOO_LARGE,
				"its files have more than %llu MiB together",
				(unsigned long long)BUNDLE_FILE_BYTES_MAX >>
					20);
	}
	if (!named_before(manifest, manifest->library))
		return bundle_refuse(refusal, BUNDLE_BAD_MANIFEST,
				     "the library %s is not among the files",
				     manifest->library);
	return 0;
}

/* -- the whole ---------------------------------------------------------- */

static int take_texts(struct manifest *manifest, struct bundle_refusal *refusal)
{
	static const char *const texts[] = {"name",    "version",
					    "class",   "description",
					    "library", "architecture"};
	const json_t *document = manifest->document;
	size_t name_length;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		if (!text_valid(json_object_get(document, texts[i])))
			return bundle_refuse(refusal, BUNDLE_BAD_MANIFEST,
					     "\"%s\" is not a line of text",
					     texts[i]);
	}
	manifest->name = json_string_value(json_object_get(document, "name"));
	manifest->version =
		json_string_value(json_object_get(document, "version"));
	manifest->filter_class =
		json_string_value(json_object_get(document, "class"));
	manifest->library =
		json_string_value(json_object_get(document, "library"));
	manifest->architecture =
		json_string_value(json_object_get(document, "architecture"));
	if (!name_valid(manifest->name))
		return bundle_refuse(refusal, BUNDLE_BAD_MANIFEST,
				     "\"%.40s\" is not the name of a filter",
				     manifest->name);
	if (!version_valid(manifest->version))
		return bundle_refuse(refusal, BUNDLE_BAD_MANIFEST,
				     "\"%.80s\" is not a semantic version",
				     manifest->version);
	name_length = strlen(manifest->name);
	if (strncmp(manifest->library, manifest->name, name_length) != 0 ||
	    strcmp(manifest->library + name_length, ".so") != 0)
		return bundle_refuse(refusal, BUNDLE_BAD_MANIFEST,
				     "the library of filter %s is not %s.so",
				     manifest->name, manifest->name);
	return 0;
}

static int take_all(struct manifest *manifest, struct bundle_refusal *refusal)
{
	static const char *const members[] = {
		"format",      "name",	      "version",   "class",
		"description", "abi_version", "interface", "architecture",
		"library",     "needs",	      "files",	   NULL,
	};
	const json_t *document = manifest->document;
	const json_t *abi = json_object_get(document, "abi_version");
	const json_t *format = json_object_get(document, "format");
	int status;

	/* First: a later format may have other members. */
	if (json_is_integer(format) &&
	    json_integer_value(format) != BUNDLE_FORMAT)
		return bundle_refuse(refusal, BUNDLE_BAD_MANIFEST,
				     "its format is %lld, this Forebay reads "
				     "%d",
				     (long long)json_integer_value(format),
				     BUNDLE_FORMAT);
	status = check_members(document, "the manifest", members, refusal);
	if (status == 0)
		status = take_texts(manifest, refusal);
	if (status < 0)
		return status;
	if (!json_is_integer(format) || !json_is_integer(abi) ||
	    json_integer_value(abi) < 1 || json_integer_value(abi) > UINT16_MAX)
		return bundle_refuse(refusal, BUNDLE_BAD_MANIFEST,
				     "\"format\" or \"abi_version\" is not a "
				     "number");
	manifest->abi_version = (uint32_t)json_integer_value(abi);
	if (!json_is_object(json_object_get(document, "interface")))
		return bundle_refuse(refusal, BUNDLE_BAD_MANIFEST,
				     "\"interface\" is not an object");
	manifest->needs = json_object_get(document, "needs");
	status = manifest_check_needs(manifest->needs, refusal);
	return status < 0 ? status
			  : take_files(json_object_get(document, "files"),
				       manifest, refusal);
}

int manifest_parse(struct bundle_span text, struct manifest *ret_manifest,
		   struct bundle_refusal *refusal)
{
	struct manifest manifest = {0};
	json_error_t where;
	int status;

	if (text.count > BUNDLE_MANIFEST_BYTES_MAX)
		return bundle_refuse(refusal, BUNDLE_TOO_LARGE,
				     "the manifest has more than %u KiB",
				     BUNDLE_MANIFEST_BYTES_MAX >> 10);
	manifest.document = json_loadb((const char *)text.bytes, text.count,
				       JSON_REJECT_DUPLICATES, &where);
	if (!manifest.document)
		return bundle_refuse(refusal, BUNDLE_BAD_MANIFEST,
				     "the manifest is not JSON: line %d, "
				     "column %d",
				     where.line, where.column);
	status = take_all(&manifest, refusal);
	if (status < 0)
		manifest_release(&manifest);
	else
		*ret_manifest = manifest;
	return status;
}

void manifest_release(struct manifest *manifest)
{
	json_decref(manifest->document);
	manifest->document = NULL;
}

/* -- against the library ------------------------------------------------ */

static bool says(const json_t *description, const char *member,
		 const char *text)
{
	const char *own =
		json_string_value(json_object_get(description, member));

	return own && strcmp(own, text) == 0;
}

static const char *said(const json_t *description, const char *member)
{
	const char *own =
		json_string_value(json_object_get(description, member));

	return own ? own : "";
}

/*
 * As deep as the parser goes. A member of which only one speaks is of another
 * version of Forebay.
 */
/* NOLINTNEXTLINE(misc-no-recursion) */
static bool agrees(const json_t *a, const json_t *b)
{
	const json_t *value;
	const char *member;

	if (json_typeof(a) != json_typeof(b))
		return false;
	if (json_is_object(a)) {
		json_object_foreach((json_t *)a, member, value)
		{
			const json_t *other = json_object_get(b, member);

			if (other && !agrees(value, other))
				return false;
		}
		return true;
	}
	if (!json_is_array(a))
		return json_equal(a, b);
	if (json_array_size(a) != json_array_size(b))
		return false;
	for (size_t i = 0; i < json_array_size(a); i++) {
		if (!agrees(json_array_get(a, i), json_array_get(b, i)))
			return false;
	}
	return true;
}

int manifest_check_description(const struct manifest *manifest,
			       const json_t *description,
			       struct bundle_refusal *refusal)
{
	const json_t *interface =
		json_object_get(manifest->document, "interface");
	const json_t *value;
	const char *member;

	if (json_integer_value(json_object_get(description, "abi_version")) !=
	    manifest->abi_version)
		return bundle_refuse(refusal, BUNDLE_WRONG_ABI,
				     "the library is of another filter ABI "
				     "than the manifest's %u",
				     manifest->abi_version);
	if (!says(description, "name", manifest->name))
		return bundle_refuse(refusal, BUNDLE_NAME_MISMATCH,
				     "the library calls itself %.40s, the "
				     "manifest %s",
				     said(description, "name"), manifest->name);
	if (!says(description, "class", manifest->filter_class))
		return bundle_refuse(refusal, BUNDLE_WRONG_CLASS,
				     "the library is of class %.40s, the "
				     "manifest says %.40s",
				     said(description, "class"),
				     manifest->filter_class);
	if (!says(description, "version", manifest->version))
		return bundle_refuse(refusal, BUNDLE_DESCRIPTION_MISMATCH,
				     "the library is version %.40s, the "
				     "manifest says %s",
				     said(description, "version"),
				     manifest->version);
	if (!says(description, "description",
		  json_string_value(
			  json_object_get(manifest->document, "description"))))
		return bundle_refuse(refusal, BUNDLE_DESCRIPTION_MISMATCH,
				     "the library's description is not that of "
				     "the manifest");
	json_object_foreach((json_t *)interface, member, value)
	{
		const json_t *own = json_object_get(description, member);

		if (own && !agrees(own, value))
			return bundle_refuse(
				refusal, BUNDLE_DESCRIPTION_MISMATCH,
				"the library's %.40s are not those "
				"of the manifest",
				member);
	}
	return 0;
}
