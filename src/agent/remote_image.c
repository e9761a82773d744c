/* SPDX-License-Identifier: Apache-2.0 */
/* remote_image.c - asks the backend's driver for the size. */
#include "remote_image.h"

#include <errno.h>
#include <inttypes.h>

#include "backend.h"

int remote_image_adopt(const char *uri, uint64_t wanted_bytes,
		       uint64_t *ret_size_bytes, struct problem *problem)
{
	uint64_t size_bytes = 0;
	struct error error = {0};
	int result = backend_probe(uri, &size_bytes, &error);

	if (result < 0) {
		problem_set(problem,
			    result == -ENOTSUP ? PROBLEM_BAD_BACKEND
					       : PROBLEM_BACKEND_MISSING,
			    "%s", error.message);
		problem_about(problem, "backend", uri);
		return problem_hint(problem,
				    "check that the server runs and has this "
				    "export");
	}
	if (wanted_bytes > 0 && wanted_bytes != size_bytes) {
		problem_set(problem, PROBLEM_SIZE_MISMATCH,
			    "backend %.200s has %" PRIu64
			    " bytes, not %" PRIu64,
			    uri, size_bytes, wanted_bytes);
		problem_about(problem, "backend", uri);
		return problem_hint(problem,
				    "the server decides: change it there, or "
				    "take its size");
	}
	*ret_size_bytes = size_bytes;
	return 0;
}
