/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bundle_store.h - the filter bundles that are installed on this host.
 *
 *	lib/filters/NAME/VERSION/	manifest.json, manifest.sig, and the
 *					files of the manifest
 *	lib/filters/.new-XXXXXX		one that is being installed
 *	lib/filters/.old-XXXXXX		one that is being removed
 *
 * A folder gets its name when all of it is on disk, and loses it before any of
 * it is removed: so what is installed is what has a name, after any crash.
 *There is no second place that could say otherwise. The signature and the
 *library's hash are checked again whenever a library is looked at anew.
 *
 * Thread: any; installing and removing happen one at a time.
 */
#ifndef FOREBAY_AGENT_BUNDLE_STORE_H
#define FOREBAY_AGENT_BUNDLE_STORE_H

#include <jansson.h>

#include "bundle.h"
#include "host.h"
#include "trusted_keys.h"
#include "version.h"

#define BUNDLE_VERSIONS_MAX 32u

/* Names of versions, from the oldest to the newest. */
struct bundle_versions {
	unsigned int count;
	char text[BUNDLE_VERSIONS_MAX][VERSION_LENGTH_MAX + 1];
};

/* Removes what a killed forebayd left half done. */
void bundle_store_repair(const struct host *host);

void bundle_store_versions(const struct host *host, const char *filter,
			   struct bundle_versions *ret_versions);
/* Of the library of an installed bundle. */
struct host_path bundle_store_library(const struct host *host,
				      const char *filter, const char *version);

/*
 * Looks at an installed bundle: signature, manifest, hash of its library.
 * Returns: 0, -EBADMSG with @refusal, -ENOENT, or -errno. Owns:
 * manifest_release().
 */
int bundle_store_check(const struct host *host, const char *filter,
		       const char *version, struct manifest *ret_manifest,
		       struct signer *ret_signer,
		       struct bundle_refusal *refusal);

/*
 * @fd: a file with the packed bundle, which is unpacked, checked, loaded for a
 * try, and installed. *ret_name: "NAME@VERSION". One that is there already, the
 * same, is a success.
 * Returns: 0, -EBADMSG with @refusal, or -errno.
 */
int bundle_store_install(const struct host *host, int fd, char *ret_name,
			 size_t name_bytes, struct bundle_refusal *refusal);
/* Returns: 0, -ENOENT or -errno. */
int bundle_store_remove(const struct host *host, const char *filter,
			const char *version);

#endif
