/* Settings of Linux (sysctl) that matter to Weir and to what it leaves to the kernel. */
#include <stdio.h>

#include "l4/l4.h"
#include "weir/topology.h"
#include "weirctl/doctor/doctor.h"

#define IPV4 "/proc/sys/net/ipv4"

/* Weir's connections to servers use the larger range beside Linux's own. */
static void
port_range(struct doctor *doctor)
{
	int low, high;
	char text[64];

	if (!host_read(&doctor->host, text, sizeof(text), IPV4 "/ip_local_port_range") ||
	    sscanf(text, "%d %d", &low, &high) != 2)
		return;
	if (low - TOPOLOGY_LOWEST_PORT >= 1024 || 65535 - high >= 1024)
		doctor_say(doctor, DOCTOR_OK, NULL, "Linux uses local ports %d to %d, and leaves %d to Weir", low, high,
			   low - TOPOLOGY_LOWEST_PORT >= 65535 - high ? low - TOPOLOGY_LOWEST_PORT : 65535 - high);
	else
		doctor_say(doctor, DOCTOR_ADVICE, "sysctl -w net.ipv4.ip_local_port_range='32768 60999'",
			   "Linux has local ports %d to %d for itself: Weir's connections may meet the host's", low,
			   high);
}

static void
conntrack(struct doctor *doctor)
{
	long long count, most;

	if (!host_number(&doctor->host, &count, "/proc/sys/net/netfilter/nf_conntrack_count") ||
	    !host_number(&doctor->host, &most, "/proc/sys/net/netfilter/nf_conntrack_max"))
		return;
	/* What Weir takes never comes to it; but its rules may be thought to hold for that. */
	if (count * 10 > most * 8)
		doctor_say(doctor, DOCTOR_ADVICE,
			   doctor_remedy(doctor, "sysctl -w net.netfilter.nf_conntrack_max=%lld", most * 4),
			   "connection tracking has %lld of %lld entries: when it is full the kernel drops ssh and "
			   "ping, not "
			   "what Weir serves",
			   count, most);
	else
		doctor_say(
			doctor, DOCTOR_OK, NULL,
			"connection tracking is on (%lld of %lld): neither it nor the firewall sees what Weir serves",
			count, most);
}

static bool
has_services(const struct doctor *doctor)
{
	return doctor->config && l4_configured(doctor->config);
}

/* Strict reverse-path filters drop what Weir leaves to the kernel when it came in by another interface than the way back. */
static void
reverse_path(struct doctor *doctor)
{
	struct host_names names;
	long long all = 0, own;

	if (!has_services(doctor))
		return;
	host_number(&doctor->host, &all, IPV4 "/conf/all/rp_filter");
	doctor_interfaces(doctor, &names);
	for (unsigned int i = 0; i < names.count; i++) {
		if (!host_number(&doctor->host, &own, IPV4 "/conf/%s/rp_filter", names.names[i]))
			continue;
		/* The larger of the two holds (Documentation/networking/ip-sysctl.rst). */
		if ((own > all ? own : all) == 1)
			doctor_say(doctor, DOCTOR_ADVICE,
				   doctor_remedy(doctor, "sysctl -w net.ipv4.conf.%s.rp_filter=2", names.names[i]),
				   "%s: a strict reverse-path filter drops packets of `nat` and `dsr` that Weir leaves "
				   "to the kernel",
				   names.names[i]);
	}
}

/* Servers of `nat` have this host as their router. */
static void
forwarding(struct doctor *doctor)
{
	long long on;

	if (!has_services(doctor) || !host_number(&doctor->host, &on, IPV4 "/ip_forward"))
		return;
	if (on)
		doctor_say(doctor, DOCTOR_OK, NULL,
			   "the kernel forwards what else the servers of `nat` send through this host");
	else
		doctor_say(doctor, DOCTOR_ADVICE, "sysctl -w net.ipv4.ip_forward=1",
			   "the kernel forwards nothing: servers of `forward nat` reach through this host only their "
			   "clients");
}

const struct doctor_check doctor_sysctl_checks[] = {
	{ "ip_local_port_range", port_range },
	{ "nf_conntrack", conntrack },
	{ "rp_filter", reverse_path },
	{ "ip_forward", forwarding },
	{ 0 },
};
