#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <stdio.h>

#include "xdp/xdp.h"

/* What the program needs beside BPF itself, and since when Linux has it. */
static const struct {
	enum xdp_feature_kind kind;
	int value;
	const char *name;
} needed[] = {
	{ XDP_FEATURE_PROGRAM, BPF_PROG_TYPE_XDP, "XDP programs (CONFIG_BPF_SYSCALL, Linux 4.8)" },
	{ XDP_FEATURE_MAP, BPF_MAP_TYPE_HASH, "hash maps (Linux 3.19)" },
	{ XDP_FEATURE_MAP, BPF_MAP_TYPE_XSKMAP, "AF_XDP sockets (CONFIG_XDP_SOCKETS, Linux 4.18)" },
	{ XDP_FEATURE_HELPER, BPF_FUNC_redirect_map, "redirection by maps (Linux 4.14)" },
	{ XDP_FEATURE_HELPER, BPF_FUNC_xdp_adjust_head, "room in front of packets (Linux 4.10)" },
	{ XDP_FEATURE_HELPER, BPF_FUNC_xdp_adjust_tail, "packets made shorter (Linux 4.18)" },
	{ XDP_FEATURE_HELPER, BPF_FUNC_ktime_get_coarse_ns, "the coarse clock (Linux 5.11)" },
};

int
xdp_feature_probe(enum xdp_feature_kind kind, int value)
{
	switch (kind) {
	case XDP_FEATURE_PROGRAM:
		return libbpf_probe_bpf_prog_type((enum bpf_prog_type)value, NULL);
	case XDP_FEATURE_MAP:
		return libbpf_probe_bpf_map_type((enum bpf_map_type)value, NULL);
	case XDP_FEATURE_HELPER:
		return libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, (enum bpf_func_id)value, NULL);
	}
	return 0;
}

static int
be_quiet(enum libbpf_print_level level, const char *format, va_list arguments)
{
	return 0;
}

bool
xdp_kernel_lacks(int (*probe)(enum xdp_feature_kind kind, int value), char *out, size_t size)
{
	size_t len = 0;

	libbpf_set_print(be_quiet);
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (probe(needed[i].kind, needed[i].value) != 0 || len >= size)
			continue;
		len += (size_t)snprintf(out + len, size - len, "%s%s", len ? ", " : "", needed[i].name);
	}
	return len > 0;
}
