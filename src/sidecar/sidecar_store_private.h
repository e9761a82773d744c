/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sidecar_store_private.h - what the parts of a store share.
 *
 *   sidecar_store.c       requests, syncs, what has ended
 *   sidecar_append.c      writes and resizes become records
 *   sidecar_read.c        reads are put together from journal and data
 *   sidecar_checkpoint.c  the journal is copied into the data and emptied
 *   sidecar_open.c        before all that: what is in the file
 *
 * Each part has a function that starts what can be started now, and is called
 * whenever anything has changed.
 */
#ifndef FOREBAY_SIDECAR_SIDECAR_STORE_PRIVATE_H
#define FOREBAY_SIDECAR_SIDECAR_STORE_PRIVATE_H

#include "sidecar_index.h"
#include "sidecar_store.h"

/* Ios, by number: reads come first. */
#define SIDECAR_IO_APPEND (SIDECAR_STORE_READS_MAX)
#define SIDECAR_IO_SYNCING (SIDECAR_STORE_READS_MAX + 1)
#define SIDECAR_IO_COPY (SIDECAR_STORE_READS_MAX + 2)

#define SIDECAR_READ_IOV_MAX 256u
#define SIDECAR_COPY_BLOCKS 64u

struct sidecar_list {
	struct sidecar_request *first;
	struct sidecar_request *last;
};

/* A READ under way, one piece after the other. */
struct sidecar_reader {
	struct sidecar_request *request; /* NULL: free */
	uint64_t done_bytes;
	uint64_t piece_bytes;
	uint32_t phase; /* of the journal's readers; 2: reads the data */
	struct iovec iov[SIDECAR_READ_IOV_MAX];
};

enum sidecar_append_step {
	SIDECAR_APPEND_IDLE,
	SIDECAR_APPEND_RECORD,
	SIDECAR_APPEND_SYNC, /* of a RESIZE that makes it shorter */
	SIDECAR_APPEND_RESIZE,
};

struct sidecar_append {
	enum sidecar_append_step step;
	struct sidecar_list requests; /* of the record */
	uint32_t at; /* block of the journal */
	uint32_t blocks; /* with the header */
	uint32_t skipped; /* before it, at the journal's end */
	uint64_t ticket;
	struct sidecar_record record;
	struct iovec iov[1 + SIDECAR_STORE_IOV_MAX];
};

enum sidecar_checkpoint_step {
	SIDECAR_CHECKPOINT_IDLE,
	SIDECAR_CHECKPOINT_JOURNAL_SYNC,
	SIDECAR_CHECKPOINT_COPY_READ,
	SIDECAR_CHECKPOINT_COPY_WRITE,
	SIDECAR_CHECKPOINT_DATA_SYNC,
	SIDECAR_CHECKPOINT_READERS,
	SIDECAR_CHECKPOINT_HEAD_WRITE,
	SIDECAR_CHECKPOINT_HEAD_SYNC,
};

struct sidecar_checkpoint {
	enum sidecar_checkpoint_step step;
	bool wanted; /* somebody waits for room */
	bool failed; /* the last one: the next begins only when it is wanted */
	int error; /* of the last one, until somebody was told */
	uint32_t used; /* blocks of the journal that it will free */
	uint32_t next; /* where the journal begins then */
	uint64_t sequence; /* of the last record that it covers */
	uint64_t ticket;
	struct sidecar_place *places; /* all that it copies */
	uint32_t count;
	uint32_t copied;
	uint32_t run; /* blocks that are being copied */
	struct iovec iov;
	uint8_t *buffer; /* SIDECAR_COPY_BLOCKS */
	uint64_t complete; /* since the open */
};

struct sidecar_store {
	struct sidecar_store_spec spec;
	struct sidecar_store_host host;
	struct sidecar_head head; /* the newest, or the one being written */
	uint64_t length_bytes;
	uint64_t planned_bytes; /* when all that is queued has been done */
	int broken; /* why nothing is written any more */

	uint32_t next; /* block of the journal for the next record */
	uint32_t used; /* blocks of it that hold something */
	uint64_t completed; /* sequence of the last record */
	uint64_t durable; /* of the last one that a sync has covered */
	uint64_t records;
	struct sidecar_index index;

	struct sidecar_io ios[SIDECAR_STORE_IOS];
	uint32_t under_way; /* ios, by bit */
	struct sidecar_list queue; /* WRITE and RESIZE */
	struct sidecar_list reads; /* that have no reader */
	struct sidecar_list flushes;
	struct sidecar_list ended; /* done() is due */
	bool advancing;
	bool changed; /* what could not be started before may be now */

	uint64_t sync_wanted; /* tickets: the n-th sync since the open */
	uint64_t sync_started;
	uint64_t sync_finished;
	uint64_t sync_covers; /* `completed` when it was started */

	struct sidecar_reader readers[SIDECAR_STORE_READS_MAX];
	uint32_t phase; /* 0 or 1: which readers of the journal are new */
	uint32_t phase_readers[2];
	struct sidecar_append append;
	struct sidecar_checkpoint checkpoint;
};

/* Lists. */
void sidecar_list_add(struct sidecar_list *list,
		      struct sidecar_request *request);
/* Returns: NULL if it is empty. */
struct sidecar_request *sidecar_list_take(struct sidecar_list *list);

/* For all parts. */
void sidecar_finish(struct sidecar_store *store,
		    struct sidecar_request *request, int result);
void sidecar_finish_all(struct sidecar_store *store, struct sidecar_list *list,
			int result);
void sidecar_start(struct sidecar_store *store, uint32_t number,
		   const struct sidecar_io *io);
/* Returns: the ticket of a sync that begins from now on. */
uint64_t sidecar_sync_want(struct sidecar_store *store);
/* Nothing is written any more. */
void sidecar_break(struct sidecar_store *store, int error);
/* Where a block of the data or of the journal is in the file, in bytes. */
uint64_t sidecar_data_offset(const struct sidecar_store *store, uint64_t block);
uint64_t sidecar_journal_offset(uint32_t block);

/* The parts: start what can be started; an io has ended. */
void sidecar_append_start(struct sidecar_store *store);
void sidecar_append_done(struct sidecar_store *store, int result);
void sidecar_read_start(struct sidecar_store *store);
void sidecar_read_done(struct sidecar_store *store, uint32_t number,
		       int result);
void sidecar_checkpoint_start(struct sidecar_store *store);
void sidecar_checkpoint_done(struct sidecar_store *store, int result);

#endif
