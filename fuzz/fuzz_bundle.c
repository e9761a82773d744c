/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_bundle.c - what forebayd and forebay-bundle take from strangers. The
 * first byte says which gate the rest meets:
 *
 *   0  the archive of a bundle, as if its signature were good
 *   1  a manifest
 *   2  a signature; a public key; two versions, each in a line
 *   3  a packed bundle
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bundle.h"
#include "packing.h"
#include "version.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void check(int status, const struct bundle_refusal *refusal)
{
	assert(status == 0 || status == -EBADMSG);
	if (status < 0)
		assert(refusal->issue < BUNDLE_ISSUE_COUNT &&
		       refusal->detail[0] != '\0');
}

static void manifest(struct bundle_span text)
{
	struct bundle_refusal refusal = {BUNDLE_ISSUE_COUNT, ""};
	struct manifest parsed;
	int status = manifest_parse(text, &parsed, &refusal);
	uint64_t bytes = 0;

	check(status, &refusal);
	if (status < 0)
		return;
	assert(!strchr(parsed.name, '/') && !strchr(parsed.version, '/'));
	for (uint32_t i = 0; i < parsed.file_count; i++) {
		bytes += parsed.files[i].bytes;
		assert(!strstr(parsed.files[i].path, ".."
						     "/") &&
		       parsed.files[i].path[0] != '/');
	}
	assert(bytes <= BUNDLE_FILE_BYTES_MAX);
	manifest_release(&parsed);
}

static void archive(struct bundle_span span)
{
	struct bundle_refusal refusal = {BUNDLE_ISSUE_COUNT, ""};
	struct bundle_span files[BUNDLE_FILES_MAX];
	struct bundle_head head;
	struct manifest parsed;
	int status = bundle_read_head(span, &head, &refusal);

	check(status, &refusal);
	if (status < 0 || manifest_parse(head.manifest, &parsed, &refusal) < 0)
		return;
	status = bundle_read_files(span, &head, &parsed, files, &refusal);
	check(status, &refusal);
	for (uint32_t i = 0; status == 0 && i < parsed.file_count; i++)
		assert(files[i].bytes >= span.bytes &&
		       files[i].bytes + files[i].count <=
			       span.bytes + span.count);
	manifest_release(&parsed);
}

static void words(char *text, size_t count)
{
	char *second = strchr(text, '\n'), same[SIGNING_TEXT_BYTES];
	struct signature signature;
	struct signing_public key;

	if (signing_parse_signature(
		    (struct bundle_span){(uint8_t *)text, count}, &signature) ==
	    0) {
		signing_format_signature(&signature, same);
		assert(strcmp(same, text) == 0);
	}
	if (signing_parse_public(text, &key) == 0) {
		signing_format_public(&key, same);
		assert(strcmp(same, text) == 0);
	}
	if (!second)
		return;
	*second++ = '\0';
	if (version_valid(text) && version_valid(second)) {
		int order = version_compare(text, second);

		assert((order == 0) == (strcmp(text, second) == 0));
		assert((order < 0) == (version_compare(second, text) > 0));
	}
}

static void packed(struct bundle_span span)
{
	struct bundle_refusal refusal = {BUNDLE_ISSUE_COUNT, ""};
	int in_fd = memfd_create("in", 0), out_fd = memfd_create("out", 0);

	if (write(in_fd, span.bytes, span.count) == (ssize_t)span.count &&
	    lseek(in_fd, 0, SEEK_SET) == 0)
		check(packing_unpack(in_fd, out_fd, &refusal), &refusal);
	close(in_fd);
	close(out_fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	struct bundle_span rest;
	char *text;

	if (count == 0)
		return 0;
	(void)signing_start();
	/* With a NUL, and exactly as large as it is. */
	text = calloc(1, count);
	if (!text)
		return 0;
	memcpy(text, bytes + 1, count - 1);
	rest = (struct bundle_span){bytes + 1, count - 1};
	switch (bytes[0] % 4) {
	case 0:
		archive(rest);
		break;
	case 1:
		manifest(rest);
		break;
	case 2:
		words(text, count - 1);
		break;
	case 3:
		packed(rest);
		break;
	}
	free(text);
	return 0;
}
