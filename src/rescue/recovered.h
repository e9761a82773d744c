/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recovered.h - what a start would find in a cache file, found without one.
 *
 * The engine's own recovery over a file that is only read (inspect.h).
 */
#ifndef FOREBAY_RESCUE_RECOVERED_H
#define FOREBAY_RESCUE_RECOVERED_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "inspect.h"
#include "source.h"

struct recovered {
	const struct source *source;
	struct engine *engine;
	void *memory;
	size_t memory_bytes;
	struct inspect_log log;
	bool salvaged;
	uint64_t disk_bytes; /* 0: nobody knows */
};

/*
 * @how: what kind of look. @source is borrowed. Returns: 0; -EUCLEAN or -EIO,
 * with the words of a start that refuses; -ENOMEM.
 */
int recovered_make(const struct source *source, enum engine_inspection how,
		   struct recovered *ret_recovered, struct error *error);
void recovered_release(struct recovered *recovered);

#endif
