/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signing.c - libsodium, and texts of one form only.
 *
 * A text is parsed by making it again from what was found and comparing: what
 * has two spellings has one here.
 */
#include "signing.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define PUBLIC_FORM "forebay-public-key-1 ed25519 "
#define SECRET_FORM "forebay-secret-key-1 ed25519 "
#define SIGNATURE_FORM "forebay-signature-1 ed25519 "
#define BASE64 sodium_base64_VARIANT_ORIGINAL
/* Of 64 bytes, with the NUL. */
#define BASE64_BYTES sodium_base64_ENCODED_LEN(SIGNING_SECRET_BYTES, BASE64)

_Static_assert(SIGNING_PUBLIC_BYTES == crypto_sign_PUBLICKEYBYTES, "libsodium");
_Static_assert(SIGNING_SECRET_BYTES == crypto_sign_SECRETKEYBYTES, "libsodium");
_Static_assert(SIGNING_SIGNATURE_BYTES == crypto_sign_BYTES, "libsodium");
_Static_assert(SIGNING_HASH_BYTES == crypto_hash_sha256_BYTES, "libsodium");

int signing_start(void)
{
	return sodium_init() < 0 ? -EIO : 0;
}

void signing_forget(void *bytes, size_t count)
{
	sodium_memzero(bytes, count);
}

void signing_generate(struct signing_secret *ret_secret)
{
	struct signing_public unused;

	crypto_sign_keypair(unused.bytes, ret_secret->bytes);
}

void signing_public_of(const struct signing_secret *secret,
		       struct signing_public *ret_public)
{
	crypto_sign_ed25519_sk_to_pk(ret_public->bytes, secret->bytes);
}

void signing_hash(struct bundle_span bytes,
		  uint8_t ret_hash[SIGNING_HASH_BYTES])
{
	crypto_hash_sha256(ret_hash, bytes.bytes, bytes.count);
}

void signing_hash_text(const uint8_t hash[SIGNING_HASH_BYTES],
		       char ret_text[SIGNING_HASH_TEXT_BYTES])
{
	sodium_bin2hex(ret_text, SIGNING_HASH_TEXT_BYTES, hash,
		       SIGNING_HASH_BYTES);
}

int signing_parse_hash(const char *text, uint8_t ret_hash[SIGNING_HASH_BYTES])
{
	char same[SIGNING_HASH_TEXT_BYTES];
	uint8_t hash[SIGNING_HASH_BYTES];

	if (strlen(text) != sizeof(same) - 1 ||
	    sodium_hex2bin(hash, sizeof(hash), text, strlen(text), NULL, NULL,
			   NULL) != 0)
		return -EBADMSG;
	signing_hash_text(hash, same);
	if (strcmp(same, text) != 0)
		return -EBADMSG;
	memcpy(ret_hash, hash, sizeof(hash));
	return 0;
}

void signing_key_id(const struct signing_public *key,
		    char ret_id[SIGNING_KEY_ID_BYTES])
{
	uint8_t hash[SIGNING_HASH_BYTES];

	crypto_hash_sha256(hash, key->bytes, sizeof(key->bytes));
	sodium_bin2hex(ret_id, SIGNING_KEY_ID_BYTES, hash,
		       (SIGNING_KEY_ID_BYTES - 1) / 2);
}

/* -- texts -------------------------------------------------------------- */

/* Exactly @count bytes from the base64 at @text, up to its end of line. */
static int decode(const char *text, uint8_t *ret_bytes, size_t count)
{
	size_t length = strcspn(text, "\n"), decoded;

	return sodium_base642bin(ret_bytes, count, text, length, NULL, &decoded,
				 NULL, BASE64) == 0 &&
			       decoded == count
		       ? 0
		       : -EBADMSG;
}

