/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bundle.c - one pass over the archive, entry by entry.
 */
#include "bundle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive_head.h"

/* -- reading ------------------------------------------------------------ */

struct reader {
	struct bundle_span archive;
	size_t at;
};

static bool all_zero(const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (bytes[i] != 0)
			return false;
	}
	return true;
}

/*
 * The next entry if it is @path. Returns: 0, -ENOENT if something else is
 * there, -EBADMSG if it is cut off or its padding holds something.
 */
static int read_entry(struct reader *reader, const char *path,
		      struct bundle_span *ret_content)
{
	size_t left = reader->archive.count - reader->at;
	const uint8_t *head = reader->archive.bytes + reader->at;
	uint64_t bytes;

	if (left < BUNDLE_BLOCK_BYTES)
		return -EBADMSG;
	if (archive_head_read(head, path, &bytes) < 0)
		return -ENOENT;
	left -= BUNDLE_BLOCK_BYTES;
	if (archive_padded(bytes) > left ||
	    !all_zero(head + BUNDLE_BLOCK_BYTES + bytes,
		      (size_t)(archive_padded(bytes) - bytes)))
		return -EBADMSG;
	*ret_content =
		(struct bundle_span){head + BUNDLE_BLOCK_BYTES, (size_t)bytes};
	reader->at += BUNDLE_BLOCK_BYTES + (size_t)archive_padded(bytes);
	return 0;
}

int bundle_read_head(struct bundle_span archive, struct bundle_head *ret_head,
		     struct bundle_refusal *refusal)
{
	struct reader reader = {.archive = archive};
	struct bundle_head head = {0};
	int status = read_entry(&reader, BUNDLE_MANIFEST_PATH, &head.manifest);

	if (status < 0)
		return bundle_refuse(refusal, BUNDLE_DAMAGED,
				     "it does not begin with a manifest");
	if (head.manifest.count > BUNDLE_MANIFEST_BYTES_MAX)
		return bundle_refuse(refusal, BUNDLE_TOO_LARGE,
				     "the manifest has more than %u KiB",
				     BUNDLE_MANIFEST_BYTES_MAX >> 10);
	status = read_entry(&reader, BUNDLE_SIGNATURE_PATH, &head.signature);
	if (status == -EBADMSG)
		return bundle_refuse(refusal, BUNDLE_DAMAGED,
				     "it is cut off after the manifest");
	if (status == -ENOENT)
		head.signature = (struct bundle_span){0};
	else if (head.signature.count == 0)
		return bundle_refuse(refusal, BUNDLE_TAMPERED,
				     "its signature is empty");
	head.files_at = reader.at;
	*ret_head = head;
	return 0;
}

static int read_file(struct reader *reader, const struct manifest_file *file,
		     struct bundle_span *ret_content,
		     struct bundle_refusal *refusal)
{
	uint8_t hash[SIGNING_HASH_BYTES];
	int status = read_entry(reader, file->path, ret_content);

	if (status == -ENOENT)
		return bundle_refuse(refusal, BUNDLE_UNEXPECTED_FILE,
				     "something else is where the manifest has "
				     "%s",
				     file->path);
	if (status < 0)
		return bundle_refuse(refusal, BUNDLE_DAMAGED,
				     "it is cut off at %s", file->path);
	signing_hash(*ret_content, hash);
	if (ret_content->count != file->bytes ||
	    memcmp(hash, file->hash, sizeof(hash)) != 0)
		return bundle_refuse(refusal, BUNDLE_TAMPERED,
				     "%s is not the file of the manifest",
				     file->path);
	return 0;
}

int bundle_read_files(struct bundle_span archive,
		      const struct bundle_head *head,
		      const struct manifest *manifest,
		      struct bundle_span ret_files[BUNDLE_FILES_MAX],
		      struct bundle_refusal *refusal)
{
	struct reader reader = {.archive = archive, .at = head->files_at};
	size_t left;
	int status = 0;

	for (uint32_t i = 0; i < manifest->file_count && status == 0; i++)
		status = read_file(&reader, &manifest->files[i], &ret_files[i],
				   refusal);
	if (status < 0)
		return status;
	left = archive.count - reader.at;
	if (left < BUNDLE_END_BYTES)
		return bundle_refuse(refusal, BUNDLE_DAMAGED,
				     "its end is missing");
	if (left > BUNDLE_END_BYTES ||
	    !all_zero(archive.bytes + reader.at, left))
		return bundle_refuse(refusal, BUNDLE_UNEXPECTED_FILE,
				     "it holds more than its manifest lists");
	return 0;
}

/* -- writing ------------------------------------------------------------ */

struct writer {
	uint8_t *bytes; /* zeroed, and large enough */
	size_t at;
};

static void write_entry(struct writer *writer, const char *path,
			struct bundle_span content)
{
	archive_head_make(path, content.count, writer->bytes + writer->at);
	writer->at += BUNDLE_BLOCK_BYTES;
	if (content.count > 0)
		memcpy(writer->bytes + writer->at, content.bytes,
		       content.count);
	writer->at += (size_t)archive_padded(content.count);
}

int bundle_write(struct bundle_span manifest_text,
		 const struct signature *signature,
		 const struct manifest *manifest,
		 const struct bundle_span *files, uint8_t **ret_archive,
		 size_t *ret_bytes)
{
	char text[SIGNING_TEXT_BYTES] = "";
	size_t bytes = 2 * BUNDLE_BLOCK_BYTES + BUNDLE_BLOCK_BYTES +
		       (size_t)archive_padded(manifest_text.count) +
		       BUNDLE_END_BYTES;
	struct writer writer = {0};

	for (uint32_t i = 0; i < manifest->file_count; i++)
		bytes += BUNDLE_BLOCK_BYTES +
			 (size_t)archive_padded(files[i].count);
	writer.bytes = calloc(1, bytes);
	if (!writer.bytes)
		return -ENOMEM;
	write_entry(&writer, BUNDLE_MANIFEST_PATH, manifest_text);
	if (signature) {
		signing_format_signature(signature, text);
		write_entry(&writer, BUNDLE_SIGNATURE_PATH,
			    (struct bundle_span){(const uint8_t *)text,
						 strlen(text)});
	}
	for (uint32_t i = 0; i < manifest->file_count; i++)
		write_entry(&writer, manifest->files[i].path, files[i]);
	*ret_archive = writer.bytes;
	*ret_bytes = writer.at + BUNDLE_END_BYTES;
	return 0;
}
