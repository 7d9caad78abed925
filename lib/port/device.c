#include "port/device.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* ioctl of the SIOCGIF kind. 0 or -errno. */
static int
interface_ioctl(unsigned long request, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return -errno;
	rc = ioctl(fd, request, ifr) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

static struct ifreq
request_for(const char *name)
{
	struct ifreq ifr = { 0 };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	return ifr;
}

int
port_device_ethtool(const char *name, void *command)
{
	struct ifreq ifr = request_for(name);

	ifr.ifr_data = command;
	return interface_ioctl(SIOCETHTOOL, &ifr);
}

void
port_device_driver_read(const char *name, char *out, size_t size)
{
	struct ethtool_drvinfo information = { .cmd = ETHTOOL_GDRVINFO };

	out[0] = '\0';
	if (port_device_ethtool(name, &information) == 0)
		snprintf(out, size, "%.31s", information.driver);
}

int
port_device_setting_read(const char *name, uint32_t get_command)
{
	struct ethtool_value value = { .cmd = get_command };
	int rc = port_device_ethtool(name, &value);

	return rc < 0 ? rc : value.data != 0;
}

int
port_device_setting_write(const char *name, uint32_t set_command, uint32_t value)
{
	struct ethtool_value command = { .cmd = set_command, .data = value };

	return port_device_ethtool(name, &command);
}

static void
read_queue_attributes(const struct nlmsghdr *message, struct port_device *out)
{
	const struct ifinfomsg *info = NLMSG_DATA(message);
	const struct rtattr *attribute = IFLA_RTA(info);
	size_t left = IFLA_PAYLOAD(message);

	for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
		if (attribute->rta_type == IFLA_NUM_RX_QUEUES)
			memcpy(&out->rx_queues, RTA_DATA(attribute), sizeof(uint32_t));
		if (attribute->rta_type == IFLA_NUM_TX_QUEUES)
			memcpy(&out->tx_queues, RTA_DATA(attribute), sizeof(uint32_t));
	}
}

/* How many queues the device was made with; the driver may use fewer. */
static int
read_queues_made(struct port_device *out)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg info;
	} request = {
		.header = { .nlmsg_len = sizeof(request), .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST },
		.info = { .ifi_index = out->ifindex }
	};
	_Alignas(struct nlmsghdr) char answer[32768];
	const struct nlmsghdr *message = (const struct nlmsghdr *)(void *)answer;
	ssize_t len = -1;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	if (send(fd, &request, sizeof(request), 0) == (ssize_t)sizeof(request))
		len = recv(fd, answer, sizeof(answer), 0);
	close(fd);
	if (len < (ssize_t)sizeof(*message) || !NLMSG_OK(message, (size_t)len) || message->nlmsg_type != RTM_NEWLINK)
		return -EIO;
	read_queue_attributes(message, out);
	return out->rx_queues && out->tx_queues ? 0 : -EIO;
}

static int
read_queues(const char *name, struct port_device *out)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	int rc = read_queues_made(out);

	if (rc < 0)
		return rc;
	if (port_device_ethtool(name, &channels) < 0) {
		out->queues_exact = out->rx_queues == 1;
		return 0;
	}
	if (channels.combined_count + channels.rx_count)
		out->rx_queues = channels.combined_count + channels.rx_count;
	if (channels.combined_count + channels.tx_count)
		out->tx_queues = channels.combined_count + channels.tx_count;
	out->queues_exact = true;
	return 0;
}

int
port_device_read(const char *name, struct port_device *out)
{
	struct ethtool_rxfh_indir table = { .cmd = ETHTOOL_GRXFHINDIR };
	struct ethtool_drvinfo driver = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq ifr = request_for(name);
	int rc;

	memset(out, 0, sizeof(*out));
	if (strlen(name) >= IFNAMSIZ)
		return -ENODEV;
	out->ifindex = (int)if_nametoindex(name);
	if (!out->ifindex)
		return -ENODEV;
	rc = interface_ioctl(SIOCGIFFLAGS, &ifr);
	if (rc < 0)
		return rc;
	out->flags = (uint16_t)ifr.ifr_flags;
	rc = interface_ioctl(SIOCGIFMTU, &ifr);
	if (rc < 0)
		return rc;
	out->mtu = (uint32_t)ifr.ifr_mtu;
	rc = interface_ioctl(SIOCGIFHWADDR, &ifr);
	if (rc < 0)
		return rc;
	out->hardware_type = ifr.ifr_hwaddr.sa_family;
	memcpy(&out->mac, ifr.ifr_hwaddr.sa_data, sizeof(out->mac));
	/* Size 0 asks for the size. */
	out->spreads_by_flow = port_device_ethtool(name, &table) == 0 && table.size > 0;
	out->has_bus = port_device_ethtool(name, &driver) == 0 && driver.bus_info[0];
	return read_queues(name, out);
}

bool
port_device_is_running(int ifindex)
{
	const short wanted = IFF_UP | IFF_RUNNING;
	struct ifreq ifr = { 0 };

	return if_indextoname((unsigned int)ifindex, ifr.ifr_name) && interface_ioctl(SIOCGIFFLAGS, &ifr) == 0 &&
	       (ifr.ifr_flags & wanted) == wanted;
}