static void format(const char *form, const uint8_t *bytes, size_t count,
		   char ret_text[SIGNING_TEXT_BYTES])
{
	char encoded[BASE64_BYTES];

	sodium_bin2base64(encoded, sizeof(encoded), bytes, count, BASE64);
	(void)snprintf(ret_text, SIGNING_TEXT_BYTES, "%s%s\n", form, encoded);
	sodium_memzero(encoded, sizeof(encoded));
}

static int parse(const char *form, const char *text, uint8_t *ret_bytes,
		 size_t count)
{
	char same[SIGNING_TEXT_BYTES];
	int status = -EBADMSG;

	if (strncmp(text, form, strlen(form)) == 0)
		status = decode(text + strlen(form), ret_bytes, count);
	if (status == 0) {
		format(form, ret_bytes, count, same);
		status = strcmp(text, same) == 0 ? 0 : -EBADMSG;
		sodium_memzero(same, sizeof(same));
	}
	return status;
}

void signing_format_public(const struct signing_public *key,
			   char ret_text[SIGNING_TEXT_BYTES])
{
	format(PUBLIC_FORM, key->bytes, sizeof(key->bytes), ret_text);
}

int signing_parse_public(const char *text, struct signing_public *ret_key)
{
	struct signing_public key = {0};
	int status = parse(PUBLIC_FORM, text, key.bytes, sizeof(key.bytes));

	if (status == 0)
		*ret_key = key;
	return status;
}

void signing_format_secret(const struct signing_secret *secret,
			   char ret_text[SIGNING_TEXT_BYTES])
{
	format(SECRET_FORM, secret->bytes, sizeof(secret->bytes), ret_text);
}

int signing_parse_secret(const char *text, struct signing_secret *ret_secret)
{
	struct signing_secret secret = {0};
	int status =
		parse(SECRET_FORM, text, secret.bytes, sizeof(secret.bytes));

	if (status == 0)
		*ret_secret = secret;
	sodium_memzero(&secret, sizeof(secret));
	return status;
}

void signing_format_signature(const struct signature *signature,
			      char ret_text[SIGNING_TEXT_BYTES])
{
	char form[64];

	(void)snprintf(form, sizeof(form), SIGNATURE_FORM "%s ",
		       signature->key_id);
	format(form, signature->bytes, sizeof(signature->bytes), ret_text);
}

int signing_parse_signature(struct bundle_span text,
			    struct signature *ret_signature)
{
	const size_t before = strlen(SIGNATURE_FORM);
	const size_t id_length = SIGNING_KEY_ID_BYTES - 1;
	char copy[SIGNING_TEXT_BYTES], same[SIGNING_TEXT_BYTES];
	struct signature signature = {0};

	if (text.count >= sizeof(copy) || text.count < before + id_length + 1)
		return -EBADMSG;
	memcpy(copy, text.bytes, text.count);
	copy[text.count] = '\0';
	memcpy(signature.key_id, copy + before, id_length);
	if (strspn(signature.key_id, "0123456789abcdef") != id_length ||
	    decode(copy + before + id_length + 1, signature.bytes,
		   sizeof(signature.bytes)) < 0)
		return -EBADMSG;
	signing_format_signature(&signature, same);
	if (strlen(same) != text.count || memcmp(copy, same, text.count) != 0)
		return -EBADMSG;
	*ret_signature = signature;
	return 0;
}

/* -- signatures --------------------------------------------------------- */

void signing_sign(const struct signing_secret *secret,
		  struct bundle_span manifest, struct signature *ret_signature)
{
	struct signing_public key;

	signing_public_of(secret, &key);
	signing_key_id(&key, ret_signature->key_id);
	crypto_sign_detached(ret_signature->bytes, NULL, manifest.bytes,
			     manifest.count, secret->bytes);
}

bool signing_verify(const struct signature *signature,
		    const struct signing_public *key,
		    struct bundle_span manifest)
{
	char id[SIGNING_KEY_ID_BYTES];

	signing_key_id(key, id);
	return strcmp(id, signature->key_id) == 0 &&
	       crypto_sign_verify_detached(signature->bytes, manifest.bytes,
					   manifest.count, key->bytes) == 0;
}
