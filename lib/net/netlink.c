#include "net/netlink.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* The kernel fills dumps up to 32 KB (NLMSG_GOODSIZE rules aside), multipath routes of many hops included. */
#define BUFFER_SIZE 65536
/* About 20,000 routes between two reads; more is an overrun, which costs a full dump. */
#define EVENTS_BYTES (8 << 20)

static struct mnl_socket *
open_bound(unsigned int groups)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);

	if (socket && mnl_socket_bind(socket, groups, MNL_SOCKET_AUTOPID) < 0) {
		int code = errno;

		mnl_socket_close(socket);
		errno = code;
		return NULL;
	}
	return socket;
}

int
netlink_open(struct netlink *netlink, char *error, size_t size)
{
	const int bytes = EVENTS_BYTES;
	int rc;

	memset(netlink, 0, sizeof(*netlink));
	netlink->events = open_bound(RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
				     RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE);
	if (netlink->events)
		netlink->dump = open_bound(0);
	if (netlink->dump)
		netlink->request = open_bound(0);
	rc = netlink->request ? 0 : -errno;
	if (rc == 0) {
		netlink->buffer = malloc(BUFFER_SIZE);
		rc = netlink->buffer ? 0 : -ENOMEM;
	}
	if (rc < 0) {
		snprintf(error, size, "cannot open a netlink socket to read addresses and routes: %s", strerror(-rc));
		netlink_close(netlink);
		return rc;
	}
	netlink->port_id = mnl_socket_get_portid(netlink->dump);
	/* Without CAP_NET_ADMIN the second is refused, and net.core.rmem_max bounds the first. */
	setsockopt(netlink_events_fd(netlink), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	setsockopt(netlink_events_fd(netlink), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	return 0;
}

void
netlink_close(struct netlink *netlink)
{
	if (netlink->events)
		mnl_socket_close(netlink->events);
	if (netlink->dump)
		mnl_socket_close(netlink->dump);
	if (netlink->request)
		mnl_socket_close(netlink->request);
	free(netlink->buffer);
	memset(netlink, 0, sizeof(*netlink));
}

int
netlink_events_fd(const struct netlink *netlink)
{
	return mnl_socket_get_fd(netlink->events);
}

int
netlink_dump(struct netlink *netlink, uint16_t type, uint8_t family, mnl_cb_t each, void *context)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(netlink->buffer);
	/* One header fits all requests, as each begins with the family. */
	struct rtmsg *request = mnl_nlmsg_put_extra_header(header, sizeof(*request));
	static unsigned int sequence;
	unsigned int mine = __atomic_add_fetch(&sequence, 1, __ATOMIC_RELAXED);
	int rc = MNL_CB_OK;

	header->nlmsg_type = type;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	header->nlmsg_seq = mine;
	request->rtm_family = family;
	if (mnl_socket_sendto(netlink->dump, header, header->nlmsg_len) < 0)
		return -errno;
	while (rc == MNL_CB_OK) {
		ssize_t n = mnl_socket_recvfrom(netlink->dump, netlink->buffer, BUFFER_SIZE);

		if (n < 0)
			return -errno;
		rc = mnl_cb_run(netlink->buffer, (size_t)n, mine, netlink->port_id, each, context);
		/* The rest of an earlier dump that was given up. */
		if (rc < 0 && errno == EPROTO)
			rc = MNL_CB_OK;
	}
	return rc < 0 ? -errno : 0;
}

int
netlink_receive(struct netlink *netlink, mnl_cb_t each, void *context)
{
	ssize_t n = recv(netlink_events_fd(netlink), netlink->buffer, BUFFER_SIZE, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	/* Events of the kernel have sequence and port of who caused them: not to be compared. */
	if (mnl_cb_run(netlink->buffer, (size_t)n, 0, 0, each, context) < 0 && errno == ENOMEM)
		return -ENOBUFS;
	return 1;
}

int
netlink_neighbor_use(struct netlink *netlink, int ifindex, const struct ip_address *address)
{
	char buffer[256];
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct ndmsg *request = mnl_nlmsg_put_extra_header(header, sizeof(*request));
	int fd = mnl_socket_get_fd(netlink->request);

	/* Nobody waits for answers, all of which are errors. */
	while (recv(fd, netlink->buffer, BUFFER_SIZE, MSG_DONTWAIT) > 0)
		netlink->refused++;
	header->nlmsg_type = RTM_NEWNEIGH;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE;
	request->ndm_ifindex = ifindex;
	request->ndm_state = NUD_NONE;
	request->ndm_flags = NTF_USE;
	if (ip_address_is_v4(address)) {
		request->ndm_family = AF_INET;
		mnl_attr_put_u32(header, NDA_DST, ip_address_v4_be(address));
	} else {
		request->ndm_family = AF_INET6;
		mnl_attr_put(header, NDA_DST, sizeof(address->bytes), address->bytes);
	}
	return mnl_socket_sendto(netlink->request, header, header->nlmsg_len) < 0 ? -errno : 0;
}
