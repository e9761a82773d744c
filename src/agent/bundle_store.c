/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bundle_store.c - folders that are there as a whole, or not.
 */
#include "bundle_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bundle_unpack.h"
#include "describe.h"
#include "fd.h"
#include "file.h"
#include "log.h"
#include "text.h"

#define NEW_FORM "filters/.new-XXXXXX"
#define OLD_FORM "filters/.old-XXXXXX"
/* What a disk's process may take in all: its sandbox limits it. */
#define NEED_MEMORY_BYTES_MAX (INT64_C(1) << 30)

static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER;

/* -- folders ------------------------------------------------------------ */

static int remove_entry(const char *path, const struct stat *facts, int type,
			struct FTW *where)
{
	(void)facts;
	(void)type;
	(void)where;
	return remove(path);
}

static void remove_tree(const char *path)
{
	if (nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS) < 0)
		log_warning("%s can't be removed: %s", path, strerror(errno));
}

static int is_half_done(const struct dirent *entry)
{
	return strncmp(entry->d_name, ".new-", 5) == 0 ||
	       strncmp(entry->d_name, ".old-", 5) == 0;
}

void bundle_store_repair(const struct host *host)
{
	struct host_path folder = host_lib(host, "filters");
	struct dirent **entries = NULL;
	int count = scandir(folder.text, &entries, is_half_done, NULL);

	for (int i = 0; i < count; i++) {
		struct host_path path =
			host_lib(host, "filters/%.64s", entries[i]->d_name);

		log_info("%s: removed, it was not installed", path.text);
		remove_tree(path.text);
		free(entries[i]);
	}
	free(entries);
}

static struct host_path folder_of(const struct host *host, const char *filter,
				  const char *version)
{
	return host_lib(host, "filters/%s/%s", filter, version);
}

struct host_path bundle_store_library(const struct host *host,
				      const char *filter, const char *version)
{
	return host_lib(host, "filters/%s/%s/%s.so", filter, version, filter);
}

static int is_version(const struct dirent *entry)
{
	return version_valid(entry->d_name);
}

static int by_version(const struct dirent **a, const struct dirent **b)
{
	return version_compare((*a)->d_name, (*b)->d_name);
}

void bundle_store_versions(const struct host *host, const char *filter,
			   struct bundle_versions *ret_versions)
{
	struct host_path folder = host_lib(host, "filters/%s", filter);
	struct dirent **entries = NULL;
	int count = scandir(folder.text, &entries, is_version, by_version);

