#include "live.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "generate.skel.h"

#define FRAME_LEN 60

struct live {
	struct generate_bpf *generator;
	int load, tested; /* links */
};

/* Packets that a program at LIVE_TESTED has seen: a veth counts them as received. */
static uint64_t
packets_seen(void)
{
	char line[512], *at;
	FILE *file = fopen("/proc/thread-self/net/dev", "r");
	uint64_t packets = 0;

	while (file && fgets(line, sizeof(line), file)) {
		at = strstr(line, LIVE_TESTED ":");
		if (at) {
			strtoull(at + strlen(LIVE_TESTED ":"), &at, 10);
			packets = strtoull(at, NULL, 10);
		}
	}
	if (file)
		fclose(file);
	return packets;
}

/* With what the kernel does for it in between, as long as that is on its CPU's account. */
static uint64_t
cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

double
live_window(struct live *live, int program_fd, uint32_t packets, uint64_t *arrived)
{
	struct bpf_program *sender = program_fd < 0 ? live->generator->progs.make : live->generator->progs.send;
	uint8_t frame[FRAME_LEN] = { 0 };
	struct xdp_md md = { .data_end = FRAME_LEN, .ingress_ifindex = if_nametoindex(LIVE_LOAD) };
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = sizeof(frame), .ctx_in = &md,
		    .ctx_size_in = sizeof(md), .repeat = (int)packets, .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
	uint64_t before, start_ns;

	if (program_fd >= 0 && bpf_link_update(live->tested, program_fd, NULL) < 0)
		return -errno;
	before = packets_seen();
	start_ns = cpu_ns();
	if (bpf_prog_test_run_opts(bpf_program__fd(sender), &options) < 0)
		return -errno;
	start_ns = cpu_ns() - start_ns;
	*arrived = packets_seen() - before;
	return (double)start_ns / packets;
}

static int
attach_drop(const struct live *live, const char *interface)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_DRV_MODE);

	return bpf_link_create(bpf_program__fd(live->generator->progs.drop), (int)if_nametoindex(interface), BPF_XDP,
			       &options);
}

struct live *
live_new(struct generate_bpf *generator)
{
	struct live *live = calloc(1, sizeof(*live));
	cpu_set_t last;
	int error;

	if (!live)
		return NULL;
	CPU_ZERO(&last);
	CPU_SET((size_t)sysconf(_SC_NPROCESSORS_ONLN) - 1, &last);
	live->generator = generator;
	live->load = attach_drop(live, LIVE_LOAD);
	live->tested = attach_drop(live, LIVE_TESTED);
	if (live->load >= 0 && live->tested >= 0 && sched_setaffinity(0, sizeof(last), &last) == 0)
		return live;
	error = errno;
	live_free(live);
	errno = error;
	return NULL;
}

void
live_free(struct live *live)
{
	if (live->load >= 0)
		close(live->load);
	if (live->tested >= 0)
		close(live->tested);
	free(live);
}
