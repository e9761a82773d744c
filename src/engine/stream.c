// SPDX-License-Identifier: Apache-2.0
/* stream.c - see stream.h. */
#include "stream.h"

#include <stddef.h>

static bool near(const struct stream *stream, uint64_t block)
{
	uint64_t low = stream->end > STREAM_NEAR_BLOCKS
			       ? stream->end - STREAM_NEAR_BLOCKS
			       : 0;

	return stream->used != 0 && block >= low &&
	       block <= stream->end + STREAM_NEAR_BLOCKS;
}

/* The one that ends nearest to @block, or else the one to be replaced. */
static struct stream *find(struct streams *streams, uint64_t block,
			   bool *ret_near)
{
	struct stream *oldest = &streams->streams[0];
	struct stream *nearest = NULL;
	uint64_t least = UINT64_MAX;

	for (uint32_t i = 0; i < STREAMS_MAX; i++) {
		struct stream *stream = &streams->streams[i];
		uint64_t distance = stream->end > block ? stream->end - block
							: block - stream->end;

		if (stream->used < oldest->used)
			oldest = stream;
		if (near(stream, block) && distance < least) {
			nearest = stream;
			least = distance;
		}
	}
	*ret_near = nearest != NULL;
	return nearest ? nearest : oldest;
}

bool stream_goes_on(struct streams *streams, uint64_t block, uint64_t count)
{
	bool is_near;
	struct stream *stream = find(streams, block, &is_near);

	if (!is_near)
		*stream = (struct stream){.begin = block, .end = block};
	stream->used = ++streams->count;
	stream->read_blocks += count;
	if (block < stream->begin)
		stream->begin = block;
	if (block + count > stream->end)
		stream->end = block + count;
	return stream->end - stream->begin > STREAM_BLOCKS &&
	       stream->read_blocks >= (stream->end - stream->begin) / 2;
}