	ret_versions->count = 0;
	for (int i = 0; i < count; i++) {
		if (ret_versions->count < BUNDLE_VERSIONS_MAX)
			snprintf(ret_versions->text[ret_versions->count++],
				 VERSION_LENGTH_MAX + 1, "%.63s",
				 entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
}

/* -- what is installed -------------------------------------------------- */

struct stored {
	char *manifest;
	char *signature;
	char *library;
	size_t library_bytes;
	struct bundle_head head;
};

static void stored_release(struct stored *stored)
{
	free(stored->manifest);
	free(stored->signature);
	free(stored->library);
}

static int read_stored(const struct host *host, const char *filter,
		       const char *version, struct stored *stored)
{
	struct host_path folder = folder_of(host, filter, version);
	struct host_path library = bundle_store_library(host, filter, version);
	char path[HOST_PATH_BYTES + 32];
	size_t bytes = 0;
	int status;

	snprintf(path, sizeof(path), "%s/%s", folder.text,
		 BUNDLE_MANIFEST_PATH);
	status = file_read(path, BUNDLE_MANIFEST_BYTES_MAX, &stored->manifest,
			   &bytes);
	stored->head.manifest =
		(struct bundle_span){(uint8_t *)stored->manifest, bytes};
	snprintf(path, sizeof(path), "%s/%s", folder.text,
		 BUNDLE_SIGNATURE_PATH);
	if (status == 0)
		status = file_read(path, SIGNING_TEXT_BYTES, &stored->signature,
				   &bytes);
	stored->head.signature =
		(struct bundle_span){(uint8_t *)stored->signature, bytes};
	if (status == 0)
		status = file_read(library.text, BUNDLE_FILE_BYTES_MAX,
				   &stored->library, &stored->library_bytes);
	return status;
}

/* The library, by the manifest's hash. */
static int check_library(const struct stored *stored,
			 const struct manifest *manifest,
			 struct bundle_refusal *refusal)
{
	const struct bundle_span content = {(uint8_t *)stored->library,
					    stored->library_bytes};
	uint8_t hash[SIGNING_HASH_BYTES];

	signing_hash(content, hash);
	for (uint32_t i = 0; i < manifest->file_count; i++) {
		const struct manifest_file *file = &manifest->files[i];

		if (strcmp(file->path, manifest->library) == 0 &&
		    memcmp(hash, file->hash, sizeof(hash)) == 0)
			return 0;
	}
	return bundle_refuse(refusal, BUNDLE_TAMPERED,
			     "the installed %s is not the one that was signed",
			     manifest->library);
}

int bundle_store_check(const struct host *host, const char *filter,
		       const char *version, struct manifest *ret_manifest,
		       struct signer *ret_signer,
		       struct bundle_refusal *refusal)
{
	struct stored stored = {0};
	struct manifest manifest = {0};
	int status = read_stored(host, filter, version, &stored);

	if (status == 0)
		status = trusted_keys_check(host, &stored.head, ret_signer,
					    refusal);
	if (status == 0)
		status = manifest_parse(stored.head.manifest, &manifest,
					refusal);
	if (status == 0 && (strcmp(manifest.name, filter) != 0 ||
			    strcmp(manifest.version, version) != 0))
		status = bundle_refuse(refusal, BUNDLE_TAMPERED,
				       "it is in the place of another");
	if (status == 0)
		status = check_library(&stored, &manifest, refusal);
	stored_release(&stored);
	if (status < 0)
		manifest_release(&manifest);
	else
		*ret_manifest = manifest;
	return status;
}

/* -- installing --------------------------------------------------------- */

struct installing {
	const struct host *host;
	struct bundle_span archive;
	struct bundle_head head;
	struct manifest manifest;
	struct bundle_span files[BUNDLE_FILES_MAX];
	struct host_path folder; /* that has no name yet */
};

/* What forebay-disk's doors let no filter have. */
static int check_needs(const struct manifest *manifest,
		       struct bundle_refusal *refusal)
{
	static const char *const closed[] = {"files", "devices", "keys"};
	const json_t *memory = json_object_get(manifest->needs, "memory_bytes");

	for (size_t i = 0; i < sizeof(closed) / sizeof(*closed); i++) {
		if (json_array_size(
			    json_object_get(manifest->needs, closed[i])) > 0)
			return bundle_refuse(
				refusal, BUNDLE_UNMET_NEED,
				"it needs %s, and a disk's process gives a "
				"filter none",
				closed[i]);
	}
	if (json_integer_value(memory) > NEED_MEMORY_BYTES_MAX)
		return bundle_refuse(refusal, BUNDLE_UNMET_NEED,
				     "it needs more memory than the %lld MiB "
				     "that a disk's process may have",
				     (long long)NEED_MEMORY_BYTES_MAX >> 20);
	return 0;
}

static int look_into(struct installing *installing, int fd,
		     struct bundle_refusal *refusal)
{
	struct utsname machine;
	struct signer signer;
	int status = bundle_unpack(installing->host, fd, &installing->archive,
				   refusal);

	if (status == 0)
		status = bundle_read_head(installing->archive,
					  &installing->head, refusal);
	/* Before anybody reads what the manifest says. */
	if (status == 0)
		status = trusted_keys_check(installing->host, &installing->head,
					    &signer, refusal);
	if (status == 0)
		status = manifest_parse(installing->head.manifest,
					&installing->manifest, refusal);
	if (status == 0)
		status = bundle_read_files(
			installing->archive, &installing->head,
			&installing->manifest, installing->files, refusal);
	if (status == 0 && uname(&machine) == 0 &&
	    strcmp(machine.machine, installing->manifest.architecture) != 0)
		status = bundle_refuse(refusal, BUNDLE_WRONG_ARCHITECTURE,
				       "it is for %.40s, this is %s",
				       installing->manifest.architecture,
				       machine.machine);
	return status < 0 ? status
			  : check_needs(&installing->manifest, refusal);
}

static int write_file(const struct installing *installing, const char *name,
		      struct bundle_span content)
{
	char path[HOST_PATH_BYTES + BUNDLE_PATH_LENGTH_MAX + 2];

	snprintf(path, sizeof(path), "%s/%s", installing->folder.text, name);
	return file_write_atomically(path, content.bytes, content.count, 0644);
}

static int write_files(const struct installing *installing)
{
	const struct manifest *manifest = &installing->manifest;
	char docs[HOST_PATH_BYTES + 8];
	int status = 0;

	snprintf(docs, sizeof(docs), "%s/docs", installing->folder.text);
	if (mkdir(docs, 0755) < 0)
		status = -errno;
	for (uint32_t i = 0; i < manifest->file_count && status == 0; i++)
		status = write_file(installing, manifest->files[i].path,
				    installing->files[i]);
	if (status == 0)
		status = write_file(installing, BUNDLE_SIGNATURE_PATH,
				    installing->head.signature);
	if (status == 0)
		status = write_file(installing, BUNDLE_MANIFEST_PATH,
				    installing->head.manifest);
	return status;
}

/* In a sandbox of its own: forebay-disk's. */
static int try_library(const struct installing *installing,
		       struct bundle_refusal *refusal)
{
	struct host_path program =
		host_program(installing->host, "forebay-disk");
	char library[HOST_PATH_BYTES + BUNDLE_PATH_LENGTH_MAX + 2];
	json_auto_t *description = NULL;
	int status;

	snprintf(library, sizeof(library), "%s/%s", installing->folder.text,
		 installing->manifest.library);
	status = describe_filter(program.text, library, &description, refusal);
	return status < 0 ? status
			  : manifest_check_description(&installing->manifest,
						       description, refusal);
}

/* The version is installed already. Returns: 0 if it is the same. */
static int compare_installed(const struct installing *installing,
			     struct bundle_refusal *refusal)
{
	const struct manifest *manifest = &installing->manifest;
	struct stored stored = {0};
	int status = read_stored(installing->host, manifest->name,
				 manifest->version, &stored);
	const struct bundle_span *a = &stored.head.manifest;
	const struct bundle_span *b = &installing->head.manifest;

	if (status == 0 &&
	    (a->count != b->count || memcmp(a->bytes, b->bytes, a->count) != 0))
		status = bundle_refuse(refusal, BUNDLE_VERSION_EXISTS,
				       "another filter %s %s is installed",
				       manifest->name, manifest->version);
	stored_release(&stored);
	return status;
}

static int name_folder(const struct installing *installing)
{
	const struct manifest *manifest = &installing->manifest;
	struct host_path folder =
		folder_of(installing->host, manifest->name, manifest->version);
	struct host_path above =
		host_lib(installing->host, "filters/%s", manifest->name);
	int status = file_make_directory(above.text, 0755);

	if (status == 0)
		status = file_sync_directory_of(above.text);
	if (status == 0 && rename(installing->folder.text, folder.text) < 0)
		status = -errno;
	return status < 0 ? status : file_sync_directory_of(folder.text);
}

static int put_in_place(struct installing *installing,
			struct bundle_refusal *refusal)
{
	const struct manifest *manifest = &installing->manifest;
	struct host_path installed =
		folder_of(installing->host, manifest->name, manifest->version);
	int status;

	if (access(installed.text, F_OK) == 0)
		return compare_installed(installing, refusal);
	installing->folder = host_lib(installing->host, NEW_FORM);
	if (!mkdtemp(installing->folder.text))
		return -errno;
	status = chmod(installing->folder.text, 0755) < 0
			 ? -errno
			 : write_files(installing);
	if (status == 0)
		status = try_library(installing, refusal);
	if (status == 0)
		status = name_folder(installing);
	if (status < 0)
		remove_tree(installing->folder.text);
	return status;
}

int bundle_store_install(const struct host *host, int fd, char *ret_name,
			 size_t name_bytes, struct bundle_refusal *refusal)
{
	struct installing installing = {.host = host};
	int status = look_into(&installing, fd, refusal);

	pthread_mutex_lock(&changing);
	if (status == 0)
		status = put_in_place(&installing, refusal);
	pthread_mutex_unlock(&changing);
	if (status == 0)
		snprintf(ret_name, name_bytes, "%s@%s",
			 installing.manifest.name, installing.manifest.version);
	manifest_release(&installing.manifest);
	bundle_unpack_release(&installing.archive);
	return status;
}

int bundle_store_remove(const struct host *host, const char *filter,
			const char *version)
{
	struct host_path folder = folder_of(host, filter, version);
	struct host_path above = host_lib(host, "filters/%s", filter);
	struct host_path old = host_lib(host, OLD_FORM);
	int status = 0;

	if (!mkdtemp(old.text))
		return -errno;
	pthread_mutex_lock(&changing);
	if (rename(folder.text, old.text) < 0)
		status = -errno;
	if (status == 0)
		status = file_sync_directory_of(folder.text);
	/* As long as other versions are in it, it stays. */
	(void)rmdir(above.text);
	pthread_mutex_unlock(&changing);
	remove_tree(old.text);
	return status;
}
