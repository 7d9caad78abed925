/* NICs on the PCI bus: who has them, who of DPDK would take them, and what stands in the way. */
#include <string.h>

#include "port/port.h"
#include "weir/core.h"
#include "weirctl/doctor/doctor.h"
#include "weirctl/doctor/pmd.h"

#define DEVICES "/sys/bus/pci/devices"

struct nic {
	char address[HOST_NAME_SIZE], driver[HOST_NAME_SIZE], interface[HOST_NAME_SIZE];
	long long vendor, device, node;
	char dpdk[HOST_NAME_SIZE]; /* "": none of DPDK's installed drivers knows it */
};

static bool
gives_away(const char *driver)
{
	return strcmp(driver, "vfio-pci") == 0 || strcmp(driver, "uio_pci_generic") == 0 ||
	       strcmp(driver, "igb_uio") == 0;
}

static bool
shares(const char *driver)
{
	return strcmp(driver, "mlx4_core") == 0 || strcmp(driver, "mlx5_core") == 0 || strcmp(driver, "mana") == 0;
}

/* A virtio interface hangs on a virtio device, which hangs on the PCI device. */
static void
interface_read(const struct doctor *doctor, const char *address, char *out, size_t size)
{
	struct host_names interfaces, parts;

	host_list(&doctor->host, &interfaces, DEVICES "/%s/net", address);
	if (!interfaces.count) {
		host_list(&doctor->host, &parts, DEVICES "/%s", address);
		for (unsigned int i = 0; i < parts.count && !interfaces.count; i++)
			if (strncmp(parts.names[i], "virtio", 6) == 0)
				host_list(&doctor->host, &interfaces, DEVICES "/%s/%s/net", address, parts.names[i]);
	}
	if (interfaces.count)
		snprintf(out, size, "%s", interfaces.names[0]);
}

/* False: it is no NIC. */
static bool
nic_read(const struct doctor *doctor, const struct pmd_list *pmds, const char *address, struct nic *nic)
{
	long long class;

	memset(nic, 0, sizeof(*nic));
	if (!host_number(&doctor->host, &class, DEVICES "/%s/class", address) || class >> 16 != 0x02)
		return false;
	snprintf(nic->address, sizeof(nic->address), "%s", address);
	nic->node = -1;
	host_number(&doctor->host, &nic->vendor, DEVICES "/%s/vendor", address);
	host_number(&doctor->host, &nic->device, DEVICES "/%s/device", address);
	host_number(&doctor->host, &nic->node, DEVICES "/%s/numa_node", address);
	host_link(&doctor->host, nic->driver, sizeof(nic->driver), DEVICES "/%s/driver", address);
	interface_read(doctor, address, nic->interface, sizeof(nic->interface));
	pmd_find(pmds, nic->vendor, nic->device, nic->dpdk, sizeof(nic->dpdk));
	return true;
}

/* The `interface` of the configuration that names this device. */
static const struct core_interface *
wanted(const struct doctor *doctor, const char *address)
{
	const struct core_interface *i = doctor->config ? core_settings(doctor->config)->interfaces : NULL;

	for (; i; i = i->next) {
		size_t full = strlen(address), len = strlen(i->port.name);

		if (len <= full && port_name_is_dpdk(i->port.name) &&
		    strcasecmp(address + full - len, i->port.name) == 0)
			return i;
	}
	return NULL;
}

static void
say_wanted(struct doctor *doctor, const struct nic *nic, const char *about)
{
	long long pages = 0;

	host_number(&doctor->host, &pages, "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");
	if (!nic->dpdk[0])
		doctor_say(doctor, DOCTOR_PROBLEM, "name its interface instead of its address, and XDP serves it",
			   "%s: no driver of the installed DPDK knows this device", about);
	else if (!gives_away(nic->driver) && !shares(nic->driver))
		doctor_say(doctor, DOCTOR_PROBLEM, doctor_remedy(doctor, "drivers-conf/bind %s", nic->address),
			   "%s: the configuration gives it to DPDK, and %s has it", about,
			   nic->driver[0] ? nic->driver : "no driver");
	else if (strcmp(nic->driver, "vfio-pci") != 0 && !shares(nic->driver) && !pages)
		doctor_say(doctor, DOCTOR_PROBLEM, "drivers-conf/hugepages --sysctl 512M",
			   "%s: under %s DPDK needs huge pages, and there are none", about, nic->driver);
	else
		doctor_say(doctor, DOCTOR_OK, NULL, "%s: under %s, for DPDK's %s", about, nic->driver, nic->dpdk);
}

