/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nouns.h - the run functions of the grammar, one file a noun.
 *
 * Each makes its requests, shows the answer, and returns 0 or a negative errno
 * with @error filled.
 */
#ifndef FOREBAY_CLI_NOUNS_H
#define FOREBAY_CLI_NOUNS_H

struct client;
struct error;
struct invocation;

int status_show(const struct invocation *invocation, struct client *client,
		struct error *error);

int pool_create(const struct invocation *invocation, struct client *client,
		struct error *error);
int pool_list(const struct invocation *invocation, struct client *client,
	      struct error *error);
int pool_show(const struct invocation *invocation, struct client *client,
	      struct error *error);

int policy_create(const struct invocation *invocation, struct client *client,
		  struct error *error);
int policy_update(const struct invocation *invocation, struct client *client,
		  struct error *error);
int policy_list(const struct invocation *invocation, struct client *client,
		struct error *error);

int filter_list(const struct invocation *invocation, struct client *client,
		struct error *error);
int filter_show(const struct invocation *invocation, struct client *client,
		struct error *error);
int filter_status(const struct invocation *invocation, struct client *client,
		  struct error *error);
int filter_call(const struct invocation *invocation, struct client *client,
		struct error *error);
int filter_new(const struct invocation *invocation, struct client *client,
	       struct error *error);
int filter_build(const struct invocation *invocation, struct client *client,
		 struct error *error);
int filter_keygen(const struct invocation *invocation, struct client *client,
		  struct error *error);
int filter_sign(const struct invocation *invocation, struct client *client,
		struct error *error);
int filter_verify(const struct invocation *invocation, struct client *client,
		  struct error *error);
int filter_install(const struct invocation *invocation, struct client *client,
		   struct error *error);
int filter_uninstall(const struct invocation *invocation, struct client *client,
		     struct error *error);
int filter_issues(const struct invocation *invocation, struct client *client,
		  struct error *error);
int filter_keys(const struct invocation *invocation, struct client *client,
		struct error *error);
int filter_trust(const struct invocation *invocation, struct client *client,
		 struct error *error);
int filter_untrust(const struct invocation *invocation, struct client *client,
		   struct error *error);

int disk_create(const struct invocation *invocation, struct client *client,
		struct error *error);
int disk_list(const struct invocation *invocation, struct client *client,
	      struct error *error);
int disk_show(const struct invocation *invocation, struct client *client,
	      struct error *error);
int disk_open(const struct invocation *invocation, struct client *client,
	      struct error *error);
int disk_restart(const struct invocation *invocation, struct client *client,
		 struct error *error);
int disk_resize(const struct invocation *invocation, struct client *client,
		struct error *error);
int disk_close(const struct invocation *invocation, struct client *client,
	       struct error *error);
int disk_stats(const struct invocation *invocation, struct client *client,
	       struct error *error);
int disk_advise(const struct invocation *invocation, struct client *client,
		struct error *error);
int disk_release(const struct invocation *invocation, struct client *client,
		 struct error *error);
int disk_flush(const struct invocation *invocation, struct client *client,
	       struct error *error);
int disk_notify(const struct invocation *invocation, struct client *client,
		struct error *error);
int disk_history(const struct invocation *invocation, struct client *client,
		 struct error *error);
int disk_delete(const struct invocation *invocation, struct client *client,
		struct error *error);
int disk_xml(const struct invocation *invocation, struct client *client,
	     struct error *error);

int disk_rescue(const struct invocation *invocation, struct client *client,
		struct error *error);

int bench_run(const struct invocation *invocation, struct client *client,
	      struct error *error);

#endif
