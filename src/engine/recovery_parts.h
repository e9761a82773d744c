/* SPDX-License-Identifier: Apache-2.0 */
/* recovery_parts.h - what an engine knows while it recovers; a part of core.h.
 */
#ifndef FOREBAY_ENGINE_RECOVERY_PARTS_H
#define FOREBAY_ENGINE_RECOVERY_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine.h"
#include "inspect.h"

enum recovery_state {
	RECOVERY_OFF,
	RECOVERY_SUPERBLOCKS,
	RECOVERY_HEADS,
	RECOVERY_SURVEY,
	RECOVERY_RESURVEY,
	RECOVERY_VERIFY,
	RECOVERY_TAIL,
	RECOVERY_APPLY,
	RECOVERY_FLUSH,
	RECOVERY_ROW,
};

/* What stands in one segment. */
struct survey {
	uint64_t first_sequence; /* 0: nothing that counts */
	uint64_t last_sequence;
	uint64_t row_last; /* of the row that it belongs to */
	uint64_t epoch;
	uint64_t incarnation;
	uint32_t first_previous_crc;
	uint32_t last_crc;
	uint32_t segment;
	uint8_t summary_blocks; /* 0: not known yet */
	bool row_first; /* it begins its row */
	bool whole; /* its summary won't do */
};

/* A block above the durable sequence whose check value is wrong. */
struct suspect {
	uint64_t sequence;
	uint64_t block;
	uint64_t amended_by; /* 0: by nobody */
};
#define SUSPECTS_MAX 256u
#define RECOVERY_HEADS_IN_FLIGHT 64u

/* Summaries that are read at a time. */
#define RECOVERY_READS 16u
/* What is read of one before its length is known. */
#define RECOVERY_GUESS_BLOCKS 4u

enum summary_read_state { SUMMARY_NOT_READ, SUMMARY_BUSY, SUMMARY_THERE };

struct summary_read {
	struct engine_io io;
	struct iovec iov;
	uint8_t *buffer;
	uint32_t segment;
	uint32_t blocks;
	enum summary_read_state state;
	bool failed;
};

struct recovery {
	enum recovery_state state;
	bool warm; /* kept memory is believed */
	uint32_t warm_held; /* segments from the tail to the last applied one */
	uint32_t warm_last; /* the segment that holds the last applied one */
	bool no_heads; /* nothing is behind it */
	struct engine_io io;
	struct iovec iov;
	struct survey *surveys; /* by segment, then in order of sequence */
	uint32_t survey_count;
	uint32_t at; /* position in the pass */
	uint32_t heads_busy;
	uint32_t ahead; /* summaries before it were asked for in this pass */
	struct summary_read reads[RECOVERY_READS];
	bool busy; /* a segment is being read */
	bool there; /* it is in the buffer */
	uint32_t first; /* of the chain: where the tail is */
	uint32_t start; /* of the chain's newer half: holds durable */
	uint32_t end; /* behind the chain's last */
	uint64_t durable; /* highest known */
	uint64_t tail_seen; /* highest in any record, accepted or not */
	uint64_t cut;
	uint64_t tail;
	struct suspect suspects[SUSPECTS_MAX];
	uint32_t suspect_count;
};

/* Records that must have been there and can't be read. */
#define SALVAGE_GAPS_MAX 256u

struct salvage {
	struct inspect_gap gaps[SALVAGE_GAPS_MAX];
	uint32_t gap_count;
	uint32_t overlaps; /* segments that say what another one says, too */
	uint64_t applied; /* highest sequence that was applied */
};

#endif
