// SPDX-License-Identifier: Apache-2.0
/*
 * claim_text.c - a claim's record as the text of a sidecar.
 *
 *   disk UUID
 *   generation 16 hex digits
 *   marker host UUID epoch N generation 16 hex digits
 *   marker-host NAME
 *   void 16 hex digits
 *   filters NAME NAME ...
 *   closed inode N size N mtime NS ctime NS
 *
 * The last five lines are there if they say something. A line that begins with
 * another word is skipped: it is of a later Forebay.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "claim.h"
#include "uuid_text.h"

void claim_format(const struct claim_record *record,
		  char ret_text[SIDECAR_TEXT_BYTES])
{
	const struct backend_facts *closed = &record->closed;
	char disk[UUID_TEXT_BYTES], host[UUID_TEXT_BYTES];
	char marker[256] = "", facts[256] = "", voided[32] = "";
	char filters[CLAIM_FILTERS_BYTES + 16] = "";

	uuid_format(record->disk_uuid, disk);
	uuid_format(record->host_uuid, host);
	if (record->marked)
		snprintf(marker, sizeof(marker),
			 "marker host %s epoch %" PRIu64
			 " generation %016" PRIx64 "\nmarker-host %s\n",
			 host, record->epoch, record->marked_generation,
			 record->host_name);
	if (record->voided != 0)
		snprintf(voided, sizeof(voided), "void %016" PRIx64 "\n",
			 record->voided);
	if (record->filters[0])
		snprintf(filters, sizeof(filters), "filters %s\n",
			 record->filters);
	if (closed->known)
		snprintf(facts, sizeof(facts),
			 "closed inode %" PRIu64 " size %" PRIu64
			 " mtime %" PRId64 " ctime %" PRId64 "\n",
			 closed->inode, closed->size_bytes, closed->mtime_ns,
			 closed->ctime_ns);
	snprintf(ret_text, SIDECAR_TEXT_BYTES,
		 "disk %s\ngeneration %016" PRIx64 "\n%s%s%s%s", disk,
		 record->generation, marker, voided, filters, facts);
}

static int parse_marker(const char *line, struct claim_record *record)
{
	char host[UUID_TEXT_BYTES];

	record->marked = true;
	return sscanf(line,
		      "marker host %36s epoch %" SCNu64
		      " generation %16" SCNx64,
		      host, &record->epoch, &record->marked_generation) == 3
		       ? uuid_parse(host, record->host_uuid)
		       : -EUCLEAN;
}

static int parse_closed(const char *line, struct backend_facts *facts)
{
	facts->known = true;
	return sscanf(line,
		      "closed inode %" SCNu64 " size %" SCNu64 " mtime %" SCNd64
		      " ctime %" SCNd64,
		      &facts->inode, &facts->size_bytes, &facts->mtime_ns,
		      &facts->ctime_ns) == 4
		       ? 0
		       : -EUCLEAN;
}

static int parse_line(const char *line, struct claim_record *record)
{
	char disk[UUID_TEXT_BYTES];

	if (strncmp(line, "marker ", 7) == 0)
		return parse_marker(line, record);
	if (strncmp(line, "closed ", 7) == 0)
		return parse_closed(line, &record->closed);
	if (strncmp(line, "disk ", 5) == 0)
		return sscanf(line, "disk %36s", disk) == 1
			       ? uuid_parse(disk, record->disk_uuid)
			       : -EUCLEAN;
	if (strncmp(line, "generation ", 11) == 0)
		return sscanf(line, "generation %16" SCNx64,
			      &record->generation) == 1
			       ? 0
			       : -EUCLEAN;
	if (strncmp(line, "void ", 5) == 0)
		return sscanf(line, "void %16" SCNx64, &record->voided) == 1
			       ? 0
			       : -EUCLEAN;
	if (strncmp(line, "filters ", 8) == 0)
		snprintf(record->filters, sizeof(record->filters), "%.519s",
			 line + 8);
	/* Printed, and nothing else. */
	if (strncmp(line, "marker-host ", 12) == 0)
		snprintf(record->host_name, sizeof(record->host_name), "%.64s",
			 line + 12);
	return 0;
}

int claim_parse(const char *text, struct claim_record *ret_record)
{
	struct claim_record record = {0};
	char line[SIDECAR_TEXT_BYTES];

	while (*text) {
		size_t length = strcspn(text, "\n");

		if (length >= sizeof(line))
			return -EUCLEAN;
		memcpy(line, text, length);
		line[length] = '\0';
		if (parse_line(line, &record) < 0)
			return -EUCLEAN;
		text += length + (text[length] == '\n');
	}
	*ret_record = record;
	return 0;
}
