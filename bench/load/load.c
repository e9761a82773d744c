// SPDX-License-Identifier: Apache-2.0
/*
 * load.c - one thread that drives all queues of a front.
 *
 * Each queue has `depth` requests under way. A completion is measured and
 * replaced by the next request at once; a batch of them is one kick. When the
 * back-end goes away the machine waits, reconnects and goes on: what was under
 * way is answered by the next back-end, and its latency includes the pause.
 */
#include "load.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "cpu_time.h"
#include "front.h"
#include "stamps.h"

#define NS_PER_SECOND UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)
#define SECTOR_BYTES 512u
#define REAP_MAX 64u
/* While polling, how often the connection and the clock are looked at. */
#define IDLE_LOOKS 4096u
#define SLEEP_MS 100

/* A request under way; `owner` of its slot. */
struct task {
	uint32_t type;
	uint64_t block;
	uint8_t *data;
	uint64_t begin_ns;
};

struct lane {
	unsigned int index;
	unsigned int in_flight;
	unsigned int writes_since_flush;
	struct task *tasks; /* by slot number */
};

struct load {
	const struct load_options *options;
	struct load_result *result;
	struct front *front;
	struct lane *lanes;
	struct stamps stamps;
	uint64_t first_block;
	uint64_t block_count;
	uint64_t next_block; /* sequential */
	uint64_t random;
	uint64_t submitted;
	uint64_t measure_from_ns;
	bool verifying; /* the last pass */
	bool feeding;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

/* splitmix64 */
static uint64_t random_next(struct load *load)
{
	uint64_t z = (load->random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint64_t choose_block(struct load *load)
{
	if (load->options->sequential) {
		uint64_t block = load->next_block++;

		return block % load->block_count;
	}
	/* The high half of a product: uniform without a division. */
	return (uint64_t)(((unsigned __int128)random_next(load) *
			   load->block_count) >>
			  64);
}

static uint32_t choose_type(struct load *load, struct lane *lane)
{
	const struct load_options *options = load->options;

	if (options->flush_every > 0 &&
	    lane->writes_since_flush >= options->flush_every) {
		lane->writes_since_flush = 0;
		return VIRTIO_BLK_T_FLUSH;
	}
	if (random_next(load) % 100 < options->read_percent)
		return VIRTIO_BLK_T_IN;
	lane->writes_since_flush++;
	return VIRTIO_BLK_T_OUT;
}

/* Returns: false if there is no block to choose in the last pass. */
static bool choose(struct load *load, struct lane *lane, struct task *task)
{
	if (load->verifying) {
		task->type = VIRTIO_BLK_T_IN;
		while (load->next_block < load->block_count) {
			task->block = load->next_block++;
			if (load->stamps.sequences[task->block] > 0 &&
			    stamps_take(&load->stamps, task->block))
				return true;
		}
		return false;
	}
	task->type = choose_type(load, lane);
	do {
		task->block = choose_block(load);
	} while (load->options->verify && task->type != VIRTIO_BLK_T_FLUSH &&
		 !stamps_take(&load->stamps, task->block));
	return true;
}

/* Returns: false if nothing more is to be submitted. */
static bool submit(struct load *load, struct lane *lane, uint64_t begin_ns)
{
	const struct load_options *options = load->options;
	struct front_request request = {.segment_count = 1};
	struct task task = {.begin_ns = begin_ns};
	struct front_slot *slot;
	struct iovec segment;
	struct task *kept;

	if (!load->feeding || !choose(load, lane, &task))
		return false;
	segment.iov_len = options->block_bytes;
	/* The slot says where the data lie, so it is peeked at. */
	slot = front_next_slot(&load->front->queues[lane->index]);
	kept = &lane->tasks[slot->number];
	task.data = kept->data;
	*kept = task;
	segment.iov_base = task.data;
	if (task.type == VIRTIO_BLK_T_OUT && options->verify)
		stamps_fill(&load->stamps, task.block, task.data);
	if (task.type == VIRTIO_BLK_T_FLUSH)
		request.segment_count = 0;
	else
		request.sector = (load->first_block + task.block) *
				 (options->block_bytes / SECTOR_BYTES);
	request.type = task.type;
	request.segments = &segment;
	front_submit(load->front, lane->index, &request, &slot);
	lane->in_flight++;
	load->submitted++;
	if (options->count > 0 && load->submitted == options->count &&
	    !load->verifying)
		load->feeding = false;
	return true;
}

static void check(struct load *load, const struct task *task, bool good)
{
	if (task->type == VIRTIO_BLK_T_FLUSH)
		return;
	if (!good)
		stamps_end_failed(&load->stamps, task->block);
	else if (task->type == VIRTIO_BLK_T_OUT)
		stamps_end_write(&load->stamps, task->block);
	else
		stamps_end_read(&load->stamps, task->block, task->data);
}

static void measure(struct load *load, const struct task *task, uint64_t end_ns)
{
	struct load_result *result = load->result;
	uint64_t ns = end_ns - task->begin_ns;

	if (task->type == VIRTIO_BLK_T_FLUSH) {
		histogram_add(&result->flush_latency, ns);
		result->flushes++;
		return;
	}
	histogram_add(&result->latency, ns);
	if (task->type == VIRTIO_BLK_T_IN)
		result->reads++;
	else
		result->writes++;
}

/* Returns: how many requests have ended. */
static unsigned int serve(struct load *load, struct lane *lane)
{
	struct front_queue *queue = &load->front->queues[lane->index];
	struct front_completion completions[REAP_MAX];
	unsigned int count = front_reap(queue, completions, REAP_MAX);
	uint64_t end_ns;

	if (count == 0)
		return 0;
	end_ns = now_ns();
	for (unsigned int i = 0; i < count; i++) {
		struct task *task = &lane->tasks[completions[i].slot->number];
		bool good = completions[i].status == VIRTIO_BLK_S_OK;

		lane->in_flight--;
		load->result->errors += !good;
		load->result->verified_blocks += load->verifying;
		if (load->options->verify)
			check(load, task, good);
		if (end_ns >= load->measure_from_ns && !load->verifying)
			measure(load, task, end_ns);
	}
	for (unsigned int i = 0; i < count; i++)
		if (!submit(load, lane, end_ns))
			break;
	front_kick(queue);
	return count;
}

static unsigned int in_flight(const struct load *load)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < load->options->queue_count; i++)
		count += load->lanes[i].in_flight;
	return count;
}

/* Returns: 0, or the errno of the last attempt. */
static int reconnect(struct load *load)
{
	const struct timespec pause = {.tv_nsec = 10 * NS_PER_MS};
	uint64_t end_ns =
		now_ns() + (uint64_t)(load->options->reconnect_seconds *
				      (double)NS_PER_SECOND);
	int result;

	front_disconnect(load->front);
	if (load->options->reconnect_seconds <= 0)
		return -EPIPE;
	while ((result = front_connect(load->front)) < 0) {
		if (now_ns() > end_ns)
			return result;
		nanosleep(&pause, NULL);
	}
	load->result->reconnects++;
	return 0;
}

/* Sleeps until an interrupt. Returns: 0 or a negative errno. */
static int sleep_for_interrupt(struct load *load)
{
	unsigned int count = load->options->queue_count;
	struct pollfd fds[FRONT_QUEUES_MAX + 1];
	bool ready = false;

	for (unsigned int i = 0; i < count; i++) {
		fds[i].fd = load->front->queues[i].call_fd;
		fds[i].events = POLLIN;
		ready |= front_arm(&load->front->queues[i]);
	}
	if (ready)
		return 0;
	fds[count].fd = load->front->socket;
	fds[count].events = POLLIN;
	if (poll(fds, count + 1, SLEEP_MS) < 0 && errno != EINTR)
		return -errno;
	for (unsigned int i = 0; i < count; i++) {
		eventfd_t events;

		if (fds[i].revents & POLLIN)
			(void)eventfd_read(fds[i].fd, &events);
	}
	return fds[count].revents ? reconnect(load) : 0;
}

static int idle(struct load *load, unsigned int *looks)
{
	if (load->options->wait == LOAD_WAIT_INTERRUPT)
		return sleep_for_interrupt(load);
	if (++*looks < IDLE_LOOKS)
		return 0;
	*looks = 0;
	return front_connected(load->front) ? 0 : reconnect(load);
}

/* Runs until @end_ns, or until nothing is left. */
static int run(struct load *load, uint64_t end_ns)
{
	unsigned int count = load->options->queue_count;
	unsigned int looks = 0;
	int result = 0;

	load->feeding = true;
	for (unsigned int i = 0; i < count; i++) {
		struct lane *lane = &load->lanes[i];

		front_disarm(&load->front->queues[i]);
		while (lane->in_flight < load->options->depth &&
		       submit(load, lane, now_ns()))
			;
		front_kick(&load->front->queues[i]);
	}
	while (result == 0 && in_flight(load) > 0) {
		unsigned int done = 0;

		for (unsigned int i = 0; i < count; i++)
			done += serve(load, &load->lanes[i]);
		if (done == 0)
			result = idle(load, &looks);
		if (load->feeding && now_ns() >= end_ns)
			load->feeding = false;
	}
	return result;
}

static uint64_t targets_cpu_ns(const struct load_options *options)
{
	uint64_t ns = 0;

	for (unsigned int i = 0; i < options->target_count; i++)
		ns += cpu_time_ns(options->targets[i]);
	return ns;
}

static uint64_t later(uint64_t begin_ns, double seconds)
{
	return begin_ns + (uint64_t)(seconds * (double)NS_PER_SECOND);
}

/* The warm-up comes first, with its own end, so that CPU times match. */
static int measure_run(struct load *load)
{
	const struct load_options *options = load->options;
	struct load_result *result = load->result;
	uint64_t begin_ns, own_ns, target_ns;
	double ios;
	int status = 0;

	load->measure_from_ns = UINT64_MAX;
	if (options->warm_up_seconds > 0)
		status = run(load, later(now_ns(), options->warm_up_seconds));
	if (status < 0)
		return status;
	begin_ns = now_ns();
	load->measure_from_ns = begin_ns;
	load->submitted = 0;
	own_ns = cpu_time_ns(getpid());
	target_ns = targets_cpu_ns(options);
	status = run(load, options->seconds > 0
				   ? later(begin_ns, options->seconds)
				   : UINT64_MAX);
	result->seconds = (double)(now_ns() - begin_ns) / NS_PER_SECOND;
	ios = (double)(result->reads + result->writes + result->flushes);
	if (ios > 0) {
		result->load_cpu_us =
			(double)(cpu_time_ns(getpid()) - own_ns) / 1000 / ios;
		result->target_cpu_us =
			(double)(targets_cpu_ns(options) - target_ns) / 1000 /
			ios;
	}
	return status;
}

/* Reads back everything that was written. */
static int verify_all(struct load *load)
{
	int result;

	load->verifying = true;
	load->next_block = 0;
	result = run(load, UINT64_MAX);
	load->result->wrong_blocks = load->stamps.failures;
	load->result->first_wrong_block = load->stamps.first_failure;
	return result;
}

static int lanes_create(struct load *load)
{
	unsigned int count = load->options->queue_count;
	uint8_t *data = front_data(load->front);

	load->lanes = calloc(count, sizeof(*load->lanes));
	if (!load->lanes)
		return -ENOMEM;
	for (unsigned int i = 0; i < count; i++) {
		unsigned int slots = load->front->queues[i].slot_count;

		load->lanes[i].index = i;
		load->lanes[i].tasks =
			calloc(slots, sizeof(*load->lanes[i].tasks));
		if (!load->lanes[i].tasks)
			return -ENOMEM;
		for (unsigned int j = 0; j < slots; j++) {
			load->lanes[i].tasks[j].data = data;
			data += load->options->block_bytes;
		}
	}
	return 0;
}

static int range_choose(struct load *load)
{
	const struct load_options *options = load->options;
	uint64_t disk_bytes = load->front->config.capacity * SECTOR_BYTES;
	uint64_t bytes = options->bytes;

	if (options->offset >= disk_bytes)
		return -ERANGE;
	if (bytes == 0 || bytes > disk_bytes - options->offset)
		bytes = disk_bytes - options->offset;
	load->first_block = options->offset / options->block_bytes;
	load->block_count = bytes / options->block_bytes;
	/* Each request needs a block of its own while it is verified. */
	if (load->block_count <
	    (uint64_t)options->depth * options->queue_count + 1)
		return -ERANGE;
	return 0;
}

static int open_front(struct load *load, const char **ret_reason)
{
	const struct load_options *options = load->options;
	struct front_options front_options = {
		.socket_path = options->socket_path,
		.packed = options->packed,
		.queue_count = options->queue_count,
		.queue_size = 16,
	};
	int result;

	while (front_options.queue_size < options->depth)
		front_options.queue_size *= 2;
	front_options.data_bytes = (size_t)front_options.queue_size *
				   options->queue_count * options->block_bytes;
	*ret_reason = "memory for the queues";
	result = front_create(&front_options, &load->front);
	if (result < 0)
		return result;
	*ret_reason = "connecting to the socket";
	result = front_connect(load->front);
	if (result < 0)
		return result;
	*ret_reason = "the range is too small, or not on the disk";
	result = range_choose(load);
	if (result < 0)
		return result;
	*ret_reason = "memory for the requests";
	result = lanes_create(load);
	if (result == 0 && options->verify)
		result = stamps_create(&load->stamps, load->block_count,
				       options->block_bytes);
	return result;
}

int load_run(const struct load_options *options, struct load_result *ret_result,
	     const char **ret_reason)
{
	struct load load = {
		.options = options,
		.result = ret_result,
		.random = options->seed,
	};
	int result = open_front(&load, ret_reason);

	*ret_result = (struct load_result){0};
	if (result == 0) {
		*ret_reason = "the back-end went away";
		result = measure_run(&load);
		if (result == 0 && options->verify)
			result = verify_all(&load);
		if (result == 0)
			result = front_stop(load.front);
	}
	for (unsigned int i = 0; load.lanes && i < options->queue_count; i++)
		free(load.lanes[i].tasks);
	free(load.lanes);
	stamps_destroy(&load.stamps);
	front_destroy(load.front);
	return result;
}
