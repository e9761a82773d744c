/* SPDX-License-Identifier: Apache-2.0 */
/*
 * block.pml - one block of a cached disk: writes, fills, destage, eviction.
 *
 * Every order of the engine's steps for one block, with flushes of either store
 * and crashes between any two steps: a kill keeps all that was written, a power
 * failure a beginning of the log not shorter than what was flushed, and below
 * either what was flushed there or what is visible. A step of the model and
 * what it stands for in src/engine/:
 *
 *   write_place    append_record(): the write has its sequence, is on its way
 *   around_*       place_around(), then start() in through.c: DROP, flush, below
 *   retire         retire_group(), apply_entry(): index, then the ack
 *   flush_*        start_ssd_flush(), ssd_flushed(), and the same for below
 *   fill_*         start() and filled() in fill.c, overtaken() in append.c
 *   destage_*      begin() to clean_advance_destage() in destage.c
 *   evict, erase   pass_tail(), carry_tail(); segments_reclaim()
 *   recover        recovery.c: apply_advance() from the tail to the cut
 *
 * Compared with the code a record holds one thing, a segment is a record, and
 * what is cached is a version's number.
 *
 * Promised: a read returns the newest acked version or a newer one, and never
 * goes back; after a kill the same; after a power failure what was flushed, or
 * newer; no older version reaches below after a newer one; no record that a
 * recovery needs has been reused.
 *
 * Planted errors: FILL_OVERTAKES, EVICT_DIRTY, CLEAN_WITHOUT_UPTO,
 * DROP_IN_MEMORY, LIMBO_FORGOTTEN, CLEAN_UNFLUSHED, BELOW_FIRST,
 * FILL_UNFLUSHED, TAIL_NOT_DURABLE, ACK_EARLY.
 */
#define RECORDS 6 /* that the log can take in all */
#define WRITES 2
#define CRASHES 2

#ifdef FILL_UNFLUSHED
#define FILL_MAY_READ true
#else
#define FILL_MAY_READ (below == below_durable)
#endif
#ifdef BELOW_FIRST
#define MAY_GO_BELOW true
#else
#define MAY_GO_BELOW (durable >= destage_location)
#endif
#ifdef EVICT_DIRTY
#define MAY_EVICT true
#else
#define MAY_EVICT (!dirty)
#endif
#ifdef TAIL_NOT_DURABLE
#define TAIL_DURABLE true
#else
#define TAIL_DURABLE (durable > 0 && tail_in[durable - 1] == tail)
#endif
#ifdef FILL_OVERTAKES
#define FILL_STANDS true
#else
#define FILL_STANDS (generation == fill_generation && location == 0)
#endif

mtype = { NOTHING, WRITE, FILL, CLEAN, DROP, TAIL };

/* The log: records [0, placed), of which [0, retired) are in the index. */
mtype kind[RECORDS];
byte version[RECORDS], covers[RECORDS], tail_in[RECORDS];
byte placed, retired, durable;
byte tail, erased; /* records before it don't count; are gone */

/* The index: record + 1, or 0. */
byte location;
bit dirty;

/* Below: what is visible there, and what survives a power failure. */
byte below, below_durable;

/* Steps under way. */
byte generation; /* of the block: raised by each write */
byte newest; /* version that was last submitted */
bit writing; /* it is on its way into the log */
byte around; /* 1: DROP on its way, 2: durable; then it goes below */
byte around_needs;
byte filling, fill_generation, fill_version;
byte destaging, destage_location;
bit flushing;
byte flush_covers, flush_acked, flush_below;

/* What must hold. */
byte acked, flushed, seen;
byte crashes;

inline append(what, number, limit)
{
	kind[placed] = what;
	version[placed] = number;
	covers[placed] = limit;
	tail_in[placed] = tail;
	placed++
}

/* What a record does to the index; the same in recovery. */
inline apply(i)
{
	if
	:: kind[i] == WRITE -> location = i + 1; dirty = 1
	:: kind[i] == FILL -> location = i + 1; dirty = 0
	:: kind[i] == DROP -> location = 0; dirty = 0
	:: kind[i] == CLEAN ->
#ifdef CLEAN_WITHOUT_UPTO
		dirty = 0
#else
		if
		:: location != 0 && location <= covers[i] -> dirty = 0
		:: else
		fi
#endif
	:: kind[i] == TAIL
	fi
}

inline look(ret)
{
	if
	:: location != 0 -> ret = version[location - 1]
	:: else -> ret = below
	fi
}

inline forget_steps()
{
	writing = 0;
	around = 0;
	around_needs = 0;
	filling = 0;
	fill_generation = 0;
	fill_version = 0;
	destaging = 0;
	destage_location = 0;
	flushing = 0;
	flush_covers = 0;
	flush_acked = 0;
	flush_below = 0;
	generation = 0
}

/* From records [tail, placed): what survived. The others are as good as blank.
 */
inline recover()
{
	i = placed;
	do
	:: i < RECORDS ->
		kind[i] = 0;
		version[i] = 0;
		covers[i] = 0;
		tail_in[i] = 0;
		i++
	:: else -> break
	od;
	tail = 0;
	if
	:: placed > 0 -> tail = tail_in[placed - 1]
	:: else
	fi;
	assert(tail >= erased);
	location = 0;
	dirty = 0;
	i = tail;
	do
	:: i < placed -> apply(i); i++
	:: else -> break
	od;
	i = 0;
	retired = placed;
	durable = placed; /* flush_accepted() */
	forget_steps()
}

