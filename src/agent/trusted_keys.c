/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trusted_keys.c - a folder of keys.
 */
#include "trusted_keys.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

#define SUFFIX ".pub"
#define KEYS_MAX 256

static struct host_path path_of(const struct host *host, const char *name)
{
	return host_lib(host, "trusted-keys/%s" SUFFIX, name);
}

static int read_key(const struct host *host, const char *name,
		    struct signing_public *ret_key)
{
	struct host_path path = path_of(host, name);
	char *text;
	int status = file_read(path.text, SIGNING_TEXT_BYTES, &text, NULL);

	if (status < 0)
		return status;
	status = signing_parse_public(text, ret_key);
	free(text);
	return status;
}

static json_t *view(const char *name, const struct signing_public *key)
{
	char id[SIGNING_KEY_ID_BYTES], text[SIGNING_TEXT_BYTES];

	signing_key_id(key, id);
	signing_format_public(key, text);
	return json_pack("{s:s, s:s, s:s}", "name", name, "key_id", id, "key",
			 text);
}

static int is_key(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return dot && strcmp(dot, SUFFIX) == 0 &&
	       (size_t)(dot - entry->d_name) <= GATE_NAME_LENGTH_MAX;
}

/* Names without their suffix, in order. Returns: how many. */
static int list_names(const struct host *host, struct dirent ***ret_entries)
{
	struct host_path folder = host_lib(host, "trusted-keys");
	int count = scandir(folder.text, ret_entries, is_key, alphasort);

	for (int i = 0; i < count; i++)
		*strrchr((*ret_entries)[i]->d_name, '.') = '\0';
	if (count < 0)
		*ret_entries = NULL;
	return count < 0 ? 0 : count;
}

static void free_names(struct dirent **entries, int count)
{
	for (int i = 0; i < count; i++)
		free(entries[i]);
	free(entries);
}

static int refuse_known(struct problem *problem, const char *name)
{
	problem_set(problem, PROBLEM_KEY_EXISTS,
		    "there is another trusted key %s already", name);
	problem_about(problem, "key", name);
	return problem_hint(problem, "choose another name");
}

int trusted_keys_add(const struct host *host, const json_t *body,
		     json_t **ret_key, struct problem *problem)
{
	static const char *const members[] = {"name", "key", NULL};
	struct signing_public key, before;
	struct host_path path;
	const char *name, *text;
	int result = gate_object(body, members, problem);

	if (result == 0)
		result = gate_name(body, "key", &name, problem);
	if (result == 0)
		result = gate_string(body, "key", true, &text, problem);
	if (result < 0)
		return result;
	if (signing_parse_public(text, &key) < 0) {
		problem_set(problem, PROBLEM_BAD_REQUEST,
			    "key is not a public key of 'forebay filter "
			    "keygen'");
		return problem_inside(problem, "key");
	}
	if (read_key(host, name, &before) == 0 &&
	    memcmp(&before, &key, sizeof(key)) != 0)
		return refuse_known(problem, name);
	path = path_of(host, name);
	result = file_write_atomically(path.text, text, strlen(text), 0644);
	if (result < 0)
		return problem_internal(problem, path.text, result);
	*ret_key = view(name, &key);
	return 0;
}

int trusted_keys_remove(const struct host *host, const char *name,
			json_t **ret_key, struct problem *problem)
{
	struct signing_public key;
	struct host_path path;

	if (!gate_is_name(name) || read_key(host, name, &key) < 0) {
		problem_set(problem, PROBLEM_NO_SUCH_KEY,
			    "there is no trusted key %.80s", name);
		return problem_about(problem, "key", name);
	}
	path = path_of(host, name);
	if (unlink(path.text) < 0)
		return problem_internal(problem, path.text, -errno);
	(void)file_sync_directory_of(path.text);
	*ret_key = view(name, &key);
	return 0;
}

int trusted_keys_list(const struct host *host, json_t **ret_keys,
		      struct problem *problem)
{
	struct dirent **entries;
	int count = list_names(host, &entries);
	json_t *keys = json_array();
	struct signing_public key;

	for (int i = 0; i < count; i++) {
		if (read_key(host, entries[i]->d_name, &key) == 0)
			json_array_append_new(keys,
					      view(entries[i]->d_name, &key));
	}
	free_names(entries, count);
	if (!keys)
		return problem_internal(problem, "keys", -ENOMEM);
	*ret_keys = keys;
	return 0;
}

/* The key that says it is the signature's. Returns: 0 or -ENOENT. */
static int find_key(const struct host *host, const char *key_id,
		    struct signing_public *ret_key, struct signer *ret_signer)
{
	struct dirent **entries;
	int count = list_names(host, &entries);
	int status = -ENOENT;

	for (int i = 0; i < count && i < KEYS_MAX && status < 0; i++) {
		char id[SIGNING_KEY_ID_BYTES];

		if (read_key(host, entries[i]->d_name, ret_key) < 0)
			continue;
		signing_key_id(ret_key, id);
		if (strcmp(id, key_id) != 0)
			continue;
		snprintf(ret_signer->name, sizeof(ret_signer->name), "%.63s",
			 entries[i]->d_name);
		memcpy(ret_signer->key_id, id, sizeof(id));
		status = 0;
	}
	free_names(entries, count);
	return status;
}

int trusted_keys_check(const struct host *host, const struct bundle_head *head,
		       struct signer *ret_signer,
		       struct bundle_refusal *refusal)
{
	struct signing_public key;
	struct signature signature;

	if (head->signature.count == 0)
		return bundle_refuse(refusal, BUNDLE_UNSIGNED,
				     "nobody has signed it");
	if (signing_parse_signature(head->signature, &signature) < 0)
		return bundle_refuse(refusal, BUNDLE_TAMPERED,
				     "its signature is not one");
	if (find_key(host, signature.key_id, &key, ret_signer) < 0)
		return bundle_refuse(refusal, BUNDLE_UNTRUSTED_KEY,
				     "key %s signed it, which is not trusted "
				     "here",
				     signature.key_id);
	if (!signing_verify(&signature, &key, head->manifest))
		return bundle_refuse(refusal, BUNDLE_TAMPERED,
				     "its signature is not of this manifest");
	return 0;
}
