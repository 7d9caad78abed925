#include <assert.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <linux/membarrier.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "xdp/internal.h"
#include "xdp/weir.skel.h"

/* Since Linux 6.6; Debian's headers are older. */
#ifndef XDP_USE_SG
#define XDP_USE_SG (1 << 4)
#endif
/* An interface that no host has. */
#define NO_IFINDEX 0x7fffffff

const char *const xdp_counter_names[XDP_COUNTER_COUNT] = {
#define ROW(name, text) text,
	XDP_COUNTERS(ROW)
#undef ROW
};

static_assert(sizeof(struct ip_address) == sizeof(struct xdp_address), "one shape of an address");

/* The first thing libbpf complains of while an object loads is the reason; what follows are consequences. */
static char libbpf_reason[256];

__attribute__((format(printf, 2, 0))) static int
libbpf_note(enum libbpf_print_level level, const char *format, va_list arguments)
{
	if (level == LIBBPF_WARN && !libbpf_reason[0]) {
		vsnprintf(libbpf_reason, sizeof(libbpf_reason), format, arguments);
		libbpf_reason[strcspn(libbpf_reason, "\n")] = '\0';
	}
	return 0;
}

static const char *
load_advice(int code)
{
	if (code == -EPERM || code == -EACCES)
		return "; run as root, or with CAP_BPF and CAP_NET_ADMIN";
	if (code == -EINVAL || code == -ENOSYS || code == -EOPNOTSUPP)
		return "; the kernel must be Linux 5.15 or newer with CONFIG_BPF_SYSCALL and CONFIG_XDP_SOCKETS";
	return "";
}

/* Whether sockets know the flag, found out without effects: one that the kernel does not know is refused before it looks
 * for the interface. */
static bool
sockets_have_multi_buffer(void)
{
	const struct sockaddr_xdp address = { .sxdp_family = AF_XDP,
					      .sxdp_flags = XDP_COPY | XDP_USE_SG,
					      .sxdp_ifindex = NO_IFINDEX };
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	bool has;

	if (fd < 0)
		return false;
	has = bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 && errno == ENODEV;
	close(fd);
	return has;
}

static void
multi_buffer_set(struct xdp_program *program)
{
	struct bpf_program *of_one_frame = program->skeleton->progs.weir_xdp;

	program->multi_buffer = sockets_have_multi_buffer();
	if (!program->multi_buffer)
		bpf_program__set_flags(of_one_frame, bpf_program__flags(of_one_frame) & ~(uint32_t)BPF_F_XDP_HAS_FRAGS);
}

static int
counters_map(struct xdp_program *program)
{
	program->counters = xdp_map_memory(program->skeleton->maps.counters);
	return program->counters ? 0 : -ENOMEM;
}

/* What another process has written about itself is not so any more, and nobody makes flows until the workers have counted
 * those that there are: who has begun to has ended when membarrier() returns. */
static int
take_over(struct xdp_program *program)
{
	for (uint32_t i = 0; i < XDP_WORKERS_MAX; i++)
		__atomic_store_n(&program->skeleton->bss->lanes[i].makes_flows, 0, __ATOMIC_SEQ_CST);
	syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
	xdp_choices_read(program);
	for (uint32_t port = 0; port < XDP_PORTS; port++)
		if (program->skeleton->bss->ports_used[port] == XDP_ANSWERS_TO_STACK)
			program->skeleton->bss->ports_used[port] = XDP_ANSWERS_NONE;
	return xdp_sets_read(program);
}

static int
load(struct xdp_program *program, struct xdp_forwarding *forwarding, char *error, size_t size)
{
	int rc, cpus = libbpf_num_possible_cpus();

	if (cpus < 0)
		return cpus;
	program->cpus = (uint32_t)cpus;
	program->skeleton = weir_bpf__open();
	if (!program->skeleton)
		return -errno;
	rc = bpf_map__set_max_entries(program->skeleton->maps.counters, program->cpus);
	if (rc == 0 && forwarding)
		rc = xdp_share_size(program->skeleton, forwarding, program->cpus);
	if (rc == 0 && forwarding && forwarding->pinned)
		rc = xdp_pin_open(program, forwarding, error, size);
	else if (rc == 0)
		xdp_pin_clear(program);
	multi_buffer_set(program);
	program->skeleton->rodata->forwards = forwarding != NULL;
	if (rc == 0)
		rc = weir_bpf__load(program->skeleton);
	if (rc == 0)
		rc = counters_map(program);
	if (rc == 0 && forwarding)
		rc = xdp_share_new(program, forwarding);
	if (rc == 0 && forwarding)
		rc = xdp_choices_new(program);
	if (rc == 0 && forwarding && forwarding->found)
		rc = take_over(program);
	return rc;
}

