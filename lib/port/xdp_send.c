#include "port/xdp_send.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <string.h>
#include <time.h>

#include "port/device.h"

/* <linux/netdev.h> of Linux 6.3, which Debian 12 has not. */
#define NETDEV_FAMILY "netdev"
#define NETDEV_GET 1
#define NETDEV_IFINDEX 1
#define NETDEV_XDP_FEATURES 3
#define NETDEV_XDP_NDO_XMIT 4

struct question {
	struct mnl_socket *socket;
	char buffer[8192];
	uint16_t family;
	uint64_t features;
};

static struct nlmsghdr *
ask(struct question *q, uint16_t type, uint8_t command)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(q->buffer);
	struct genlmsghdr *generic;

	header->nlmsg_type = type;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	header->nlmsg_seq = (uint32_t)time(NULL);
	generic = mnl_nlmsg_put_extra_header(header, sizeof(*generic));
	generic->cmd = command;
	generic->version = 1;
	return header;
}

static int
answer(struct question *q, struct nlmsghdr *header, mnl_attr_cb_t each)
{
	uint32_t sequence = header->nlmsg_seq;
	ssize_t len;

	if (mnl_socket_sendto(q->socket, header, header->nlmsg_len) < 0)
		return -errno;
	while ((len = mnl_socket_recvfrom(q->socket, q->buffer, sizeof(q->buffer))) > 0) {
		struct nlmsghdr *at = (struct nlmsghdr *)q->buffer;
		int left = (int)len;

		for (; mnl_nlmsg_ok(at, left); at = mnl_nlmsg_next(at, &left)) {
			if (at->nlmsg_seq != sequence)
				continue;
			if (at->nlmsg_type == NLMSG_ERROR)
				return ((struct nlmsgerr *)mnl_nlmsg_get_payload(at))->error;
			mnl_attr_parse(at, sizeof(struct genlmsghdr), each, q);
		}
	}
	return len < 0 ? -errno : -EIO;
}

static int
take_family(const struct nlattr *attribute, void *context)
{
	struct question *q = context;

	if (mnl_attr_get_type(attribute) == CTRL_ATTR_FAMILY_ID && mnl_attr_validate(attribute, MNL_TYPE_U16) >= 0)
		q->family = mnl_attr_get_u16(attribute);
	return MNL_CB_OK;
}

static int
take_features(const struct nlattr *attribute, void *context)
{
	struct question *q = context;

	if (mnl_attr_get_type(attribute) == NETDEV_XDP_FEATURES && mnl_attr_validate(attribute, MNL_TYPE_U64) >= 0)
		q->features = mnl_attr_get_u64(attribute);
	return MNL_CB_OK;
}

/* Fills in q->features. 0 or -errno. */
static int
features_ask(struct question *q, int ifindex)
{
	struct nlmsghdr *header = ask(q, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	int rc;

	mnl_attr_put_strz(header, CTRL_ATTR_FAMILY_NAME, NETDEV_FAMILY);
	rc = answer(q, header, take_family);
	if (rc < 0)
		return rc;
	header = ask(q, q->family, NETDEV_GET);
	mnl_attr_put_u32(header, NETDEV_IFINDEX, (uint32_t)ifindex);
	return answer(q, header, take_features);
}

bool
port_xdp_send_possible(int ifindex, const char *name)
{
	struct question q = { .socket = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC) };
	char driver[32] = "";
	int rc;

	if (!q.socket)
		return false;
	rc = mnl_socket_bind(q.socket, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : features_ask(&q, ifindex);
	mnl_socket_close(q.socket);
	if (rc == 0)
		return q.features & NETDEV_XDP_NDO_XMIT;
	port_device_driver_read(name, driver, sizeof(driver));
	return rc == -ENOENT && driver[0] && strcmp(driver, "veth") != 0;
}
