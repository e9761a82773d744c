/* SPDX-License-Identifier: Apache-2.0 */
/*
 * archive_head.c - POSIX ustar: a regular file of root's, mode 0644, from the
 * beginning of time.
 */
#include "archive_head.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The fields are text with a NUL, numbers are octal. */
struct head {
	char name[100];
	char mode[8];
	char uid[8];
	char gid[8];
	char size[12];
	char mtime[12];
	char checksum[8];
	char type;
	char link_name[100];
	char magic[6];
	char version[2];
	char user[32];
	char group[32];
	char device_major[8];
	char device_minor[8];
	char prefix[155];
	char padding[12];
};

static_assert(sizeof(struct head) == BUNDLE_BLOCK_BYTES, "a block");
static_assert(offsetof(struct head, size) == 124, "POSIX");
static_assert(offsetof(struct head, checksum) == 148, "POSIX");
static_assert(offsetof(struct head, magic) == 257, "POSIX");

#define SIZE_DIGITS 11

/* The sum of all bytes, with blanks in the place of the sum. */
static unsigned int sum_of(const struct head *head)
{
	const uint8_t *bytes = (const uint8_t *)head;
	unsigned int sum = 0;

	for (size_t i = 0; i < sizeof(*head); i++)
		sum += bytes[i];
	return sum;
}

void archive_head_make(const char *path, uint64_t bytes,
		       uint8_t ret_head[BUNDLE_BLOCK_BYTES])
{
	struct head head = {.type = '0'};
	char sum[8];

	assert(strlen(path) <= BUNDLE_PATH_LENGTH_MAX);
	assert(bytes < UINT64_C(1) << 33);
	memcpy(head.name, path, strlen(path));
	memcpy(head.mode, "0000644", 8);
	memcpy(head.uid, "0000000", 8);
	memcpy(head.gid, "0000000", 8);
	(void)snprintf(head.size, sizeof(head.size), "%011llo",
		       (unsigned long long)bytes);
	memcpy(head.mtime, "00000000000", 12);
	memset(head.checksum, ' ', sizeof(head.checksum));
	memcpy(head.magic, "ustar", 6);
	memcpy(head.version, "00", 2);
	/* Six digits, a NUL, and the last blank stays. */
	(void)snprintf(sum, sizeof(sum), "%06o", sum_of(&head) & 0777777u);
	memcpy(head.checksum, sum, 7);
	memcpy(ret_head, &head, sizeof(head));
}

int archive_head_read(const uint8_t head[BUNDLE_BLOCK_BYTES], const char *path,
		      uint64_t *ret_bytes)
{
	const uint8_t *digits = head + offsetof(struct head, size);
	uint8_t same[BUNDLE_BLOCK_BYTES];
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < SIZE_DIGITS; i++) {
		if (digits[i] < '0' || digits[i] > '7')
			return -EBADMSG;
		bytes = bytes * 8 + (digits[i] - '0');
	}
	archive_head_make(path, bytes, same);
	if (memcmp(head, same, sizeof(same)) != 0)
		return -EBADMSG;
	*ret_bytes = bytes;
	return 0;
}