int
xdp_program_load(struct xdp_program **out, struct xdp_forwarding *forwarding, char *error, size_t size)
{
	struct xdp_program *program = calloc(1, sizeof(*program));
	int rc = -ENOMEM;

	if (!program) {
		snprintf(error, size, "XDP program: out of memory");
		return rc;
	}
	libbpf_reason[0] = '\0';
	libbpf_set_print(libbpf_note);
	if (size)
		error[0] = '\0';
	rc = load(program, forwarding, error, size);
	if (rc == 0) {
		*out = program;
		return 0;
	}
	if (!error[0])
		snprintf(error, size, "XDP program cannot be loaded: %s (%s)%s", strerror(-rc), libbpf_reason,
			 load_advice(rc));
	xdp_program_free(program);
	return rc;
}

void
xdp_program_free(struct xdp_program *program)
{
	if (!program)
		return;
	for (int i = 0; i < XDP_INTERFACES_MAX; i++)
		if (program->links[i].ifindex)
			close(program->links[i].fd);
	for (int i = 0; i < XDP_SET_COUNT; i++)
		free(program->sets[i].rows);
	xdp_share_free(program);
	free(program->choices);
	if (program->lock_fd)
		close(program->lock_fd);
	if (program->counters)
		munmap(program->counters, xdp_map_bytes(program->skeleton->maps.counters));
	weir_bpf__destroy(program->skeleton);
	free(program);
}

bool
xdp_program_multi_buffer(const struct xdp_program *program)
{
	return program->multi_buffer;
}

int
xdp_program_fd(const struct xdp_program *program)
{
	return bpf_program__fd(program->skeleton->progs.weir_xdp);
}

int
xdp_program_set_fd(const struct xdp_program *program, enum xdp_set set)
{
	const struct bpf_map *const maps[XDP_SET_COUNT] = {
		[XDP_SET_LOCALS] = program->skeleton->maps.locals,
		[XDP_SET_SERVERS] = program->skeleton->maps.servers,
		[XDP_SET_SERVICES] = program->skeleton->maps.services,
	};

	return bpf_map__fd(maps[set]);
}

static const char *
interface_name(int ifindex, char out[IF_NAMESIZE])
{
	return if_indextoname((unsigned int)ifindex, out) ? out : "(gone)";
}

/* Id of the program that is attached already, 0 when none or unknown. */
static uint32_t
attached_program(int ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	if (bpf_xdp_query(ifindex, 0, &query) < 0)
		return 0;
	return query.prog_id ? query.prog_id : query.drv_prog_id ? query.drv_prog_id : query.skb_prog_id;
}

static int
fail_busy(int ifindex, uint32_t id, char *error, size_t size)
{
	struct bpf_prog_info info = { 0 };
	uint32_t info_len = sizeof(info);
	char name[IF_NAMESIZE];
	int fd = id ? bpf_prog_get_fd_by_id(id) : -1;

	if (fd >= 0) {
		bpf_obj_get_info_by_fd(fd, &info, &info_len);
		close(fd);
	}
	snprintf(error, size, "interface %s has an XDP program already: id %u, \"%s\"%s", interface_name(ifindex, name),
		 id, info.name,
		 strcmp(info.name, "weir_xdp") == 0 ? " (another Weir)" : "; see ip link set DEVICE xdp off");
	return -EBUSY;
}

static int
link_create(const struct xdp_program *program, int ifindex, uint32_t flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags);

	return bpf_link_create(xdp_program_fd(program), ifindex, BPF_XDP, &options);
}

static int
attach(struct xdp_program *program, int ifindex, enum xdp_mode mode, enum xdp_mode *used)
{
	int fd = -EOPNOTSUPP;

	if (mode != XDP_MODE_GENERIC) {
		*used = XDP_MODE_NATIVE;
		fd = link_create(program, ifindex, XDP_FLAGS_DRV_MODE);
	}
	/* Drivers refuse for reasons of their own (too few queues, an MTU too large): generic mode works in any case. */
	if (fd < 0 && mode != XDP_MODE_NATIVE && fd != -EBUSY && fd != -EEXIST && fd != -EPERM && fd != -ENODEV) {
		*used = XDP_MODE_GENERIC;
		fd = link_create(program, ifindex, XDP_FLAGS_SKB_MODE);
	}
	return fd;
}

int
xdp_program_attach(struct xdp_program *program, int ifindex, enum xdp_mode mode, enum xdp_mode *used, char *error,
		   size_t size)
{
	int fd = xdp_pin_link_take(program, ifindex, mode, used);
	uint32_t id = fd < 0 ? attached_program(ifindex) : 0;
	char name[IF_NAMESIZE];
	struct xdp_link *link = program->links;

	if (id)
		return fail_busy(ifindex, id, error, size);
	while (link < program->links + XDP_INTERFACES_MAX && link->ifindex)
		link++;
	if (link == program->links + XDP_INTERFACES_MAX) {
		snprintf(error, size, "XDP program: more than %d interfaces", XDP_INTERFACES_MAX);
		if (fd >= 0)
			close(fd);
		return -ENOSPC;
	}
	if (fd < 0) {
		fd = attach(program, ifindex, mode, used);
		if (fd >= 0)
			xdp_pin_link(program, ifindex, fd, *used);
	}
	/* Somebody was faster between the query and the link. */
	if (fd == -EBUSY || fd == -EEXIST)
		return fail_busy(ifindex, attached_program(ifindex), error, size);
	if (fd < 0) {
		snprintf(error, size, "XDP program cannot be attached to interface %s in %s mode: %s",
			 interface_name(ifindex, name), *used == XDP_MODE_NATIVE ? "native" : "generic", strerror(-fd));
		return fd;
	}
	*link = (struct xdp_link){ .ifindex = ifindex, .fd = fd, .native = *used == XDP_MODE_NATIVE };
	return 0;
}

