#include "port/twin.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <rte_cycles.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/address.h"

/* Segments of one packet to the kernel; what has more is dropped. */
#define SEGMENTS_MAX 32
/* An empty TAP costs a system call to find out. */
#define EMPTY_PAUSE_US 20

struct port_twin {
	int fd;
	int ifindex;
	char name[IFNAMSIZ];
	struct rte_mempool *pool;
	struct rte_mbuf *spare; /* allocated for a read that had nothing to read */
	uint64_t pause_cycles, read_at;
	int carrier; /* as last told to the kernel, -1: never */
};

/* ---- making it ---- */

static int
tap_open(struct port_twin *twin, const char *name, char *error, size_t size)
{
	/* Without IFF_VNET_HDR and TUNSETOFFLOAD the kernel offers no offload on this interface. IFF_TUN_EXCL: never take
	 * over an interface that somebody left there. */
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL };

	if (strlen(name) >= sizeof(request.ifr_name))
		return port_fail(error, size, -ENAMETOOLONG, "twin %s: an interface name has at most %zu characters",
				 name, sizeof(request.ifr_name) - 1);
	twin->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (twin->fd < 0)
		return port_fail(error, size, -errno, "twin %s: cannot open /dev/net/tun: %s%s", name, strerror(errno),
				 errno == ENOENT ? " (load the kernel module tun)" : "");
	strcpy(request.ifr_name, name);
	if (ioctl(twin->fd, TUNSETIFF, &request) < 0)
		return port_fail(error, size, -errno, "twin %s: %s%s", name, strerror(errno),
				 errno == EBUSY
					 ? " (there is an interface of that name; choose another with `twin NAME`)"
				 : errno == EPERM ? " (making a TAP interface needs CAP_NET_ADMIN)"
						  : "");
	strcpy(twin->name, request.ifr_name);
	return 0;
}

static int
request_fail(const struct port_twin *twin, const char *what, char *error, size_t size)
{
	return port_fail(error, size, -errno, "twin %s: cannot set its %s: %s", twin->name, what, strerror(errno));
}

static int
tap_configure(struct port_twin *twin, const struct rte_ether_addr *mac, uint16_t mtu, char *error, size_t size)
{
	int socket_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = 0;
	struct ifreq request = { 0 };

	if (socket_fd < 0)
		return request_fail(twin, "parameters", error, size);
	strcpy(request.ifr_name, twin->name);
	request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(request.ifr_hwaddr.sa_data, mac->addr_bytes, RTE_ETHER_ADDR_LEN);
	if (ioctl(socket_fd, SIOCSIFHWADDR, &request) < 0)
		rc = request_fail(twin, "MAC address", error, size);
	request.ifr_mtu = mtu;
	if (rc == 0 && ioctl(socket_fd, SIOCSIFMTU, &request) < 0)
		rc = request_fail(twin, "MTU", error, size);
	if (rc == 0 && ioctl(socket_fd, SIOCGIFINDEX, &request) < 0)
		rc = request_fail(twin, "index", error, size);
	twin->ifindex = request.ifr_ifindex;
	if (rc == 0 && ioctl(socket_fd, SIOCGIFFLAGS, &request) < 0)
		rc = request_fail(twin, "flags", error, size);
	request.ifr_flags |= IFF_UP;
	if (rc == 0 && ioctl(socket_fd, SIOCSIFFLAGS, &request) < 0)
		rc = request_fail(twin, "state to up", error, size);
	close(socket_fd);
	return rc;
}

/* "10.0.0.1/24"; a host's own prefix where none is written. */
static int
address_parse(const char *text, struct ip_address *address, uint8_t *prefix_len)
{
	const char *slash = strchr(text, '/');
	struct bytes host = bytes_of_string(text);
	unsigned long bits, most;
	char *end;

	if (slash)
		host.len = (size_t)(slash - text);
	if (ip_address_parse(host, address) < 0)
		return -EINVAL;
	most = ip_address_is_v4(address) ? 32 : 128;
	bits = slash ? strtoul(slash + 1, &end, 10) : most;
	if (slash && (end == slash + 1 || *end || bits > most))
		return -EINVAL;
	*prefix_len = (uint8_t)bits;
	return 0;
}

static void
address_put(struct nlmsghdr *header, int ifindex, const struct ip_address *address, uint8_t prefix_len)
{
	struct ifaddrmsg *request = mnl_nlmsg_put_extra_header(header, sizeof(*request));
	bool v4 = ip_address_is_v4(address);
	const void *bytes = v4 ? (const void *)&address->words_be[3] : address->bytes;
	size_t len = v4 ? 4 : 16;

	header->nlmsg_type = RTM_NEWADDR;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK;
	request->ifa_family = v4 ? AF_INET : AF_INET6;
	request->ifa_prefixlen = prefix_len;
	request->ifa_index = (unsigned int)ifindex;
	/* The configuration says that it is ours: usable at once, without a second of duplicate detection (RFC 4862). */
	request->ifa_flags = IFA_F_NODAD | IFA_F_PERMANENT;
	mnl_attr_put(header, IFA_LOCAL, len, bytes);
	mnl_attr_put(header, IFA_ADDRESS, len, bytes);
}

