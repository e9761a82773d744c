/* SPDX-License-Identifier: Apache-2.0 */
/* bundle_unpack.h - has forebay-bundle unpack what a stranger sent. */
#ifndef FOREBAY_AGENT_BUNDLE_UNPACK_H
#define FOREBAY_AGENT_BUNDLE_UNPACK_H

#include "bundle.h"
#include "host.h"

#define BUNDLE_UNPACK_TIMEOUT_MS 60000

/*
 * The archive of the bundle in @fd, mapped read-only. Returns: 0, -EBADMSG with
 * @refusal, or -errno. Owns: bundle_unpack_release().
 */
int bundle_unpack(const struct host *host, int fd,
		  struct bundle_span *ret_archive,
		  struct bundle_refusal *refusal);
void bundle_unpack_release(struct bundle_span *archive);

#endif
