/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent.h - forebayd as its parts see each other.
 *
 *	rest -> routes -> pool, policy, disk -> store
 *	                          |     |  `-> supervisor -> processes
 *	                          |     `----> data_plane -> processes
 *	                          `----------> filters
 *
 * Requests are handled on threads of their own and share no lock: what must
 * not happen twice is a transaction with a compare in the store. The parts
 * that have state (store, supervisor, filters) lock for themselves, and none
 * holds its lock while it waits for a process.
 */
#ifndef FOREBAY_AGENT_AGENT_H
#define FOREBAY_AGENT_AGENT_H

#include "filters.h"
#include "host.h"
#include "store.h"
#include "supervisor.h"

/* The supervisor's name of forebay-cached; disks have their ids. */
#define AGENT_CACHED "cached"

struct agent {
	struct host host;
	struct store *store;
	struct supervisor *supervisor;
	struct filters *filters;
	int stop_fd; /* readable when forebayd is stopping */
};

#endif