static int
address_add(struct mnl_socket *socket, int ifindex, const struct ip_address *address, uint8_t prefix_len)
{
	char buffer[1024];
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	ssize_t n;

	address_put(header, ifindex, address, prefix_len);
	if (mnl_socket_sendto(socket, header, header->nlmsg_len) < 0)
		return -errno;
	n = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
	if (n < 0 || mnl_cb_run(buffer, (size_t)n, 0, mnl_socket_get_portid(socket), NULL, NULL) < 0)
		return -errno;
	return 0;
}

static int
addresses_add(struct port_twin *twin, const char *const *addresses, char *error, size_t size)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int rc = 0;

	if (!socket || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0)
		rc = request_fail(twin, "addresses", error, size);
	for (; rc == 0 && addresses && *addresses; addresses++) {
		struct ip_address address;
		uint8_t prefix_len;

		if (address_parse(*addresses, &address, &prefix_len) < 0)
			rc = port_fail(error, size, -EINVAL, "twin %s: \"%s\" is not an address with its prefix length",
				       twin->name, *addresses);
		else
			rc = address_add(socket, twin->ifindex, &address, prefix_len);
		if (rc < 0 && rc != -EINVAL)
			rc = port_fail(error, size, rc, "twin %s: cannot give it the address %s: %s", twin->name,
				       *addresses, strerror(-rc));
	}
	if (socket)
		mnl_socket_close(socket);
	return rc;
}

int
port_twin_new(const char *name, const struct rte_ether_addr *mac, uint16_t mtu, const char *const *addresses,
	      struct rte_mempool *pool, struct port_twin **out, char *error, size_t size)
{
	struct port_twin *twin;
	int rc;

	if (mtu + RTE_ETHER_HDR_LEN + RTE_PKTMBUF_HEADROOM > rte_pktmbuf_data_room_size(pool))
		return port_fail(error, size, -EINVAL, "twin %s: frames of MTU %u do not fit into the packet buffers",
				 name, mtu);
	twin = calloc(1, sizeof(*twin));
	if (!twin)
		return port_fail(error, size, -ENOMEM, "twin %s: out of memory", name);
	twin->fd = twin->carrier = -1;
	twin->pool = pool;
	twin->pause_cycles = rte_get_timer_hz() / 1000000 * EMPTY_PAUSE_US;
	rc = tap_open(twin, name, error, size);
	if (rc == 0)
		rc = tap_configure(twin, mac, mtu, error, size);
	if (rc == 0)
		rc = addresses_add(twin, addresses, error, size);
	if (rc < 0) {
		port_twin_free(twin);
		return rc;
	}
	*out = twin;
	return 0;
}

void
port_twin_free(struct port_twin *twin)
{
	if (!twin)
		return;
	if (twin->fd >= 0)
		close(twin->fd);
	rte_pktmbuf_free(twin->spare);
	free(twin);
}

int
port_twin_ifindex(const struct port_twin *twin)
{
	return twin->ifindex;
}

const char *
port_twin_name(const struct port_twin *twin)
{
	return twin->name;
}

int
port_twin_fd(const struct port_twin *twin)
{
	return twin->fd;
}

void
port_twin_carrier(struct port_twin *twin, bool up)
{
	int value = up;

	if (__atomic_exchange_n(&twin->carrier, value, __ATOMIC_RELAXED) != value)
		ioctl(twin->fd, TUNSETCARRIER, &value);
}

/* ---- packets ---- */

bool
port_twin_write(struct port_twin *twin, struct rte_mbuf *m)
{
	struct iovec parts[SEGMENTS_MAX];
	int count = 0;

	for (const struct rte_mbuf *segment = m; segment; segment = segment->next) {
		if (count == SEGMENTS_MAX)
			return false;
		parts[count].iov_base = rte_pktmbuf_mtod(segment, void *);
		parts[count++].iov_len = segment->data_len;
	}
	return writev(twin->fd, parts, count) == (ssize_t)m->pkt_len;
}

uint16_t
port_twin_read(struct port_twin *twin, struct rte_mbuf **out, uint16_t max)
{
	uint64_t now = rte_rdtsc();
	uint16_t count = 0;

	if (now < twin->read_at)
		return 0;
	while (count < max) {
		struct rte_mbuf *m = twin->spare ? twin->spare : rte_pktmbuf_alloc(twin->pool);
		ssize_t n;

		twin->spare = NULL;
		if (!m)
			break;
		n = read(twin->fd, rte_pktmbuf_mtod(m, void *), rte_pktmbuf_tailroom(m));
		if (n <= 0) {
			twin->spare = m;
			twin->read_at = now + twin->pause_cycles;
			break;
		}
		m->data_len = (uint16_t)n;
		m->pkt_len = (uint32_t)n;
		out[count++] = m;
	}
	return count;
}
