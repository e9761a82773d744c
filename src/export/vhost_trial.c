// SPDX-License-Identifier: Apache-2.0
/* vhost_trial.c - see vhost_trial.h. */
#include "vhost_trial.h"

#include <stddef.h>

#include "inflight_file.h"
#include "shared_word.h"

#define store(place, value) __atomic_store_n((place), (value), __ATOMIC_RELEASE)

void vhost_trial_find(struct vhost_trial *trial, struct inflight_device *notes)
{
	trial->notes = notes;
	trial->suspect_queue = 0;
	trial->condemned = 0;
	if (!notes)
		return;
	trial->condemned = shared_load_u32(&notes->condemned);
	if (trial->one_by_one && trial->believe && *trial->believe) {
		trial->suspect_queue = shared_load_u32(&notes->trial_queue);
		trial->suspect_head = shared_load_u32(&notes->trial_head);
	}
	/* A VMM that connects again finds a process that hasn't died. */
	if (trial->believe)
		*trial->believe = false;
	store(&notes->trial_queue, 0u);
}

bool vhost_trial_lets(const struct vhost_trial *trial, bool left)
{
	if (!trial->one_by_one)
		return true;
	if (trial->running)
		return false;
	return left ? trial->in_flight == 0 : trial->owing == 0;
}

bool vhost_trial_begin(struct vhost_trial *trial, unsigned int queue,
		       uint16_t head)
{
	bool condemned = trial->suspect_queue == queue + 1 &&
			 trial->suspect_head == head;

	if (!trial->one_by_one)
		return false;
	trial->running = true;
	if (!trial->notes)
		return false;
	store(&trial->notes->trial_head, (uint32_t)head);
	store(&trial->notes->trial_queue, queue + 1);
	if (!condemned)
		return false;
	trial->suspect_queue = 0;
	trial->condemned++;
	store(&trial->notes->condemned, trial->condemned);
	return true;
}

void vhost_trial_end(struct vhost_trial *trial)
{
	/* While one is on trial there is no other request. */
	if (trial->running && trial->notes)
		store(&trial->notes->trial_queue, 0u);
	trial->running = false;
}

uint32_t vhost_trial_condemned(const struct vhost_trial *trial)
{
	return trial->condemned;
}
