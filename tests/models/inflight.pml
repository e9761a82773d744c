/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inflight.pml - requests of a split virtqueue over kills of the device.
 *
 * The stores of src/export/inflight_split.c in their order, one step each; the
 * device may be killed between any two of them, and its successor begins with
 * what lies in the region and the ring. Compared with the code, a head stands
 * for its request and a completion for its execution.
 *
 * Promised: each request is executed at least once before it is returned; it is
 * returned exactly once; a request that was returned is never executed again
 * (its memory is the driver's); what is replayed is replayed in the order of
 * submission; and all requests come back at last.
 *
 * Planted errors: MARK_CLEARED_EARLY, BATCH_NOT_FINISHED, COUNTER_LATE,
 * INDEX_NOT_SKIPPED,
 * BATCH_HEAD_LATE, REGION_INDEX_EARLY.
 */
#define SIZE 2 /* of the ring */
#define TOTAL 4 /* requests that the driver makes */
#define KILLS 2
#define NONE 255

/* The ring. */
byte available[SIZE], available_index;
byte used[SIZE], used_index;

/* The region. */
bit inflight[SIZE];
byte next[SIZE], counter[SIZE];
byte last_batch_head, region_used_index;

/* The truth, that nobody can look at. */
bit outstanding[SIZE]; /* submitted and not returned */
bit executed[SIZE];
byte number[SIZE]; /* which request the head stands for */
byte returned;
bit kill_now;

proctype driver()
{
	bit owned[SIZE]; /* the device has it */
	byte made, seen, head;

	do
	:: made < TOTAL && (!owned[0] || !owned[1]) ->
		atomic {
			if
			:: !owned[0] -> head = 0
			:: !owned[1] -> head = 1
			fi;
			owned[head] = 1;
			outstanding[head] = 1;
			executed[head] = 0;
			number[head] = made;
			made++;
			available[available_index % SIZE] = head;
			available_index++;
			head = 0
		}
	:: seen != used_index ->
		atomic {
			head = used[seen % SIZE];
			assert(owned[head]); /* returned once */
			assert(executed[head]);
			owned[head] = 0;
			seen++;
			returned++;
			head = 0
		}
	:: returned == TOTAL -> break
	od
}

inline execute(h)
{
	atomic {
		assert(outstanding[h]);
		executed[h] = 1
	}
}

/* One life of the device. */
inline life()
{
	/* inflight_split_start(): the ring says how far its predecessor got. */
	d_step {
		staged = used_index;
		published = used_index;
		last = last_batch_head;
		batch = 0;
		i = 0;
		head = last_batch_head
	};
#ifndef BATCH_NOT_FINISHED
	do
	:: i < used_index - region_used_index && i < SIZE ->
		inflight[head] = 0;
		head = next[head];
		i++
	:: else -> break
	od;
#endif
	region_used_index = used_index;
	/* Lists what is marked, oldest first. */
	d_step {
		replays = inflight[0] + inflight[1];
		stamp = 0;
		i = 0;
		do
		:: i < SIZE ->
			if
			:: inflight[i] && counter[i] >= stamp ->
				stamp = counter[i] + 1
			:: else
			fi;
			i++
		:: else -> break
		od
	};
#ifdef INDEX_NOT_SKIPPED
	taken = published;
#else
	taken = (published + replays);
#endif
	before = NONE;
	do
	:: replays > 0 ->
		/* The oldest that is not yet running. */
		d_step {
			head = NONE;
			i = 0;
			do
			:: i < SIZE ->
				if
				:: inflight[i] && !running[i] &&
				   (head == NONE ||
				    counter[i] < counter[head]) -> head = i
				:: else
				fi;
				i++
			:: else -> break
			od;
			assert(head != NONE);
			assert(before == NONE || number[head] > before);
			before = number[head];
			running[head] = 1;
			replays--
		}
	:: else -> break
	od;
	do
	:: taken != available_index && available_index - taken <= SIZE ->
		/* inflight_split_take() */
		head = available[taken % SIZE];
		taken++;
#ifdef COUNTER_LATE
		inflight[head] = 1;
		counter[head] = stamp;
#else
		counter[head] = stamp;
		inflight[head] = 1;
#endif
		stamp++;
		running[head] = 1
	:: running[0] || running[1] ->
		/* Any of them ends; inflight_split_stage(). */
		if
		:: running[0] -> head = 0
		:: running[1] -> head = 1
		fi;
		execute(head);
		running[head] = 0;
		used[staged % SIZE] = head;
		staged++;
		/* In either order: nobody follows them before the index. */
		next[head] = last;
#ifndef BATCH_HEAD_LATE
		last_batch_head = head;
#endif
		last = head;
		batch = batch | (1 << head)
	:: staged != published ->
		/* virtqueue_publish(), then inflight_split_publish() */
#ifdef MARK_CLEARED_EARLY
		clear_marks();
#endif
		atomic {
			used_index = staged;
			i = 0;
			do
			:: i < SIZE ->
				if
				:: batch & (1 << i) -> outstanding[i] = 0
				:: else
				fi;
				i++
			:: else -> break
			od;
			i = 0
		};
		published = staged;
#ifdef BATCH_HEAD_LATE
		last_batch_head = last;
#endif
#ifdef REGION_INDEX_EARLY
		region_used_index = published;
#endif
#ifndef MARK_CLEARED_EARLY
		clear_marks();
#endif
		batch = 0;
		region_used_index = published
	:: returned == TOTAL -> break
	od
}

inline clear_marks()
{
	i = 0;
	do
	:: i < SIZE ->
		if
		:: batch & (1 << i) -> inflight[i] = 0
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0
}

proctype device()
{
	bit running[SIZE];
	byte staged, published, taken, last, batch, stamp, replays, before;
	byte head, i, kills;

again:
	{
		life();
		goto done
	} unless {
		kill_now
	};
	d_step {
		kill_now = 0;
		running[0] = 0;
		running[1] = 0;
		head = 0;
		i = 0
	};
	goto again;
done:
	skip
}

proctype killer()
{
	byte kills;

	do
	:: kills < KILLS && !kill_now ->
		kill_now = 1;
		kills++
	:: break
	od
}

init {
	atomic {
		run driver();
		run device();
		run killer()
	}
}
