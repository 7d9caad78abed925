/* Interfaces under XDP: what their drivers can do, and how they are set. */
#include <string.h>

#include "port/port.h"
#include "weir/core.h"
#include "weirctl/doctor/doctor.h"

/* Drivers that run XDP programs themselves and redirect to AF_XDP; from which kernel on (iovisor/bcc, docs/kernel-versions.md,
 * and the drivers' history), and whether they do without copying. */
static const struct {
	const char *driver;
	int major, minor;
	bool zero_copy;
} native[] = {
	{ "ixgbe", 4, 12, true },     { "i40e", 4, 13, true },    { "ice", 5, 5, true },
	{ "mlx5_core", 4, 9, true },  { "igc", 5, 13, true },     { "stmmac", 5, 13, true },
	{ "igb", 5, 10, false },      { "mlx4_en", 4, 8, false }, { "virtio_net", 4, 10, false },
	{ "bnxt_en", 4, 11, false },  { "qede", 4, 10, false },   { "nfp", 4, 10, false },
	{ "veth", 4, 19, false },     { "tun", 4, 14, false },    { "ena", 5, 6, false },
	{ "hv_netvsc", 5, 6, false }, { "vif", 5, 9, false },     { "mana", 5, 17, false },
	{ "vmxnet3", 6, 6, false },   { "gve", 6, 4, false },     { "ixgbevf", 4, 17, false },
};

static bool
kernel_has(const struct doctor *doctor, int major, int minor)
{
	char text[128];
	int a, b;

	return host_read(&doctor->host, text, sizeof(text), "/proc/sys/kernel/osrelease") &&
	       sscanf(text, "%d.%d", &a, &b) == 2 && (a > major || (a == major && b >= minor));
}

static void
say_driver(struct doctor *doctor, const char *name, const char *driver)
{
	for (size_t i = 0; i < sizeof(native) / sizeof(native[0]); i++) {
		if (strcmp(native[i].driver, driver) != 0)
			continue;
		if (kernel_has(doctor, native[i].major, native[i].minor))
			doctor_say(doctor, DOCTOR_OK, NULL, "%s: driver %s runs XDP natively%s", name, driver,
				   native[i].zero_copy ? ", and knows zero copy" : "");
		else
			doctor_say(doctor, DOCTOR_ADVICE, NULL,
				   "%s: driver %s runs XDP natively from Linux %d.%d on; here: generic", name, driver,
				   native[i].major, native[i].minor);
		return;
	}
	doctor_say(doctor, DOCTOR_ADVICE, NULL, "%s: driver %s is not known to run XDP natively: generic, slower", name,
		   driver);
}

static void
say_queues(struct doctor *doctor, const char *name)
{
	long long now, most, workers = doctor_workers(doctor);

	if (!host_probe_interface(&doctor->host, name, "rx_queues", &now) ||
	    !host_probe_interface(&doctor->host, name, "rx_queues_max", &most))
		return;
	if (now < workers && now < most)
		doctor_say(doctor, DOCTOR_ADVICE,
			   doctor_remedy(doctor, "ethtool -L %s combined %lld", name, workers < most ? workers : most),
			   "%s: %lld receive queue%s for %lld workers", name, now, now == 1 ? "" : "s", workers);
	else
		doctor_say(doctor, DOCTOR_OK, NULL, "%s: %lld receive queue%s", name, now, now == 1 ? "" : "s");
}

static void
say_rings(struct doctor *doctor, const char *name)
{
	long long rx, rx_max, tx, tx_max;

	if (!host_probe_interface(&doctor->host, name, "rx_ring", &rx) ||
	    !host_probe_interface(&doctor->host, name, "rx_ring_max", &rx_max) ||
	    !host_probe_interface(&doctor->host, name, "tx_ring", &tx) ||
	    !host_probe_interface(&doctor->host, name, "tx_ring_max", &tx_max))
		return;
	if (rx < rx_max || tx < tx_max)
		doctor_say(doctor, DOCTOR_ADVICE,
			   doctor_remedy(doctor, "ethtool -G %s rx %lld tx %lld", name, rx_max, tx_max),
			   "%s: rings of %lld and %lld, of %lld and %lld that there could be: a burst is lost sooner",
			   name, rx, tx, rx_max, tx_max);
}

static void
say_offloads(struct doctor *doctor, const char *name)
{
	long long lro;

	if (host_probe_interface(&doctor->host, name, "lro", &lro) && lro)
		doctor_say(doctor, DOCTOR_PROBLEM, doctor_remedy(doctor, "ethtool -K %s lro off", name),
			   "%s: large receive offload is on: drivers refuse XDP, or long packets are lost", name);
}

/* Since Linux 6.6 a packet may have several buffers. */
static void
say_mtu(struct doctor *doctor, const char *name)
{
	long long mtu;

	if (kernel_has(doctor, 6, 6))
		return;
	if (strcmp(name, "lo") != 0 && host_probe_interface(&doctor->host, name, "mtu", &mtu) && mtu > PORT_XDP_MTU_MAX)
		doctor_say(doctor, DOCTOR_PROBLEM, doctor_remedy(doctor, "ip link set dev %s mtu 1500", name),
			   "%s: mtu %lld, and before Linux 6.6 XDP ports take packets of %d at most", name, mtu,
			   PORT_XDP_MTU_MAX);
}

static void
say_state(struct doctor *doctor, const char *name)
{
	long long up, program;

	if (host_probe_interface(&doctor->host, name, "up", &up) && !up)
		doctor_say(doctor, DOCTOR_ADVICE, doctor_remedy(doctor, "ip link set dev %s up", name), "%s is down",
			   name);
	if (host_probe_interface(&doctor->host, name, "xdp_program", &program) && program)
		doctor_say(
			doctor, DOCTOR_PROBLEM,
			doctor_remedy(doctor,
				      "ip link set dev %s xdp off (or stop the program or the Weir that it belongs to)",
				      name),
			"%s: XDP program %lld is attached: another cannot be (bpftool net shows whose it is)", name,
			program);
}

static void
one(struct doctor *doctor, const char *name)
{
	char driver[HOST_NAME_SIZE];
	long long up;

	if (!host_probe_interface(&doctor->host, name, "up", &up)) {
		doctor_say(doctor, DOCTOR_PROBLEM, "ip -br link shows those that there are",
			   "interface %s: there is none", name);
		return;
	}
	if (strcmp(name, "lo") == 0)
		doctor_say(doctor, DOCTOR_OK, NULL, "lo: XDP runs generically, and Weir sets it up itself");
	else if (host_interface_driver(&doctor->host, name, driver, sizeof(driver)))
		say_driver(doctor, name, driver);
	say_state(doctor, name);
	say_queues(doctor, name);
	say_rings(doctor, name);
	say_offloads(doctor, name);
	say_mtu(doctor, name);
}

static void
interfaces(struct doctor *doctor)
{
	struct host_names names;

	if (!doctor_wants_xdp(doctor))
		return;
	doctor_interfaces(doctor, &names);
	for (unsigned int i = 0; i < names.count; i++)
		one(doctor, names.names[i]);
}

const struct doctor_check doctor_interface_checks[] = {
	{ "interface", interfaces },
	{ 0 },
};
