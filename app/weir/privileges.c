#include "weir/privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "weir/core.h"
#include "weir/topology.h"

/* Sanitizers look at the process from a clone of it, and write reports from the thread that they find at fault. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* What no part of the program calls. */
static const int never[] = {
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(delete_module),
	SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(reboot),
	SCMP_SYS(swapon),
	SCMP_SYS(swapoff),
	SCMP_SYS(mount),
	SCMP_SYS(umount2),
	SCMP_SYS(pivot_root),
	SCMP_SYS(chroot),
	SCMP_SYS(setns),
	SCMP_SYS(unshare),
	SCMP_SYS(add_key),
	SCMP_SYS(request_key),
	SCMP_SYS(keyctl),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(settimeofday),
	SCMP_SYS(clock_settime),
	SCMP_SYS(adjtimex),
	SCMP_SYS(acct),
	SCMP_SYS(open_by_handle_at),
};

/* What workers leave to control: they send, receive and sleep. */
static const int by_control[] = {
	SCMP_SYS(open),           SCMP_SYS(openat),    SCMP_SYS(openat2),   SCMP_SYS(creat),
	SCMP_SYS(socket),         SCMP_SYS(connect),   SCMP_SYS(bind),      SCMP_SYS(listen),
	SCMP_SYS(accept),         SCMP_SYS(accept4),   SCMP_SYS(unlink),    SCMP_SYS(unlinkat),
	SCMP_SYS(rename),         SCMP_SYS(renameat),  SCMP_SYS(renameat2), SCMP_SYS(link),
	SCMP_SYS(linkat),         SCMP_SYS(symlink),   SCMP_SYS(symlinkat), SCMP_SYS(mkdir),
	SCMP_SYS(mkdirat),        SCMP_SYS(mknod),     SCMP_SYS(mknodat),   SCMP_SYS(chmod),
	SCMP_SYS(fchmod),         SCMP_SYS(fchmodat),  SCMP_SYS(chown),     SCMP_SYS(fchown),
	SCMP_SYS(fchownat),       SCMP_SYS(truncate),  SCMP_SYS(setuid),    SCMP_SYS(setgid),
	SCMP_SYS(setresuid),      SCMP_SYS(setresgid), SCMP_SYS(capset),    SCMP_SYS(kill),
	SCMP_SYS(fork),           SCMP_SYS(vfork),     SCMP_SYS(bpf),       SCMP_SYS(perf_event_open),
	SCMP_SYS(io_uring_setup),
};

/* What the kernel does not know need not be refused. 0 or -errno. */
static int
refuse(const int *calls, size_t count, bool tracing)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int result = filter ? 0 : -ENOMEM;

	for (size_t i = 0; i < count && result == 0; i++)
		if (calls[i] >= 0)
			result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), calls[i], 0);
	if (result == 0 && tracing)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ptrace), 0);
	if (result == 0)
		result = seccomp_load(filter);
	seccomp_release(filter);
	return result;
}

/* ---- capabilities ---- */

#define CAPABILITY(name) (1ull << CAP_##name)

/* XDP programs and AF_XDP, addresses of twins, `route_localnet` of lo; files of any owner, with their modes; ids and CPUs of
 * workers; locked memory. */
#define NEEDED                                                                                                         \
	(CAPABILITY(NET_ADMIN) | CAPABILITY(NET_RAW) | CAPABILITY(BPF) | CAPABILITY(PERFMON) |                         \
	 CAPABILITY(DAC_OVERRIDE) | CAPABILITY(DAC_READ_SEARCH) | CAPABILITY(FOWNER) | CAPABILITY(CHOWN) |             \
	 CAPABILITY(SETUID) | CAPABILITY(SETGID) | CAPABILITY(SYS_NICE) | CAPABILITY(SYS_RESOURCE) |                   \
	 CAPABILITY(IPC_LOCK))
/* Physical addresses and ports of PCI devices; files in bpffs. */
#define NEEDED_BY_DEVICES (CAPABILITY(SYS_ADMIN) | CAPABILITY(SYS_RAWIO))

/* Of the calling thread: no more than `wanted`, in any of its sets. 0 or -errno. */
static int
keep_capabilities(uint64_t wanted)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	/* First, as it needs one of those that may go: what no program that is executed gets back. */
	for (int number = 0; number < 64 && prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; number++)
		if (!(wanted >> number & 1) && prctl(PR_CAPBSET_DROP, number, 0, 0, 0) < 0 && errno != EPERM)
			return -errno;
	for (int half = 0; half < 2; half++) {
		uint32_t kept = (uint32_t)(wanted >> (32 * half));

		data[half].effective &= kept;
		data[half].permitted &= kept;
		data[half].inheritable = 0;
	}
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* ---- core dumps ---- */

/* None, as keys would be in them: what nginx's workers have from their change of user. */
static int
limit_core_dumps(size_t most)
{
	const struct rlimit limit = { most, most };

	if (most != CONFIG_UNSET_SIZE)
		return setrlimit(RLIMIT_CORE, &limit) < 0 ? -errno : 0;
	return !SANITIZED && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

void
privileges_limit(struct config *config)
{
	bool devices = topology_needs_dpdk(config) || core_settings(config)->xdp_pin;
	int dumps = limit_core_dumps(core_settings(config)->rlimit_core), capabilities, calls;

	/* Reads a file, which workers cannot. */
	tzset();
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	capabilities = keep_capabilities(NEEDED | (devices ? NEEDED_BY_DEVICES : 0));
	calls = refuse(never, sizeof(never) / sizeof(never[0]), !SANITIZED);
	if (dumps < 0)
		log_error(LOG_WARN, "core dumps cannot be limited (%d: %s)", -dumps, strerror(-dumps));
	if (capabilities < 0)
		log_error(LOG_WARN, "capabilities that are not needed cannot be given up (%d: %s)", -capabilities,
			  strerror(-capabilities));
	if (calls < 0)
		log_error(LOG_WARN, "system calls that are not needed cannot be given up (%d: %s)", -calls,
			  strerror(-calls));
}

int
privileges_limit_worker(int user, int group)
{
	int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);

	if (group >= 0 && (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, group, group, group) < 0))
		return -errno;
	if (user >= 0 && syscall(SYS_setresuid, user, user, user) < 0)
		return -errno;
	/* A change of ids takes it away, for all threads. */
	if (dumpable == 1)
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	/* What fails here has failed for the process, and has been told. */
	keep_capabilities(0);
	if (!SANITIZED)
		refuse(by_control, sizeof(by_control) / sizeof(by_control[0]), false);
	return 0;
}
