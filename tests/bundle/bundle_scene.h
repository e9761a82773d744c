/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bundle_scene.h - a small bundle: filter "null" 1.0.0 with a library and a
 * page of documentation, whose manifest a test may spoil before it is signed.
 */
#ifndef FOREBAY_TESTS_BUNDLE_SCENE_H
#define FOREBAY_TESTS_BUNDLE_SCENE_H

#include "bundle.h"

struct scene {
	struct signing_secret secret;
	struct signing_public key;
	json_t *manifest;
	char *text; /* of the manifest */
	uint8_t *archive;
	size_t bytes;
};

/* Its manifest is right, and is not written yet. */
void scene_open(struct scene *scene);
/* The archive of the manifest as it is now, signed or not. */
void scene_write(struct scene *scene, bool sign);
void scene_close(struct scene *scene);

/*
 * All that forebayd does with an archive before it loads the library.
 * Returns: 0, or -EBADMSG with @refusal.
 */
int scene_read(const struct scene *scene, struct bundle_span archive,
	       struct bundle_refusal *refusal);

#endif
