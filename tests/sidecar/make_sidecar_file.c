// SPDX-License-Identifier: Apache-2.0
/*
 * make_sidecar_file.c - a sidecar after a random life, for the reader of the
 * format.
 *
 *   make_sidecar_file FILE SEED
 *
 * What the data are goes to standard output: their blocks, then a stamp each.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sidecar_scene.h"

#define STEPS 200u

/* As the store's host would: beside the store, with calls of its own. */
static void put_label(struct scene *scene)
{
	struct sidecar_label label = {
		.serial = 1,
		.generation = 0x1122334455667788,
		.next_generation = 0x99aabbccddeeff00,
		.pending = SIDECAR_PENDING_BYPASSED,
		.filter = "probe",
		.filter_version = "1.2.3",
		.name = "notes",
	};

	memset(label.disk_uuid, 0xd5, sizeof(label.disk_uuid));
	sidecar_label_seal(&label);
	medium_put(&scene->medium,
		   (SIDECAR_LABEL_BLOCK + 1) * SIDECAR_BLOCK_BYTES / 512,
		   &label, 1);
}

static void live(struct scene *scene)
{
	uint32_t length = SCENE_BLOCKS / 2;

	scene_resize(scene, length);
	scene_settle(scene);
	for (uint32_t i = 0; i < STEPS; i++) {
		uint32_t block =
			(uint32_t)random_below(&scene->random, length - 1);

		scene_write(scene, block, 1,
			    random_percent(&scene->random, 30));
		scene_write(scene, block + 1, 1, false);
		if (random_percent(&scene->random, 5)) {
			length = 2 + (uint32_t)random_below(&scene->random,
							    SCENE_BLOCKS - 2);
			scene_resize(scene, length);
		}
		scene_settle(scene);
	}
}

int main(int count, char **words)
{
	struct scene *scene;
	struct scene_state *state;
	FILE *file;

	if (count != 3)
		return 2;
	scene = scene_new(strtoull(words[2], NULL, 0));
	scene_format(scene);
	if (scene_open(scene, true) < 0)
		return 1;
	live(scene);
	put_label(scene);
	file = fopen(words[1], "wb");
	if (!file)
		return 1;
	for (uint64_t i = 0; i < scene->medium.sector_count; i++)
		fwrite(medium_visible(&scene->medium, i), 512, 1, file);
	if (fclose(file) != 0)
		return 1;
	state = &scene->states[scene->units];
	printf("%" PRIu64 "\n", state->blocks);
	for (uint32_t i = 0; i < state->blocks; i++)
		printf("%" PRIu64 "\n", state->stamps[i]);
	scene_free(scene);
	return 0;
}