void
xdp_program_detach(struct xdp_program *program, int ifindex)
{
	for (int i = 0; i < XDP_INTERFACES_MAX; i++) {
		if (program->links[i].ifindex != ifindex)
			continue;
		xdp_pin_link_remove(program, ifindex);
		close(program->links[i].fd);
		program->links[i].ifindex = 0;
	}
}

bool
xdp_program_is_native(const struct xdp_program *program)
{
	for (int i = 0; i < XDP_INTERFACES_MAX; i++)
		if (program->links[i].ifindex && program->links[i].native)
			return true;
	return false;
}

bool
xdp_program_forwards(const struct xdp_program *program)
{
	return program->share;
}

/* The slot of (ifindex, queue), or a free one when it has none; -1 when there is neither. */
static int
find_slot(const struct xdp_program *program, uint32_t ifindex, uint32_t queue)
{
	int free_slot = -1;

	for (int i = XDP_SOCKETS_MAX - 1; i >= 0; i--) {
		if (program->slots[i].ifindex == ifindex && program->slots[i].queue == queue)
			return i;
		if (!program->slots[i].ifindex)
			free_slot = i;
	}
	return free_slot;
}

static void
withdraw_socket(struct xdp_program *program, uint32_t slot, const struct xdp_queue_key *key)
{
	if (!program->slots[slot].ifindex)
		return;
	bpf_map_delete_elem(bpf_map__fd(program->skeleton->maps.slots), key);
	bpf_map_delete_elem(bpf_map__fd(program->skeleton->maps.sockets), &slot);
	program->slots[slot].ifindex = 0;
}

int
xdp_program_socket_set(struct xdp_program *program, int ifindex, uint32_t queue, int socket_fd)
{
	struct xdp_queue_key key = { .ifindex = (uint32_t)ifindex, .queue = queue };
	int found = find_slot(program, key.ifindex, queue);
	uint32_t slot = (uint32_t)found;
	int rc;

	if (found < 0)
		return socket_fd < 0 ? 0 : -ENOSPC;
	if (socket_fd < 0) {
		withdraw_socket(program, slot, &key);
		return 0;
	}
	/* The socket before the way to it. */
	rc = bpf_map_update_elem(bpf_map__fd(program->skeleton->maps.sockets), &slot, &socket_fd, BPF_ANY);
	program->owners[slot].socket = slot;
	if (rc == 0)
		rc = bpf_map_update_elem(bpf_map__fd(program->skeleton->maps.slots), &key, &program->owners[slot],
					 BPF_ANY);
	if (rc == 0)
		program->slots[slot] = key;
	return rc;
}

void
xdp_program_queue_owner(struct xdp_program *program, int ifindex, uint32_t queue, uint16_t worker, bool stable)
{
	int slot = find_slot(program, (uint32_t)ifindex, queue);

	if (slot >= 0)
		program->owners[slot] = (struct xdp_slot){ .worker = worker, .stable = stable };
}

void
xdp_port_used(struct xdp_program *program, uint16_t port_be, bool used)
{
	__atomic_store_n(&program->skeleton->bss->ports_used[port_be], used ? XDP_ANSWERS_TO_STACK : XDP_ANSWERS_NONE,
			 __ATOMIC_RELEASE);
}

void
xdp_program_forwarding_ports(struct xdp_program *program, uint16_t first, uint16_t last)
{
	for (uint32_t port = first; port <= last; port++)
		__atomic_store_n(&program->skeleton->bss->ports_used[htons((uint16_t)port)], XDP_ANSWERS_TO_FORWARD,
				 __ATOMIC_RELEASE);
}

void
xdp_program_answers_to_clients(struct xdp_program *program, bool some)
{
	__atomic_store_n(&program->skeleton->bss->answers_to_clients, some, __ATOMIC_RELEASE);
}

uint32_t
xdp_program_cpus(const struct xdp_program *program)
{
	return program->cpus;
}

const uint64_t *
xdp_program_cpu_counters(const struct xdp_program *program, uint32_t cpu)
{
	return (const uint64_t *)program->counters[cpu].values;
}

void
xdp_program_counters(const struct xdp_program *program, uint64_t out[XDP_COUNTER_COUNT])
{
	memset(out, 0, XDP_COUNTER_COUNT * sizeof(*out));
	for (uint32_t cpu = 0; cpu < program->cpus; cpu++)
		for (uint32_t i = 0; i < XDP_COUNTER_COUNT; i++)
			out[i] += __atomic_load_n(&program->counters[cpu].values[i], __ATOMIC_RELAXED);
}
