/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unit.h - what to do next about one supervised process. Pure: no process is
 * touched here, and time is a parameter, so every path is tested in virtual
 * time.
 *
 * The owner reports facts (started, reported, exited ...) and asks
 * unit_decide() for the next action; doing it leads to the next fact.
 *
 *	DOWN -> WAITING -> STARTING -> UP -> CLOSING -> DOWN
 *	            ^          |       |        `-----> ENDING -> KILLED ->
 *STUCK
 *	            `----------+-------'  crash; too many in a row: GAVE_UP
 *
 * A unit that is kept goes DOWN -> WAITING -> STARTING -> DOWN: its process
 * drains and ends by itself.
 */
#ifndef FOREBAY_AGENT_UNIT_H
#define FOREBAY_AGENT_UNIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Crashes in a row, each soon after the start, until we give up. */
#define UNIT_CRASHES_MAX 8u
/* A process that was up for so long ends the row. */
#define UNIT_HEALTHY_NS UINT64_C(1000000000)
/* The first restart comes at once, the second after this, then twice ... */
#define UNIT_DELAY_FIRST_NS UINT64_C(50000000)
/* ... up to this. */
#define UNIT_DELAY_MAX_NS UINT64_C(10000000000)
/*
 * Errors of its own while it was up, and not for so long, from which on a
 * request is suspected of them, and until we give up. A row of its own: a VMM
 * may connect to a process only after it was healthy.
 */
#define UNIT_FAULTS_SUSPICIOUS 2u
#define UNIT_FAULTS_MAX 32u
#define UNIT_STEADY_NS UINT64_C(60000000000)
/* Between SIGTERM and SIGKILL; between SIGKILL and "stuck". */
#define UNIT_TERMINATE_NS UINT64_C(10000000000)
#define UNIT_KILL_NS UINT64_C(5000000000)
/* Until a close that couldn't be sent is sent again. */
#define UNIT_CLOSE_RETRY_NS UINT64_C(1000000000)

#define UNIT_NEVER UINT64_MAX
#define UNIT_REASON_BYTES 512u

enum unit_state {
	UNIT_DOWN, /* no process, none wanted */
	UNIT_WAITING, /* no process; starts at next_ns */
	UNIT_STARTING, /* runs, not ready yet */
	UNIT_UP,
	UNIT_CLOSING, /* asked to drain; takes as long as the backend */
	UNIT_ENDING, /* SIGTERM sent */
	UNIT_KILLED, /* SIGKILL sent */
	UNIT_STUCK, /* outlived SIGKILL: the kernel holds it */
	UNIT_GAVE_UP, /* no process although wanted */
};

enum unit_action {
	UNIT_NOTHING,
	UNIT_START,
	UNIT_CLOSE, /* ask it to drain and exit */
	UNIT_TERMINATE,
	UNIT_KILL,
};

/* Whether a disk's process serves, or leaves that to another host. */
enum unit_duty {
	UNIT_SERVES,
	UNIT_EXPECTS, /* its VM, which is yet to come */
	UNIT_HAS_LEFT, /* its VM was here and went */
	/* Brings down what its cache holds, for nobody, and ends. */
	UNIT_DRAINS,
};

struct unit {
	enum unit_state state;
	bool wanted;
	/*
	 * Not wanted, and yet to be drained: a process without exports holds
	 * what it has until nothing is dirty. It is nobody's to wait for, but
	 * whoever asks for the end waits for that.
	 */
	bool kept;
	bool drainer; /* the process that there is is such a one */
	bool drains; /* ends by a close; the others by SIGTERM */
	bool held; /* not wanted, and what is dirty stays where it is */
	/* Asked for by somebody who waits: the first failure is the answer. */
	bool probation;
	bool clean; /* the last process closed without a failure */
	/*
	 * Given up with all its filters, it is tried without those that may be
	 * bypassed, until somebody asks for a start.
	 */
	bool bypasses;
	bool warm; /* it didn't die of an error of its own, as we know */
	enum unit_duty duty; /* what it starts with */
	bool restart; /* asked for, and not begun yet */
	uint64_t restart_ns; /* when it was asked for; 0 = none under way */
	uint64_t stall_ns; /* of the last restart: asked for until ready */
	pid_t pid; /* 0 = no process */
	unsigned int restarts;
	unsigned int crashes; /* in a row */
	unsigned int faults; /* the same, of errors of its own */
	uint64_t up_ns; /* when it became ready; 0 = not yet */
	uint64_t next_ns; /* of WAITING, CLOSING, ENDING and KILLED */
	char reason[UNIT_REASON_BYTES]; /* "" = nothing to say */
};

/* A process's end, as far as it's known: an adopted one isn't our child. */
struct unit_end {
	bool known;
	int exit_status; /* if signal is 0 */
	int signal;
	bool closed; /* its last word: drained and closed */
	bool may_bypass; /* it has filters that may be bypassed */
};

void unit_init(struct unit *unit, bool drains);

/* @probation: give up at the first failure before it's ready. */
void unit_want_up(struct unit *unit, bool probation, uint64_t now_ns);
void unit_want_down(struct unit *unit);
/* Down, but not before it is drained; nothing if it is wanted. */
void unit_keep(struct unit *unit, uint64_t now_ns);
/*
 * Down at once, without a drain; if it served, a process for nobody does that.
 */
void unit_want_drained(struct unit *unit, uint64_t now_ns);
/* Down at once, and what it holds stays where it is. */
void unit_want_held(struct unit *unit);
/* Down as it is. */
void unit_release(struct unit *unit);
/* Up, but parked: its disk's VM is yet to come. */
void unit_want_incoming(struct unit *unit, uint64_t now_ns);
/*
 * A new process in the place of one that ends in order; no crash, no delay.
 * Returns: 0, or -EAGAIN unless it is up and stays so.
 */
int unit_restart(struct unit *unit, uint64_t now_ns);

/* The next action and when to ask again if no fact comes before. */
enum unit_action unit_decide(struct unit *unit, uint64_t now_ns,
			     uint64_t *ret_wake_ns);

/* Facts. A NULL or empty message leaves the words to us. */
void unit_started(struct unit *unit, pid_t pid);
void unit_start_failed(struct unit *unit, const char *message, uint64_t now_ns);
void unit_opening(struct unit *unit, const char *reason);
void unit_ready(struct unit *unit, uint64_t now_ns);
/* Its process says, or shall begin with. */
void unit_set_duty(struct unit *unit, enum unit_duty duty);
/* A process of ours that an earlier forebayd started. */
void unit_adopted(struct unit *unit, pid_t pid, bool drainer);
/*
 * A process that couldn't drain is in service as before, and so is the unit:
 * wanted up again, with the reason.
 */
void unit_close_answered(struct unit *unit, int status, const char *message,
			 uint64_t now_ns);
/* Nobody took the request, or an earlier close is under way: ask again. */
void unit_close_unsent(struct unit *unit, const char *message, uint64_t now_ns);
void unit_exited(struct unit *unit, struct unit_end end, const char *message,
		 uint64_t now_ns);

/* Something that it is given each time may be what ends it. */
bool unit_is_suspicious(const struct unit *unit);
/* True when only a person or an accident changes the state from here. */
bool unit_is_settled(const struct unit *unit);
/* Delay before restart number @crashes of a row, 1 = the first. */
uint64_t unit_delay_ns(unsigned int crashes);
const char *unit_state_name(enum unit_state state);

#endif