active proctype engine()
{
	byte i, got;

	do
	/* ---- writes back */
	:: d_step { newest < WRITES && !writing && around == 0 &&
	     placed < RECORDS ->
		newest++;
		generation++;
		writing = 1;
		append(WRITE, newest, 0);
#ifdef ACK_EARLY
		acked = newest
#endif
	   }
	/* ---- writes around: only what isn't dirty, and not while destage
	 * is below */
	:: d_step { newest < WRITES && !writing && around == 0 && !dirty &&
	     placed == retired && destaging < 2 && placed < RECORDS ->
		newest++;
		generation++;
		if
#ifdef DROP_IN_MEMORY
		:: location != 0 ->
			location = 0;
			around = 2
#endif
#ifdef LIMBO_FORGOTTEN
		:: location == 0 -> around = 2
		:: location != 0 ->
#else
		/* In limbo: the tail has passed it, but not durably. */
		:: location == 0 && (durable == 0 && tail == 0 ||
		     durable > 0 && tail_in[durable - 1] == tail) -> around = 2
		:: else ->
#endif
			append(DROP, 0, 0);
			around_needs = placed;
			around = 1
		fi
	   }
	:: d_step { around == 1 && durable >= around_needs -> around = 2 }
	:: d_step { around == 2 ->
		assert(newest >= below);
		below = newest;
		acked = newest;
		around = 0;
		around_needs = 0
	   }
	/* ---- records retire in order */
	:: d_step { retired < placed ->
		apply(retired);
		if
		:: kind[retired] == WRITE ->
			writing = 0;
			acked = version[retired]
		:: else
		fi;
		retired++
	   }
	/* ---- the guest's FLUSH, and the engine's own */
	:: d_step { !flushing && (retired > durable || below != below_durable) ->
		flushing = 1;
		flush_covers = retired;
		flush_acked = acked;
		flush_below = below
	   }
	:: d_step { flushing ->
		flushing = 0;
		if
		:: flush_covers > durable -> durable = flush_covers
		:: else
		fi;
		if
		:: flush_below > below_durable -> below_durable = flush_below
		:: else
		fi;
		flushed = flush_acked;
		flush_covers = 0;
		flush_acked = 0;
		flush_below = 0
	   }
	/* ---- read fill */
	:: d_step { filling == 0 && location == 0 && placed == retired &&
	     !writing && around == 0 && placed < RECORDS &&
	     FILL_MAY_READ ->
		filling = 1;
		fill_generation = generation
	   }
	:: d_step { filling == 1 -> filling = 2; fill_version = below }
	:: d_step { filling == 2 ->
		if
		:: placed < RECORDS && FILL_STANDS ->
			append(FILL, fill_version, 0)
		:: else
		fi;
		filling = 0;
		fill_generation = 0;
		fill_version = 0
	   }
	/* ---- destage */
	:: d_step { destaging == 0 && location != 0 && dirty && around == 0 ->
		destaging = 1;
		destage_location = location
	   }
	:: d_step { destaging == 1 &&
	     MAY_GO_BELOW ->
		if
		/* Overwritten meanwhile: select_block() leaves it. */
		:: location != destage_location ->
			destaging = 0;
			destage_location = 0
		:: else ->
			assert(version[destage_location - 1] >= below);
			below = version[destage_location - 1];
#ifdef CLEAN_UNFLUSHED
			destaging = 3
#else
			destaging = 2
#endif
		fi
	   }
	:: d_step { destaging == 2 -> below_durable = below; destaging = 3 }
	:: d_step { destaging == 3 && placed < RECORDS ->
		append(CLEAN, 0, destage_location);
		destaging = 0;
		destage_location = 0
	   }
	/* ---- eviction */
	:: d_step { location != 0 && placed == retired && placed < RECORDS &&
	     MAY_EVICT && destaging == 0 ->
		tail = location;
		location = 0;
		dirty = 0;
		append(TAIL, 0, 0)
	   }
	:: d_step { erased < tail &&
	     TAIL_DURABLE -> erased = tail }
	/* ---- a read: never back, never older than what was acked */
	:: d_step { look(got);
		assert(got >= acked && got >= seen);
		seen = got;
		got = 0
	   }
	/* ---- kill: what was on its way has arrived, or has not */
	:: atomic { crashes < CRASHES ->
		crashes++;
		do
		:: placed > retired -> placed--
		:: break
		od;
		if
		:: around == 2 -> below = newest
		:: true
		fi;
		d_step {
			recover();
			look(got);
			assert(got >= acked && got >= seen);
			acked = got;
			seen = got;
			got = 0
		}
	   }
	/* ---- power failure */
	:: atomic { crashes < CRASHES ->
		crashes++;
		do
		:: placed > durable -> placed--
		:: break
		od;
		if
		:: around == 2 -> below = newest
		:: true
		fi;
		if
		:: below = below_durable
		:: below_durable = below
		fi;
		d_step {
			recover();
			look(got);
			assert(got >= flushed);
			acked = got;
			seen = got;
			flushed = got;
			got = 0
		}
	   }
	:: crashes == CRASHES && newest == WRITES && placed == retired -> break
	od
}
