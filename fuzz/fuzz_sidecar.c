/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_sidecar.c - what stands beside a backend may be anybody's writing.
 *
 * The bytes are a sidecar's text, and after their first slot a whole file whose
 * slots are read as they are. What is understood is written back and understood
 * as the same.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "claim.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void try_text(const char *text)
{
	struct claim_record record, again;
	char written[SIDECAR_TEXT_BYTES];

	if (claim_parse(text, &record) < 0)
		return;
	claim_format(&record, written);
	assert(claim_parse(written, &again) == 0);
	assert(again.generation == record.generation);
	assert(again.marked == record.marked);
	assert(again.closed.known == record.closed.known);
}

static void try_file(const uint8_t *bytes, size_t count)
{
	struct sidecar sidecar = {.writable = true, .path = "a memory"};
	char text[SIDECAR_TEXT_BYTES], again[SIDECAR_TEXT_BYTES];
	struct error error;

	sidecar.fd = memfd_create("sidecar", MFD_CLOEXEC);
	assert(sidecar.fd >= 0);
	assert(pwrite(sidecar.fd, bytes, count, 0) == (ssize_t)count);
	if (sidecar_read(&sidecar, text, &error) == 0 &&
	    sidecar_write(&sidecar, text, &error) == 0) {
		assert(sidecar_read(&sidecar, again, &error) == 0);
		assert(strcmp(text, again) == 0);
	}
	close(sidecar.fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	char text[SIDECAR_TEXT_BYTES];
	size_t length = count < sizeof(text) ? count : sizeof(text) - 1;

	memcpy(text, bytes, length);
	text[length] = '\0';
	try_text(text);
	try_file(bytes, count);
	return 0;
}
