#include "weirctl/doctor/probe.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the kernel ---- */

static bool
xdp(long long *value)
{
	*value = libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_XDP, NULL) == 1 &&
		 libbpf_probe_bpf_map_type(BPF_MAP_TYPE_XSKMAP, NULL) == 1;
	return true;
}

static bool
af_xdp(long long *value)
{
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

	*value = fd >= 0;
	if (fd >= 0)
		close(fd);
	return true;
}

/* A kernel that knows the command looks at the descriptor first. */
static bool
bpf_links(long long *value)
{
	int fd = bpf_link_create(-1, 1, BPF_XDP, NULL);

	*value = fd >= 0 || errno != EINVAL;
	if (fd >= 0)
		close(fd);
	return true;
}

static bool
mmapable(long long *value)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "probe", sizeof(int), sizeof(long long), 1, &options);

	*value = fd >= 0;
	if (fd >= 0)
		close(fd);
	return true;
}

static bool
memlock(long long *value)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return false;
	*value = limit.rlim_cur == RLIM_INFINITY ? -1 : (long long)limit.rlim_cur;
	return true;
}

/* CAP_NET_ADMIN, CAP_NET_RAW, and CAP_BPF with CAP_PERFMON or CAP_SYS_ADMIN (linux/capability.h). */
static bool
privileged(long long *value)
{
	const unsigned long long net = 1ull << 12 | 1ull << 13, bpf = 1ull << 39 | 1ull << 38, admin = 1ull << 21;
	unsigned long long effective = 0;
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];

	if (!file)
		return false;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "CapEff: %llx", &effective) == 1)
			break;
	fclose(file);
	*value = (effective & net) == net && ((effective & bpf) == bpf || effective & admin);
	return true;
}

static const struct {
	const char *name;
	bool (*ask)(long long *value);
} kernel_probes[] = {
	{ "xdp", xdp },           { "af_xdp", af_xdp },   { "bpf_link", bpf_links },
	{ "mmapable", mmapable }, { "memlock", memlock }, { "privileged", privileged },
};

bool
probe_kernel(const char *name, long long *value)
{
	for (size_t i = 0; i < sizeof(kernel_probes) / sizeof(kernel_probes[0]); i++)
		if (strcmp(kernel_probes[i].name, name) == 0)
			return kernel_probes[i].ask(value);
	return false;
}

/* ---- interfaces ---- */

static bool
ask(const char *interface, unsigned long request, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool good;

	if (fd < 0)
		return false;
	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", interface);
	good = ioctl(fd, request, ifr) == 0;
	close(fd);
	return good;
}

static bool
ask_ethtool(const char *interface, void *command)
{
	struct ifreq ifr = { .ifr_data = command };

	return ask(interface, SIOCETHTOOL, &ifr);
}

static bool
mtu(const char *interface, long long *value)
{
	struct ifreq ifr = { 0 };
	bool good = ask(interface, SIOCGIFMTU, &ifr);

	*value = ifr.ifr_mtu;
	return good;
}

static bool
up(const char *interface, long long *value)
{
	struct ifreq ifr = { 0 };
	bool good = ask(interface, SIOCGIFFLAGS, &ifr);

	*value = (ifr.ifr_flags & IFF_UP) != 0;
	return good;
}

static bool
channels(const char *interface, long long *now, long long *most)
{
	struct ethtool_channels c = { .cmd = ETHTOOL_GCHANNELS };

	if (!ask_ethtool(interface, &c))
		return false;
	*now = (long long)c.combined_count + c.rx_count;
	*most = (long long)c.max_combined + c.max_rx;
	return *most > 0;
}

static bool
rx_queues(const char *interface, long long *value)
{
	long long most;

	return channels(interface, value, &most);
}

static bool
rx_queues_max(const char *interface, long long *value)
{
	long long now;

	return channels(interface, &now, value);
}

static bool
rings(const char *interface, struct ethtool_ringparam *out)
{
	*out = (struct ethtool_ringparam){ .cmd = ETHTOOL_GRINGPARAM };
	return ask_ethtool(interface, out) && out->rx_max_pending && out->tx_max_pending;
}

static bool
rx_ring(const char *interface, long long *value)
{
	struct ethtool_ringparam ring;
	bool good = rings(interface, &ring);

	*value = ring.rx_pending;
	return good;
}

static bool
rx_ring_max(const char *interface, long long *value)
{
	struct ethtool_ringparam ring;
	bool good = rings(interface, &ring);

	*value = ring.rx_max_pending;
	return good;
}

static bool
tx_ring(const char *interface, long long *value)
{
	struct ethtool_ringparam ring;
	bool good = rings(interface, &ring);

	*value = ring.tx_pending;
	return good;
}

static bool
tx_ring_max(const char *interface, long long *value)
{
	struct ethtool_ringparam ring;
	bool good = rings(interface, &ring);

	*value = ring.tx_max_pending;
	return good;
}

static bool
lro(const char *interface, long long *value)
{
	struct ethtool_value flags = { .cmd = ETHTOOL_GFLAGS };
	bool good = ask_ethtool(interface, &flags);

	*value = (flags.data & ETH_FLAG_LRO) != 0;
	return good;
}

static bool
xdp_program(const char *interface, long long *value)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, options);
	unsigned int index = if_nametoindex(interface);

	if (!index || bpf_xdp_query((int)index, 0, &options) < 0)
		return false;
	*value = options.prog_id ? options.prog_id : options.drv_prog_id ? options.drv_prog_id : options.skb_prog_id;
	return true;
}

static const struct {
	const char *name;
	bool (*ask)(const char *interface, long long *value);
} interface_probes[] = {
	{ "mtu", mtu },
	{ "up", up },
	{ "rx_queues", rx_queues },
	{ "rx_queues_max", rx_queues_max },
	{ "rx_ring", rx_ring },
	{ "rx_ring_max", rx_ring_max },
	{ "tx_ring", tx_ring },
	{ "tx_ring_max", tx_ring_max },
	{ "lro", lro },
	{ "xdp_program", xdp_program },
};

bool
probe_interface(const char *interface, const char *name, long long *value)
{
	for (size_t i = 0; i < sizeof(interface_probes) / sizeof(interface_probes[0]); i++)
		if (strcmp(interface_probes[i].name, name) == 0)
			return interface_probes[i].ask(interface, value);
	return false;
}

bool
probe_interface_driver(const char *interface, char *out, size_t size)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };

	if (!ask_ethtool(interface, &info))
		return false;
	snprintf(out, size, "%s", info.driver);
	return true;
}

void
probe_interfaces(struct host_names *out)
{
	struct if_nameindex *all = if_nameindex();

	out->count = 0;
	for (struct if_nameindex *i = all; i && i->if_index && out->count < HOST_NAMES_MAX; i++)
		snprintf(out->names[out->count++], HOST_NAME_SIZE, "%s", i->if_name);
	if (all)
		if_freenameindex(all);
}
