/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trusted_keys.h - whose filters this host runs: lib/trusted-keys/NAME.pub.
 *
 * Thread: any. The files are the truth; nothing is remembered.
 */
#ifndef FOREBAY_AGENT_TRUSTED_KEYS_H
#define FOREBAY_AGENT_TRUSTED_KEYS_H

#include <jansson.h>

#include "bundle.h"
#include "gate.h"
#include "host.h"
#include "problem.h"

struct signer {
	char name[GATE_NAME_LENGTH_MAX + 1];
	char key_id[SIGNING_KEY_ID_BYTES];
};

/* @body: {name, key: the text of a .pub file} (api: TrustedKey). */
int trusted_keys_add(const struct host *host, const json_t *body,
		     json_t **ret_key, struct problem *problem);
int trusted_keys_remove(const struct host *host, const char *name,
			json_t **ret_key, struct problem *problem);
int trusted_keys_list(const struct host *host, json_t **ret_keys,
		      struct problem *problem);

/* Who signed. Returns: 0, -EBADMSG with @refusal, or -errno. */
int trusted_keys_check(const struct host *host, const struct bundle_head *head,
		       struct signer *ret_signer,
		       struct bundle_refusal *refusal);

#endif
