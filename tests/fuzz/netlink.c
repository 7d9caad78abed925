/*
 * rtnetlink messages as structs, and what a route message makes of a prefix's routes. The input is a run of messages as
 * they are in a datagram, at the end of memory so that the sanitizer sees a read behind it.
 */
#include <assert.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

#include "net/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct route_row rows[ROUTE_ROWS_MAX];
static uint32_t count;

static void
take_route(const struct nlmsghdr *header)
{
	static struct route_message route;

	if (!message_route(header, &route))
		return;
	assert(route.count > 0 && route.count <= ROUTE_ROWS_MAX);
	assert(route.prefix_len <= 128 && (route.ipv6 || route.prefix_len >= 96));
	count = route_rows_apply(rows, count, &route);
	assert(count <= ROUTE_ROWS_MAX);
	for (uint32_t i = 1; i < count; i++)
		assert(rows[i].metric >= rows[i - 1].metric && rows[i].member - rows[i - 1].member <= 1);
}

static void
take(const struct nlmsghdr *header)
{
	struct table_address address;
	struct neighbor neighbor;
	struct table_link link;
	bool removed;

	if (message_link(header, &link, &removed)) {
		assert(strnlen(link.name, sizeof(link.name)) < sizeof(link.name));
		assert(link.vlan_id < 4095);
	}
	if (message_address(header, &address))
		assert(address.prefix_len <= 128);
	message_neighbor(header, &neighbor, &removed);
	take_route(header);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	size_t at = 0;

	count = 0;
	if (size)
		memcpy(copy, data, size);
	/* libmnl's own walk takes lengths above 2 GB for negative ones; the kernel does not write such. */
	while (size - at >= sizeof(struct nlmsghdr)) {
		const struct nlmsghdr *header = (const struct nlmsghdr *)(copy + at);

		if (header->nlmsg_len < sizeof(*header) || header->nlmsg_len > size - at)
			break;
		take(header);
		if (size - at < MNL_ALIGN(header->nlmsg_len))
			break;
		at += MNL_ALIGN(header->nlmsg_len);
	}
	free(copy);
	return 0;
}
