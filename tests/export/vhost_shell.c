// SPDX-License-Identifier: Apache-2.0
/*
 * vhost_shell.c - a vhost-user-blk driver that does what it is told, for tests
 * in Python.
 *
 *   vhost_shell SOCKET
 *
 * Prints "ready". Lines on standard input: "write OFFSET LENGTH BYTE" and
 * "flush" print "done STATUS"; "read OFFSET LENGTH" prints "done STATUS BYTE",
 * where BYTE is -1 unless all that was read is the same; "run COUNT LENGTH"
 * writes COUNT times LENGTH bytes, one after the other from the disk's start on
 * and round it again, and prints a "wrote N" after each, N from 1 on: its low
 * byte is what it wrote. "leave" stops the queue while written pages are
 * logged, as at the end of a migration, and "return" lets it run again; they
 * print "done RESULT" when the device has answered.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front.h"

#define DATA_BYTES (1u << 20)
#define SEGMENT_BYTES (64u << 10)
#define SECTOR_BYTES 512u

static int run_request(struct front *front, uint32_t type, uint64_t offset,
		       uint64_t length)
{
	struct iovec segments[DATA_BYTES / SEGMENT_BYTES];
	struct front_request request = {
		.type = type,
		.sector = offset / SECTOR_BYTES,
		.segments = segments,
	};
	uint32_t written;

	for (uint64_t at = 0; at < length; at += SEGMENT_BYTES)
		segments[request.segment_count++] = (struct iovec){
			.iov_base = front_data(front) + at,
			.iov_len = length - at < SEGMENT_BYTES ? length - at
							       : SEGMENT_BYTES,
		};
	return front_run(front, 0, &request, &written);
}

static int write_bytes(struct front *front, uint64_t offset, uint64_t length,
		       unsigned int byte)
{
	memset(front_data(front), (int)byte, length);
	return run_request(front, VIRTIO_BLK_T_OUT, offset, length);
}

static void read_bytes(struct front *front, uint64_t offset, uint64_t length)
{
	const uint8_t *data = front_data(front);
	int status = run_request(front, VIRTIO_BLK_T_IN, offset, length);
	bool same = true;

	for (uint64_t i = 1; i < length; i++)
		same = same && data[i] == data[0];
	printf("done %d %d\n", status, same ? data[0] : -1);
}

static void run_writes(struct front *front, uint64_t count, uint64_t length)
{
	uint64_t places = front->config.capacity * SECTOR_BYTES / DATA_BYTES;

	for (uint64_t i = 1; i <= count; i++) {
		if (write_bytes(front, (i - 1) % places * DATA_BYTES, length,
				i & 0xff) != 0)
			exit(1);
		printf("wrote %" PRIu64 "\n", i);
		fflush(stdout);
	}
}

static int leave(struct front *front)
{
	int result = front_log_start(front);

	return result < 0 ? result : front_stop(front);
}

static int come_back(struct front *front)
{
	int result = front_log_stop(front);

	return result < 0 ? result : front_start(front);
}

static void obey(struct front *front, const char *line)
{
	uint64_t offset;
	uint64_t length;
	unsigned int byte;

	if (sscanf(line, "write %" SCNu64 " %" SCNu64 " %u", &offset, &length,
		   &byte) == 3 &&
	    length <= DATA_BYTES)
		printf("done %d\n", write_bytes(front, offset, length, byte));
	else if (sscanf(line, "read %" SCNu64 " %" SCNu64, &offset, &length) ==
			 2 &&
		 length > 0 && length <= DATA_BYTES)
		read_bytes(front, offset, length);
	else if (sscanf(line, "run %" SCNu64 " %" SCNu64, &offset, &length) ==
			 2 &&
		 length <= DATA_BYTES)
		run_writes(front, offset, length);
	else if (strncmp(line, "leave", 5) == 0)
		printf("done %d\n", leave(front));
	else if (strncmp(line, "return", 6) == 0)
		printf("done %d\n", come_back(front));
	else if (strncmp(line, "flush", 5) == 0)
		printf("done %d\n",
		       run_request(front, VIRTIO_BLK_T_FLUSH, 0, 0));
	else
		printf("unknown\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct front_options options = {
		.queue_count = 1,
		.queue_size = 16,
		.data_bytes = DATA_BYTES,
		.log = true,
	};
	struct front *front;
	char line[128];

	if (argc != 2)
		return 2;
	options.socket_path = argv[1];
	if (front_create(&options, &front) < 0 || front_connect(front) < 0)
		return 1;
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		obey(front, line);
	front_destroy(front);
	return 0;
}
