/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packing.c - the streaming decoder with a limit at each of its ends.
 *
 * A frame may ask for a window of any size, and a few bytes of it may stand for
 * gigabytes: the one is refused before memory is taken for it, the other where
 * it reaches the limit.
 */
#include "packing.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

#include "file.h"

#define STEP_BYTES 65536u
#define LEVEL 19

struct unpacking {
	ZSTD_DCtx *decoder;
	uint64_t read_bytes;
	uint64_t written_bytes;
	bool ended; /* the frame has */
	uint8_t in[STEP_BYTES];
	uint8_t out[STEP_BYTES];
};

static int refuse_frame(struct bundle_refusal *refusal)
{
	return bundle_refuse(refusal, BUNDLE_DAMAGED,
			     "it is not one whole zstd frame");
}

/* What is in `in`, as far as it goes. */
static int unpack_step(struct unpacking *unpacking, size_t count, int out_fd,
		       struct bundle_refusal *refusal)
{
	ZSTD_inBuffer in = {unpacking->in, count, 0};
	bool more = true;
	int status = 0;

	/* A full output may leave something in the decoder. */
	while (status == 0 && !unpacking->ended && (in.pos < in.size || more)) {
		ZSTD_outBuffer out = {unpacking->out, STEP_BYTES, 0};
		size_t left =
			ZSTD_decompressStream(unpacking->decoder, &out, &in);

		if (ZSTD_isError(left))
			return refuse_frame(refusal);
		unpacking->ended = left == 0;
		more = out.pos == out.size;
		unpacking->written_bytes += out.pos;
		if (unpacking->written_bytes > BUNDLE_ARCHIVE_BYTES_MAX)
			return bundle_refuse(
				refusal, BUNDLE_TOO_LARGE,
				"it unpacks to more than %u MiB",
				(unsigned int)(BUNDLE_ARCHIVE_BYTES_MAX >> 20));
		status = file_write_all(out_fd, out.dst, out.pos);
	}
	if (status == 0 && in.pos < in.size)
		return bundle_refuse(refusal, BUNDLE_UNEXPECTED_FILE,
				     "there is something behind its end");
	return status;
}

static int unpack_all(struct unpacking *unpacking, int in_fd, int out_fd,
		      struct bundle_refusal *refusal)
{
	for (;;) {
		ssize_t count = read(in_fd, unpacking->in, STEP_BYTES);
		int status;

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -errno;
		if (count == 0)
			return unpacking->ended ? 0 : refuse_frame(refusal);
		unpacking->read_bytes += (uint64_t)count;
		if (unpacking->read_bytes > BUNDLE_PACKED_BYTES_MAX)
			return bundle_refuse(
				refusal, BUNDLE_TOO_LARGE,
				"it has more than %u MiB",
				(unsigned int)(BUNDLE_PACKED_BYTES_MAX >> 20));
		status = unpack_step(unpacking, (size_t)count, out_fd, refusal);
		if (status < 0)
			return status;
	}
}

int packing_unpack(int in_fd, int out_fd, struct bundle_refusal *refusal)
{
	struct unpacking *unpacking = calloc(1, sizeof(*unpacking));
	int status = -ENOMEM;

	if (unpacking)
		unpacking->decoder = ZSTD_createDCtx();
	if (unpacking && unpacking->decoder &&
	    !ZSTD_isError(ZSTD_DCtx_setParameter(unpacking->decoder,
						 ZSTD_d_windowLogMax,
						 BUNDLE_WINDOW_LOG_MAX)))
		status = unpack_all(unpacking, in_fd, out_fd, refusal);
	if (unpacking)
		ZSTD_freeDCtx(unpacking->decoder);
	free(unpacking);
	return status;
}

int packing_pack(struct bundle_span archive, uint8_t **ret_packed,
		 size_t *ret_bytes)
{
	size_t room = ZSTD_compressBound(archive.count), bytes = 0;
	ZSTD_CCtx *coder = ZSTD_createCCtx();
	uint8_t *packed = malloc(room);
	bool set = coder && packed;

	set = set &&
	      !ZSTD_isError(ZSTD_CCtx_setParameter(
		      coder, ZSTD_c_compressionLevel, LEVEL)) &&
	      !ZSTD_isError(ZSTD_CCtx_setParameter(coder, ZSTD_c_windowLog,
						   BUNDLE_WINDOW_LOG_MAX)) &&
	      !ZSTD_isError(
		      ZSTD_CCtx_setParameter(coder, ZSTD_c_checksumFlag, 1));
	if (set)
		bytes = ZSTD_compress2(coder, packed, room, archive.bytes,
				       archive.count);
	ZSTD_freeCCtx(coder);
	if (!set || ZSTD_isError(bytes)) {
		free(packed);
		return -ENOMEM;
	}
	*ret_packed = packed;
	*ret_bytes = bytes;
	return 0;
}
