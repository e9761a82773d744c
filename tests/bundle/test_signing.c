// SPDX-License-Identifier: Apache-2.0
/* test_signing.c - who signed what, and how keys are written down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "bundle_scene.h"

static const struct bundle_span text = {(const uint8_t *)"manifest", 8};
static const struct bundle_span other = {(const uint8_t *)"manifesT", 8};

static struct scene scene;

static int open_scene(void **state)
{
	(void)state;
	scene_open(&scene);
	return 0;
}

static int close_scene(void **state)
{
	(void)state;
	scene_close(&scene);
	return 0;
}

static void a_signature_is_of_one_key_and_one_text(void **state)
{
	struct signing_secret another;
	struct signing_public another_key;
	struct signature signature;

	(void)state;
	signing_sign(&scene.secret, text, &signature);
	assert_true(signing_verify(&signature, &scene.key, text));
	assert_false(signing_verify(&signature, &scene.key, other));
	signing_generate(&another);
	signing_public_of(&another, &another_key);
	assert_false(signing_verify(&signature, &another_key, text));
}

/* RFC 8032, section 7.1, test 2. */
static void signatures_are_those_of_the_standard(void **state)
{
	static const uint8_t key[SIGNING_PUBLIC_BYTES] = {
		0x3d, 0x40, 0x17, 0xc3, 0xe8, 0x43, 0x89, 0x5a,
		0x92, 0xb7, 0x0a, 0xa7, 0x4d, 0x1b, 0x7e, 0xbc,
		0x9c, 0x98, 0x2c, 0xcf, 0x2e, 0xc4, 0x96, 0x8c,
		0xc0, 0xcd, 0x55, 0xf1, 0x2a, 0xf4, 0x66, 0x0c,
	};
	static const uint8_t expected[SIGNING_SIGNATURE_BYTES] = {
		0x92, 0xa0, 0x09, 0xa9, 0xf0, 0xd4, 0xca, 0xb8, 0x72, 0x0e,
		0x82, 0x0b, 0x5f, 0x64, 0x25, 0x40, 0xa2, 0xb2, 0x7b, 0x54,
		0x16, 0x50, 0x3f, 0x8f, 0xb3, 0x76, 0x22, 0x23, 0xeb, 0xdb,
		0x69, 0xda, 0x08, 0x5a, 0xc1, 0xe4, 0x3e, 0x15, 0x99, 0x6e,
		0x45, 0x8f, 0x36, 0x13, 0xd0, 0xf1, 0x1d, 0x8c, 0x38, 0x7b,
		0x2e, 0xae, 0xb4, 0x30, 0x2a, 0xee, 0xb0, 0x0d, 0x29, 0x16,
		0x12, 0xbb, 0x0c, 0x00,
	};
	static const uint8_t message[] = {0x72};
	struct signing_public public;
	struct signature signature;

	(void)state;
	memcpy(public.bytes, key, sizeof(key));
	memcpy(signature.bytes, expected, sizeof(expected));
	signing_key_id(&public, signature.key_id);
	assert_true(signing_verify(&signature, &public,
				   (struct bundle_span){message, 1}));
}

static void keys_and_signatures_are_read_as_they_are_written(void **state)
{
	char words[SIGNING_TEXT_BYTES], id[SIGNING_KEY_ID_BYTES];
	struct signing_secret secret;
	struct signing_public key;
	struct signature signature, same;

	(void)state;
	signing_format_public(&scene.key, words);
	assert_int_equal(signing_parse_public(words, &key), 0);
	assert_memory_equal(&key, &scene.key, sizeof(key));
	assert_int_equal(signing_parse_secret(words, &secret), -EBADMSG);
	signing_format_secret(&scene.secret, words);
	assert_int_equal(signing_parse_secret(words, &secret), 0);
	assert_memory_equal(&secret, &scene.secret, sizeof(secret));
	signing_sign(&secret, text, &signature);
	signing_format_signature(&signature, words);
	assert_int_equal(
		signing_parse_signature(
			(struct bundle_span){(uint8_t *)words, strlen(words)},
			&same),
		0);
	assert_true(signing_verify(&same, &key, text));
	signing_key_id(&key, id);
	assert_string_equal(same.key_id, id);
}

static void a_text_has_one_form(void **state)
{
	char words[SIGNING_TEXT_BYTES], spoilt[SIGNING_TEXT_BYTES + 2];
	struct signing_public key;

	(void)state;
	signing_format_public(&scene.key, words);
	for (size_t i = 0; i < strlen(words); i++) {
		memcpy(spoilt, words, sizeof(words));
		spoilt[i] = ' ';
		/* A blank in the place of a blank is none. */
		if (words[i] != ' ')
			assert_int_equal(signing_parse_public(spoilt, &key),
					 -EBADMSG);
		memcpy(spoilt, words, sizeof(words));
		spoilt[i] = '\0';
		assert_int_equal(signing_parse_public(spoilt, &key), -EBADMSG);
	}
	memcpy(spoilt, words, sizeof(words));
	spoilt[strlen(words)] = '\n';
	spoilt[strlen(words) + 1] = '\0';
	assert_int_equal(signing_parse_public(spoilt, &key), -EBADMSG);
}

static void to_upper(char *words)
{
	for (; *words; words++)
		*words = (char)(toupper)(*words);
}

static void a_hash_has_one_form(void **state)
{
	char words[SIGNING_HASH_TEXT_BYTES];
	uint8_t hash[SIGNING_HASH_BYTES], same[SIGNING_HASH_BYTES];

	(void)state;
	signing_hash(text, hash);
	signing_hash_text(hash, words);
	assert_int_equal(signing_parse_hash(words, same), 0);
	assert_memory_equal(hash, same, sizeof(hash));
	words[63] = '\0';
	assert_int_equal(signing_parse_hash(words, same), -EBADMSG);
	signing_hash_text(hash, words);
	to_upper(words);
	assert_int_equal(signing_parse_hash(words, same), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_signature_is_of_one_key_and_one_text, open_scene,
			close_scene),
		cmocka_unit_test_setup_teardown(
			signatures_are_those_of_the_standard, open_scene,
			close_scene),
		cmocka_unit_test_setup_teardown(
			keys_and_signatures_are_read_as_they_are_written,
			open_scene, close_scene),
		cmocka_unit_test_setup_teardown(a_text_has_one_form, open_scene,
						close_scene),
		cmocka_unit_test_setup_teardown(a_hash_has_one_form, open_scene,
						close_scene),
	};

	return cmocka_run_group_tests_name("signing", tests, NULL, NULL);
}
