/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter_key.c - forebay filter keygen, sign, verify: no daemon is asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arguments.h"
#include "bundle_file.h"
#include "client.h"
#include "fd.h"
#include "file.h"
#include "nouns.h"
#include "signing.h"

#define KEY_PATH_BYTES 1024u

/* A new file: a key is never written over. */
static int write_key(const char *path, const char *text, mode_t mode,
		     struct error *error)
{
	_cleanup_fd_ int fd =
		open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	int status = fd < 0 ? -errno : 0;

	if (status == -EEXIST)
		return error_set(error, status,
				 "%s: is there already; choose another name",
				 path);
	if (status == 0)
		status = file_write_all(fd, text, strlen(text));
	if (status == 0 && fsync(fd) < 0)
		status = -errno;
	return status < 0
		       ? error_set(error, status, "%s: cannot be written: %s",
				   path, strerror(-status))
		       : 0;
}

static int start(struct error *error)
{
	return signing_start() < 0
		       ? error_set(error, -EIO,
				   "forebay: the machine has no randomness")
		       : 0;
}

int filter_keygen(const struct invocation *invocation, struct client *client,
		  struct error *error)
{
	const char *name = invocation->operands[0];
	char path[KEY_PATH_BYTES], text[SIGNING_TEXT_BYTES],
		id[SIGNING_KEY_ID_BYTES];
	struct signing_secret secret;
	struct signing_public key;
	int status = start(error);

	(void)client;
	if (status < 0)
		return status;
	if (strlen(name) + strlen(".key") >= sizeof(path))
		return error_set(error, -EINVAL, "%s: too long a name", name);
	signing_generate(&secret);
	signing_public_of(&secret, &key);
	signing_key_id(&key, id);
	signing_format_secret(&secret, text);
	signing_forget(&secret, sizeof(secret));
	(void)snprintf(path, sizeof(path), "%s.key", name);
	status = write_key(path, text, 0600, error);
	signing_forget(text, sizeof(text));
	if (status < 0)
		return status;
	signing_format_public(&key, text);
	(void)snprintf(path, sizeof(path), "%s.pub", name);
	status = write_key(path, text, 0644, error);
	if (status == 0)
		(void)printf("key %s: %s.key signs, keep it secret; %s.pub is "
			     "for hosts that trust you\n",
			     id, name, name);
	return status;
}

static int read_text(const char *path, char **ret_text, struct error *error)
{
	int status = file_read(path, SIGNING_TEXT_BYTES, ret_text, NULL);

	return status < 0 ? error_set(error, status, "%s: cannot be read: %s",
				      path, strerror(-status))
			  : 0;
}

static int read_secret(const char *path, struct signing_secret *ret_secret,
		       struct error *error)
{
	char *text;
	int status = read_text(path, &text, error);

	if (status < 0)
		return status;
	status = signing_parse_secret(text, ret_secret);
	signing_forget(text, strlen(text));
	free(text);
	return status < 0 ? error_set(error, -EINVAL,
				      "%s: is not a secret key; name the .key "
				      "file of 'forebay filter keygen'",
				      path)
			  : 0;
}

static int read_public(const char *path, struct signing_public *ret_key,
		       struct error *error)
{
	char *text;
	int status = read_text(path, &text, error);

	if (status < 0)
		return status;
	status = signing_parse_public(text, ret_key);
	signing_forget(text, strlen(text));
	free(text);
	return status < 0 ? error_set(error, -EINVAL,
				      "%s: is not a public key; name the .pub "
				      "file of 'forebay filter keygen'",
				      path)
			  : 0;
}

int filter_sign(const struct invocation *invocation, struct client *client,
		struct error *error)
{
	const char *path = invocation->operands[0];
	_cleanup_bundle_ struct bundle_file file = {0};
	struct signing_secret secret;
	struct signature signature;
	int status = start(error);

	(void)client;
	if (status == 0)
		status = bundle_file_read(path, &file, error);
	if (status == 0)
		status = read_secret(invocation->flags[FLAG_KEY], &secret,
				     error);
	if (status < 0)
		return status;
	signing_sign(&secret, file.head.manifest, &signature);
	signing_forget(&secret, sizeof(secret));
	status = bundle_file_write(path, &file, &signature, error);
	if (status == 0)
		(void)printf("%s: filter %s %s, signed by key %s\n", path,
			     file.manifest.name, file.manifest.version,
			     signature.key_id);
	return status;
}

static int check_signature(const char *path, const struct bundle_file *file,
			   const struct signing_public *key,
			   struct error *error)
{
	struct bundle_refusal refusal;
	struct signature signature;
	char id[SIGNING_KEY_ID_BYTES];
	int status = 0;

	signing_key_id(key, id);
	if (file->head.signature.count == 0)
		status = bundle_refuse(&refusal, BUNDLE_UNSIGNED,
				       "nobody has signed it");
	else if (signing_parse_signature(file->head.signature, &signature) < 0)
		status = bundle_refuse(&refusal, BUNDLE_TAMPERED,
				       "its signature is not one");
	else if (strcmp(signature.key_id, id) != 0)
		status = bundle_refuse(&refusal, BUNDLE_UNTRUSTED_KEY,
				       "key %s signed it, and not %s",
				       signature.key_id, id);
	else if (!signing_verify(&signature, key, file->head.manifest))
		status = bundle_refuse(&refusal, BUNDLE_TAMPERED,
				       "the signature is not of this manifest");
	return status < 0 ? bundle_file_refuse(path, &refusal, error) : 0;
}

int filter_verify(const struct invocation *invocation, struct client *client,
		  struct error *error)
{
	const char *path = invocation->operands[0];
	_cleanup_bundle_ struct bundle_file file = {0};
	struct signing_public key;
	int status = start(error);

	(void)client;
	if (status == 0)
		status = bundle_file_read(path, &file, error);
	if (status == 0)
		status = read_public(invocation->flags[FLAG_KEY], &key, error);
	if (status == 0)
		status = check_signature(path, &file, &key, error);
	if (status == 0)
		(void)printf("%s: filter %s %s, as its author signed it\n",
			     path, file.manifest.name, file.manifest.version);
	return status;
}
