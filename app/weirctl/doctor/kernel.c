/* What the kernel can do, and what it lets us do. */
#include <stdio.h>

#include "weirctl/doctor/doctor.h"

static bool
kernel_version(const struct doctor *doctor, int *major, int *minor, char *text, size_t size)
{
	return host_read(&doctor->host, text, size, "/proc/sys/kernel/osrelease") &&
	       sscanf(text, "%d.%d", major, minor) == 2;
}

static bool
kernel_is_before(const struct doctor *doctor, int major, int minor)
{
	char text[128];
	int a, b;

	return kernel_version(doctor, &a, &b, text, sizeof(text)) && (a < major || (a == major && b < minor));
}

static void
version(struct doctor *doctor)
{
	char text[128];
	int major, minor;

	if (!kernel_version(doctor, &major, &minor, text, sizeof(text)))
		doctor_say(doctor, DOCTOR_ADVICE, NULL, "the kernel does not tell its version (is /proc mounted?)");
	else if (!kernel_is_before(doctor, 5, 9))
		doctor_say(doctor, DOCTOR_OK, NULL, "Linux %s", text);
	else
		doctor_say(doctor, doctor_wants_xdp(doctor) ? DOCTOR_PROBLEM : DOCTOR_ADVICE,
			   "install a newer kernel, or give the NIC to DPDK",
			   "Linux %s: interfaces under XDP need 5.9 (links that end with the process)", text);
}

static const struct {
	const char *probe, *what, *option;
} features[] = {
	{ "xdp", "XDP programs and AF_XDP maps", "CONFIG_BPF_SYSCALL=y" },
	{ "af_xdp", "AF_XDP sockets", "CONFIG_XDP_SOCKETS=y" },
	{ "bpf_link", "links of XDP programs", "Linux 5.9" },
	{ "mmapable", "maps in shared memory", "Linux 5.5" },
};

static void
xdp(struct doctor *doctor)
{
	long long has, allowed;
	bool all = true;

	if (!doctor_wants_xdp(doctor))
		return;
	/* Whoever may not ask is told no to everything. */
	if (host_probe_kernel(&doctor->host, "privileged", &allowed) && !allowed)
		return;
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		if (!host_probe_kernel(&doctor->host, features[i].probe, &has) || has)
			continue;
		all = false;
		doctor_say(doctor, DOCTOR_PROBLEM,
			   doctor_remedy(doctor,
					 "a kernel with %s (and, in a container, a seccomp profile that allows bpf())",
					 features[i].option),
			   "the kernel has no %s", features[i].what);
	}
	if (all)
		doctor_say(doctor, DOCTOR_OK, NULL, "XDP programs, AF_XDP sockets, links and shared maps");
}

static void
btf(struct doctor *doctor)
{
	if (!doctor_wants_xdp(doctor))
		return;
	if (host_exists(&doctor->host, "/sys/kernel/btf/vmlinux"))
		doctor_say(doctor, DOCTOR_OK, NULL, "the kernel describes its types (BTF)");
	else
		doctor_say(doctor, DOCTOR_ADVICE, "a kernel with CONFIG_DEBUG_INFO_BTF=y",
			   "the kernel does not describe its types (BTF): XDP programs cannot be fitted to it");
}

static void
rights(struct doctor *doctor)
{
	long long has;

	if (!host_probe_kernel(&doctor->host, "privileged", &has))
		return;
	if (has)
		doctor_say(doctor, DOCTOR_OK, NULL, "capabilities for the network and BPF");
	else
		doctor_say(doctor, DOCTOR_PROBLEM,
			   "run as root, or with CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_PERFMON",
			   "not enough rights; what they hide could not be looked at");
}

/* Since 5.11 the memory of maps counts for the cgroup instead; that of AF_XDP sockets still counts here, but not for root. */
static void
locked_memory(struct doctor *doctor)
{
	long long limit;

	if (!host_probe_kernel(&doctor->host, "memlock", &limit))
		return;
	if (limit == -1 || !kernel_is_before(doctor, 5, 11))
		doctor_say(doctor, DOCTOR_OK, NULL,
			   limit == -1 ? "memory may be locked without limit"
				       : "locked memory is no limit to BPF maps");
	else
		doctor_say(doctor, limit < 64 << 20 ? DOCTOR_PROBLEM : DOCTOR_ADVICE,
			   "ulimit -l unlimited (systemd: LimitMEMLOCK=infinity; docker: --ulimit memlock=-1)",
			   "only %lld KB of memory may be locked, and before Linux 5.11 BPF maps count", limit >> 10);
}

static void
tun(struct doctor *doctor)
{
	if (host_exists(&doctor->host, "/dev/net/tun"))
		doctor_say(doctor, DOCTOR_OK, NULL, "TAP interfaces, for the twins of DPDK ports");
	else
		doctor_say(doctor, doctor_wants_pci(doctor) ? DOCTOR_PROBLEM : DOCTOR_ADVICE, "modprobe tun",
			   "no /dev/net/tun: ports under DPDK cannot have their twins");
}

const struct doctor_check doctor_kernel_checks[] = {
	{ "version", version },       { "xdp", xdp }, { "btf", btf }, { "rights", rights },
	{ "memlock", locked_memory }, { "tun", tun }, { 0 },
};