static void
say_other(struct doctor *doctor, const struct nic *nic, const char *about)
{
	if (!nic->dpdk[0])
		doctor_say(doctor, DOCTOR_OK, NULL,
			   "%s: the kernel's %s has it, and no driver of DPDK knows it: for XDP", about,
			   nic->driver[0] ? nic->driver : "(none)");
	else if (gives_away(nic->driver))
		doctor_say(doctor, DOCTOR_OK, NULL, "%s: under %s, for DPDK's %s", about, nic->driver, nic->dpdk);
	else if (shares(nic->driver))
		doctor_say(doctor, DOCTOR_OK, NULL, "%s: the kernel's %s has it, and shares it with DPDK's %s as it is",
			   about, nic->driver, nic->dpdk);
	else
		doctor_say(doctor, DOCTOR_OK, NULL,
			   "%s: the kernel's %s has it; DPDK's %s would take it (drivers-conf/bind)", about,
			   nic->driver[0] ? nic->driver : "(none)", nic->dpdk);
}

/* Packet buffers come from where the kernel gives them; a NIC on another node reaches them over the interconnect. */
static void
say_node(struct doctor *doctor, const struct nic *nic)
{
	long long pages = 0;

	if (nic->node < 0 || !gives_away(nic->driver))
		return;
	host_number(&doctor->host, &pages, "/sys/devices/system/node/node%lld/hugepages/hugepages-2048kB/nr_hugepages",
		    nic->node);
	if (!pages)
		doctor_say(doctor, DOCTOR_ADVICE,
			   doctor_remedy(doctor, "drivers-conf/hugepages --node %lld --systemd 1G", nic->node),
			   "%s is on NUMA node %lld, which has no huge pages", nic->address, nic->node);
}

static void
nics(struct doctor *doctor)
{
	struct host_names devices;
	struct pmd_list *pmds = NULL;
	struct nic nic;

	host_list(&doctor->host, &devices, DEVICES);
	if (devices.count)
		pmds = pmd_list_new(doctor->host.root);
	for (unsigned int i = 0; i < devices.count; i++) {
		char about[256];

		if (!nic_read(doctor, pmds, devices.names[i], &nic))
			continue;
		snprintf(about, sizeof(about), "%s (%04llx:%04llx%s%s)", nic.address, nic.vendor, nic.device,
			 nic.interface[0] ? ", " : "", nic.interface);
		if (wanted(doctor, nic.address))
			say_wanted(doctor, &nic, about);
		else
			say_other(doctor, &nic, about);
		say_node(doctor, &nic);
	}
	pmd_list_free(pmds);
}

/* Named by the configuration and not there. */
static void
missing(struct doctor *doctor)
{
	const struct core_interface *i = doctor->config ? core_settings(doctor->config)->interfaces : NULL;

	for (; i; i = i->next) {
		const char *domain = strlen(i->port.name) < strlen("0000:00:00.0") ? "0000:" : "";

		if (!port_name_is_dpdk(i->port.name) || strncmp(i->port.name, "vdev:", 5) == 0)
			continue;
		if (!host_exists(&doctor->host, DEVICES "/%s%s", domain, i->port.name))
			doctor_say(doctor, DOCTOR_PROBLEM, "weirctl doctor (without -c) lists the NICs that there are",
				   "interface %s: there is no such PCI device", i->port.name);
	}
}

static bool
has_nics(const struct doctor *doctor)
{
	struct host_names devices;
	long long class;

	host_list(&doctor->host, &devices, DEVICES);
	for (unsigned int i = 0; i < devices.count; i++)
		if (host_number(&doctor->host, &class, DEVICES "/%s/class", devices.names[i]) && class >> 16 == 0x02)
			return true;
	return false;
}

static void
iommu(struct doctor *doctor)
{
	struct host_names groups;

	if (!has_nics(doctor))
		return;
	host_list(&doctor->host, &groups, "/sys/kernel/iommu_groups");
	if (groups.count)
		doctor_say(doctor, DOCTOR_OK, NULL, "an IOMMU with %u group%s", groups.count,
			   groups.count == 1 ? "" : "s");
	else
		doctor_say(
			doctor, DOCTOR_ADVICE,
			"intel_iommu=on iommu=pt on the kernel's command line, and VT-d or AMD-Vi on in the firmware",
			"no IOMMU: NICs for DPDK go to uio_pci_generic, which protects no memory from them and wants "
			"huge pages");
}

static void
vfio(struct doctor *doctor)
{
	if (!has_nics(doctor))
		return;
	if (host_exists(&doctor->host, "/sys/bus/pci/drivers/vfio-pci"))
		doctor_say(doctor, DOCTOR_OK, NULL, "vfio-pci is loaded");
	else if (host_exists(&doctor->host, "/sys/bus/pci/drivers/uio_pci_generic"))
		doctor_say(doctor, DOCTOR_OK, NULL, "uio_pci_generic is loaded");
	else
		doctor_say(doctor, DOCTOR_ADVICE, "modprobe vfio-pci (drivers-conf/bind does it)",
			   "neither vfio-pci nor uio_pci_generic is loaded: no NIC can go to DPDK but mlx5's");
}

const struct doctor_check doctor_device_checks[] = {
	{ "iommu", iommu }, { "vfio", vfio }, { "nics", nics }, { "missing", missing }, { 0 },
};
