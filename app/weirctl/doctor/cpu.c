/* CPUs: enough of them, left alone, at full speed, and near the NIC. */
#include <ctype.h>
#include <string.h>
#include <unistd.h>

#include "weirctl/doctor/doctor.h"

/* "0-3,8" is five. */
static unsigned int
cpus_of(const char *list)
{
	unsigned int count = 0, first, last;

	while (*list) {
		int used = 0;

		if (sscanf(list, "%u-%u%n", &first, &last, &used) == 2 && used)
			count += last >= first ? last - first + 1 : 0;
		else if (sscanf(list, "%u%n", &first, &used) == 1 && used)
			count++;
		else
			break;
		list += used + (list[used] == ',');
	}
	return count;
}

static void
number(struct doctor *doctor)
{
	unsigned int cpus, workers = doctor_workers(doctor);
	char list[1024];

	if (!host_read(&doctor->host, list, sizeof(list), "/sys/devices/system/cpu/online"))
		return;
	cpus = cpus_of(list);
	if (workers <= cpus)
		doctor_say(doctor, DOCTOR_OK, NULL, "%u CPU%s, %u worker%s", cpus, cpus == 1 ? "" : "s", workers,
			   workers == 1 ? "" : "s");
	else
		doctor_say(doctor, DOCTOR_ADVICE, "worker_processes auto;",
			   "%u workers on %u CPU%s: they wait for each other", workers, cpus, cpus == 1 ? "" : "s");
}

static void
isolated(struct doctor *doctor)
{
	char list[1024];

	if (!host_read(&doctor->host, list, sizeof(list), "/sys/devices/system/cpu/isolated"))
		return;
	if (list[0])
		doctor_say(doctor, DOCTOR_OK, NULL, "CPUs %s are isolated: worker_cpu_affinity should name them", list);
	else
		doctor_say(
			doctor, DOCTOR_ADVICE,
			"isolcpus=managed_irq,domain,LIST nohz_full=LIST rcu_nocbs=LIST on the kernel's command line",
			"no CPU is isolated: other processes interrupt workers");
}

static void
irqbalance(struct doctor *doctor)
{
	struct host_names processes;
	char name[64], online[1024];

	/* With one CPU there is nothing to move. */
	if (!host_read(&doctor->host, online, sizeof(online), "/sys/devices/system/cpu/online") || cpus_of(online) < 2)
		return;
	host_list(&doctor->host, &processes, "/proc");
	for (unsigned int i = 0; i < processes.count; i++) {
		if (!isdigit((unsigned char)processes.names[i][0]) ||
		    !host_read(&doctor->host, name, sizeof(name), "/proc/%s/comm", processes.names[i]) ||
		    strcmp(name, "irqbalance") != 0)
			continue;
		doctor_say(doctor, DOCTOR_ADVICE,
			   "IRQBALANCE_BANNED_CPULIST=LIST in /etc/default/irqbalance, or systemctl disable --now "
			   "irqbalance",
			   "irqbalance runs, and moves interrupts to the workers' CPUs");
		return;
	}
	doctor_say(doctor, DOCTOR_OK, NULL, "irqbalance does not run");
}

static void
governor(struct doctor *doctor)
{
	struct host_names cpus;
	char text[64], slow[64] = "";
	unsigned int slow_count = 0, known = 0;

	host_list(&doctor->host, &cpus, "/sys/devices/system/cpu");
	for (unsigned int i = 0; i < cpus.count; i++) {
		if (!host_read(&doctor->host, text, sizeof(text), "/sys/devices/system/cpu/%s/cpufreq/scaling_governor",
			       cpus.names[i]))
			continue;
		known++;
		if (strcmp(text, "performance") == 0)
			continue;
		slow_count++;
		memcpy(slow, text, sizeof(slow));
	}
	if (slow_count)
		doctor_say(doctor, DOCTOR_ADVICE,
			   "echo performance | tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
			   "%u of %u CPUs follow the load (governor %s): a worker that wakes is slow at first",
			   slow_count, known, slow);
	else if (known)
		doctor_say(doctor, DOCTOR_OK, NULL, "all CPUs have the governor performance");
}

/* Interfaces' and NICs' nodes, where there are several. */
static void
numa(struct doctor *doctor)
{
	struct host_names nodes, devices;
	char distance[256], cpus[1024];
	unsigned int count = 0;
	long long class, node;

	host_list(&doctor->host, &nodes, "/sys/devices/system/node");
	for (unsigned int i = 0; i < nodes.count; i++)
		count += strncmp(nodes.names[i], "node", 4) == 0;
	if (count < 2)
		return;
	host_read(&doctor->host, distance, sizeof(distance), "/sys/devices/system/node/node0/distance");
	doctor_say(doctor, DOCTOR_OK, NULL, "%u NUMA nodes; distances from node 0: %s", count, distance);
	host_list(&doctor->host, &devices, "/sys/bus/pci/devices");
	for (unsigned int i = 0; i < devices.count; i++) {
		if (!host_number(&doctor->host, &class, "/sys/bus/pci/devices/%s/class", devices.names[i]) ||
		    class >> 16 != 0x02 ||
		    !host_number(&doctor->host, &node, "/sys/bus/pci/devices/%s/numa_node", devices.names[i]) ||
		    node < 0)
			continue;
		if (host_read(&doctor->host, cpus, sizeof(cpus), "/sys/devices/system/node/node%lld/cpulist", node))
			doctor_say(doctor, DOCTOR_OK, NULL, "%s is on node %lld: its workers belong on CPUs %s",
				   devices.names[i], node, cpus);
	}
}

const struct doctor_check doctor_cpu_checks[] = {
	{ "number", number },     { "isolated", isolated }, { "irqbalance", irqbalance },
	{ "governor", governor }, { "numa", numa },         { 0 },
};
