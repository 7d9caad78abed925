/* Huge pages per NUMA node, and memory wanted against memory there. */
#include <inttypes.h>
#include <string.h>

#include "l4/l4.h"
#include "weir/topology.h"
#include "weirctl/doctor/doctor.h"

#define HUGE_2M "hugepages-2048kB"

/* Megabytes of free 2 MB pages on all nodes; false where the kernel has none of that size. */
static bool
free_megabytes(const struct doctor *doctor, long long *value)
{
	if (!host_number(&doctor->host, value, "/sys/kernel/mm/hugepages/" HUGE_2M "/free_hugepages"))
		return false;
	*value *= 2;
	return true;
}

static void
say_node(struct doctor *doctor, const char *node)
{
	struct host_names sizes;

	host_list(&doctor->host, &sizes, "/sys/devices/system/node/%s/hugepages", node);
	for (unsigned int i = 0; i < sizes.count; i++) {
		long long all = 0, left = 0, kb = 0;

		if (sscanf(sizes.names[i], "hugepages-%lldkB", &kb) != 1)
			continue;
		host_number(&doctor->host, &all, "/sys/devices/system/node/%s/hugepages/%s/nr_hugepages", node,
			    sizes.names[i]);
		host_number(&doctor->host, &left, "/sys/devices/system/node/%s/hugepages/%s/free_hugepages", node,
			    sizes.names[i]);
		if (all)
			doctor_say(doctor, DOCTOR_OK, NULL, "%s: %lld huge pages of %lld MB, %lld free", node, all,
				   kb >> 10, left);
	}
}

static void
hugepages(struct doctor *doctor)
{
	long long megabytes = 0, all = 0;
	struct host_names nodes;

	host_list(&doctor->host, &nodes, "/sys/devices/system/node");
	for (unsigned int i = 0; i < nodes.count; i++)
		if (strncmp(nodes.names[i], "node", 4) == 0)
			say_node(doctor, nodes.names[i]);
	host_number(&doctor->host, &all, "/sys/kernel/mm/hugepages/" HUGE_2M "/nr_hugepages");
	if (!free_megabytes(doctor, &megabytes) || all == 0)
		doctor_say(doctor, DOCTOR_ADVICE, "drivers-conf/hugepages --sysctl 512M",
			   "no huge pages: Weir runs without, slower, but not on devices under uio_pci_generic");
}

static void
mount(struct doctor *doctor)
{
	char mounts[65536];
	long long all = 0;

	host_number(&doctor->host, &all, "/sys/kernel/mm/hugepages/" HUGE_2M "/nr_hugepages");
	if (!all || !host_read(&doctor->host, mounts, sizeof(mounts), "/proc/mounts"))
		return;
	doctor_say(doctor, DOCTOR_OK, NULL,
		   strstr(mounts, " hugetlbfs ") ? "hugetlbfs is mounted (Weir itself needs no mount)"
						 : "hugetlbfs is mounted nowhere, which Weir does not need");
}

/* What a line of /proc/meminfo says, in megabytes. */
static long long
meminfo_megabytes(const struct doctor *doctor, const char *name)
{
	char text[8192], *line;
	long long kb = 0;

	host_read(&doctor->host, text, sizeof(text), "/proc/meminfo");
	line = strstr(text, name);
	return line && sscanf(line + strlen(name), ": %lld", &kb) == 1 ? kb >> 10 : -1;
}

static void
wanted(struct doctor *doctor)
{
	long long pages = 0, there = meminfo_megabytes(doctor, "MemAvailable");
	const struct l4_settings *l4 = doctor->config ? l4_settings(doctor->config) : NULL;
	long long buffers, flows = l4 ? (long long)(l4->flows * L4_FLOW_BYTES >> 20) + 1 : 0;

	if (!doctor->config)
		return;
	buffers = (long long)topology_megabytes(doctor->config);
	free_megabytes(doctor, &pages);
	if (pages >= buffers + flows) {
		doctor_say(doctor, DOCTOR_OK, NULL,
			   "this configuration wants %lld MB for packets and %lld MB for flows; %lld MB of huge pages "
			   "are free",
			   buffers, flows, pages);
		return;
	}
	if (there >= 0 && there < buffers + flows - (pages >= buffers ? buffers : 0)) {
		doctor_say(doctor, DOCTOR_PROBLEM,
			   "less `packet_buffers`, `worker_connections` or `flows`, or more memory",
			   "this configuration wants %lld MB for packets and %lld MB for flows; there are %lld MB, and "
			   "%lld MB of huge pages",
			   buffers, flows, there, pages);
		return;
	}
	doctor_say(doctor, DOCTOR_ADVICE,
		   doctor_remedy(doctor, "drivers-conf/hugepages --sysctl %lldM", buffers + flows),
		   "this configuration wants %lld MB for packets and %lld MB for flows, and %lld MB of huge pages are "
		   "free: "
		   "what is left gets small pages",
		   buffers, flows, pages);
}

const struct doctor_check doctor_memory_checks[] = {
	{ "hugepages", hugepages },
	{ "hugetlbfs", mount },
	{ "wanted", wanted },
	{ 0 },
};
