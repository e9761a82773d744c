/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signing.h - ed25519 keys and signatures, and how they are written down.
 *
 *	public key   forebay-public-key-1 ed25519 BASE64(32 bytes)\n
 *	secret key   forebay-secret-key-1 ed25519 BASE64(64 bytes)\n
 *	signature    forebay-signature-1 ed25519 KEYID BASE64(64 bytes)\n
 *
 * KEYID is the first 8 bytes of the SHA-256 of the public key, in hex: for
 * people, and to find the key; it proves nothing. What is signed is the
 *manifest as it is in the bundle, byte for byte.
 *
 * Order: signing_start() once before all others.
 */
#ifndef FOREBAY_BUNDLE_SIGNING_H
#define FOREBAY_BUNDLE_SIGNING_H

#include <stdbool.h>

#include "bundle_format.h"

#define SIGNING_PUBLIC_BYTES 32u
#define SIGNING_SECRET_BYTES 64u
#define SIGNING_SIGNATURE_BYTES 64u
#define SIGNING_KEY_ID_BYTES 17u /* as text, with the NUL */
#define SIGNING_TEXT_BYTES 160u /* of each of the three */
#define SIGNING_HASH_BYTES 32u
#define SIGNING_HASH_TEXT_BYTES 65u

struct signing_public {
	uint8_t bytes[SIGNING_PUBLIC_BYTES];
};

struct signing_secret {
	uint8_t bytes[SIGNING_SECRET_BYTES];
};

struct signature {
	char key_id[SIGNING_KEY_ID_BYTES];
	uint8_t bytes[SIGNING_SIGNATURE_BYTES];
};

/* Returns: 0, or -EIO where the machine has no randomness. */
int signing_start(void);

void signing_generate(struct signing_secret *ret_secret);
void signing_public_of(const struct signing_secret *secret,
		       struct signing_public *ret_public);
void signing_key_id(const struct signing_public *key,
		    char ret_id[SIGNING_KEY_ID_BYTES]);

/* Each of the texts; parsing takes exactly what formatting makes. Returns: 0 or
 * -EBADMSG. */
void signing_format_public(const struct signing_public *key,
			   char ret_text[SIGNING_TEXT_BYTES]);
int signing_parse_public(const char *text, struct signing_public *ret_key);
void signing_format_secret(const struct signing_secret *secret,
			   char ret_text[SIGNING_TEXT_BYTES]);
int signing_parse_secret(const char *text, struct signing_secret *ret_secret);
void signing_format_signature(const struct signature *signature,
			      char ret_text[SIGNING_TEXT_BYTES]);
int signing_parse_signature(struct bundle_span text,
			    struct signature *ret_signature);
/* For what was in memory. */
void signing_forget(void *bytes, size_t count);

void signing_sign(const struct signing_secret *secret,
		  struct bundle_span manifest, struct signature *ret_signature);
/* By @key, whose id it names. */
bool signing_verify(const struct signature *signature,
		    const struct signing_public *key,
		    struct bundle_span manifest);

/* SHA-256. */
void signing_hash(struct bundle_span bytes,
		  uint8_t ret_hash[SIGNING_HASH_BYTES]);
void signing_hash_text(const uint8_t hash[SIGNING_HASH_BYTES],
		       char ret_text[SIGNING_HASH_TEXT_BYTES]);
/* 64 lower-case digits. Returns: 0 or -EBADMSG. */
int signing_parse_hash(const char *text, uint8_t ret_hash[SIGNING_HASH_BYTES]);

#endif
