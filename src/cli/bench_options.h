/* SPDX-License-Identifier: Apache-2.0 */
/* bench_options.h - the flags of forebay bench as options of the load. */
#ifndef FOREBAY_CLI_BENCH_OPTIONS_H
#define FOREBAY_CLI_BENCH_OPTIONS_H

#include "load.h"

struct error;
struct invocation;

/*
 * Everything but protocol and address. @ret_options borrows the flags' values.
 * Returns: 0 or -EINVAL with @error filled.
 */
int bench_options_parse(const struct invocation *invocation,
			struct load_options *ret_options, struct error *error);

#endif
