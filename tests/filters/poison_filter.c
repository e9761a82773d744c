// SPDX-License-Identifier: Apache-2.0
/*
 * poison_filter.c - a filter with a bug: a write that begins with a certain
 * word leads it to a wild pointer. All else goes through.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <forebay/filter.h>

static const char poison[] = "POISON--";

struct poison_filter {
	struct forebay_instance *instance;
	const struct forebay_host *host;
};

static void poison_open(struct forebay_instance *instance,
			const struct forebay_host *host,
			const struct forebay_disk *disk, void **ret_state)
{
	struct poison_filter *filter = calloc(1, sizeof(*filter));

	(void)disk;
	if (!filter) {
		host->open_done(instance, -ENOMEM);
		return;
	}
	filter->instance = instance;
	filter->host = host;
	*ret_state = filter;
	host->open_done(instance, 0);
}

static void poison_close(void *state)
{
	struct poison_filter *filter = state;
	struct forebay_instance *instance = filter->instance;
	const struct forebay_host *host = filter->host;

	free(filter);
	host->close_done(instance, 0);
}

static void poison_submit(void *state, struct forebay_request *request)
{
	struct poison_filter *filter = state;
	const struct forebay_host *host = filter->host;
	uint32_t count;
	const struct iovec *iov = host->request_iov(request, &count);
	/* Where nothing is mapped; an address that no compiler knows. */
	volatile char *volatile wild = (volatile char *)64;

	if (host->request_operation(request) == FOREBAY_WRITE && count > 0 &&
	    iov[0].iov_len >= sizeof(poison) - 1 &&
	    memcmp(iov[0].iov_base, poison, sizeof(poison) - 1) == 0)
		*wild = 1;
	host->request_forward(request);
}

const struct forebay_filter forebay_filter = {
	.abi_version = FOREBAY_FILTER_ABI,
	.struct_size = sizeof(struct forebay_filter),
	.name = "poison",
	.version = "1.0.0",
	.description = "Crashes on a write that begins with a certain word.",
	.filter_class = FOREBAY_CLASS_INSPECTION,
	.operations = FOREBAY_OPERATION_BIT(FOREBAY_READ) |
		      FOREBAY_OPERATION_BIT(FOREBAY_WRITE) |
		      FOREBAY_OPERATION_BIT(FOREBAY_FLUSH) |
		      FOREBAY_OPERATION_BIT(FOREBAY_DISCARD) |
		      FOREBAY_OPERATION_BIT(FOREBAY_WRITE_ZEROES),
	.open = poison_open,
	.close = poison_close,
	.submit = poison_submit,
};
