/*
 * What a packet costs in the XDP program: BPF_PROG_TEST_RUN over frames that a program in front of it makes, less the same
 * with a program that does nothing. One line of JSON per case.
 *
 *     bench-xdp PACKETS MODE FLOWS [miss|new|live]      PACKETS: per window; MODE: dsr, ipip, gue, nat, full_nat
 *
 * 64 servers; established flows, put into the table as a worker does. `miss`: clients that have none, so that the packet is
 * handed up (there is no socket: it ends there). `new`: the same in a table with room for FLOWS, where the program places
 * them: each packet a flow, a quarter of FLOWS per window, which begins with an empty table. `live`: frames on a wire (live.h),
 * with windows of this program, of a bare XDP_DROP and of a bare XDP_TX taking turns.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "generate.skel.h"
#include "l4/flow.h"
#include "l4/l4.h"
#include "live.h"
#include "xdp/xdp.h"

#define SERVERS 64
#define FIRST_CLIENT 0x0b000000u /* 11.0.0.0 */
#define VIP 0x0a000101u          /* 10.0.1.1 */
#define HASH_SEED 4711
#define WINDOWS 7
#define HOP 1
#define SERVICE 1

enum what { HIT, MISS, NEW, LIVE };
static const char *const words[] = { [HIT] = "hit", [MISS] = "miss", [NEW] = "new", [LIVE] = "live" };

static uint32_t repeats;
static struct xdp_program *program;
static struct generate_bpf *generator;
static struct l4_target targets[L4_TARGETS_MAX];

static _Noreturn void
die(const char *what, const char *why)
{
	fprintf(stderr, "bench-xdp: %s: %s\n", what, why);
	exit(1);
}

static void
load(uint64_t flows)
{
	struct xdp_forwarding forwarding = { .workers = 1,
					     .pairs = (uint32_t)l4_flows_pairs(flows),
					     .hash_seed = HASH_SEED,
					     .start_ns = clock_monotonic_ns() };
	const struct xdp_service service = { .endpoint = { ip_address_from_v4(htonl(VIP)), htons(80) },
					     .ip_protocol = IPPROTO_TCP,
					     .forwarded = true,
					     .number = SERVICE };
	char error[512];

	l4_flows_strides(forwarding.pairs, forwarding.strides);
	if (xdp_program_load(&program, &forwarding, error, sizeof(error)) < 0)
		die("XDP", error);
	if (xdp_program_serve(program, &service, 1, NULL, 0, NULL, 0) < 0)
		die("XDP", "services");
	generator = generate_bpf__open_and_load();
	if (!generator)
		die("the generator", strerror(errno));
}

static void
targets_set(const struct l4_forwarder *forwarder, const struct xdp_memory *memory, unsigned int ifindex)
{
	memory->hops[HOP] = (struct xdp_hop){ .header = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1 },
					      .ifindex = ifindex,
					      .mtu = 1500,
					      .flags = XDP_HOP_KNOWN | XDP_HOP_READY | XDP_HOP_BOUNCES };
	memory->lane->hop_generation = 1;
	for (uint32_t i = 1; i <= SERVERS; i++) {
		struct xdp_target shared;

		targets[i] = (struct l4_target){ .forwarder = forwarder,
						 .server = { ip_address_from_v4(htonl(0x0a000200u + i)), htons(80) },
						 .local = ip_address_from_v4(htonl(0x0a000201)),
						 .service_id = SERVICE,
						 .ip_protocol = IPPROTO_TCP,
						 .timeout_s = 36000,
						 .gue_port_be = htons(6080),
						 .vip = { ip_address_from_v4(htonl(VIP)), htons(80) } };
		l4_target_facts(&targets[i], &shared);
		shared.serves = true;
		xdp_program_target_set(program, i, &shared);
		memory->uses[i].hop = HOP;
		memory->uses[i].hop_generation = 1;
	}
	xdp_program_targets_end(program);
}

/* As many entries for each server: what a Maglev table costs is where they lie. */
static void
choice_set(void)
{
	struct xdp_choice *choice = calloc(1, sizeof(*choice));

	if (!choice)
		die("the choice", strerror(ENOMEM));
	for (uint32_t i = 0; i < XDP_CHOICE_ENTRIES; i++)
		choice->targets[i] = (uint16_t)(1 + hash_mix64(i + 1) % SERVERS);
	if (xdp_program_choice_set(program, SERVICE, choice) < 0 || xdp_program_choices_end(program) < 0)
		die("XDP", "the service's table");
	free(choice);
}

static uint64_t
flows_insert(struct l4_flows *flows, uint64_t count)
{
	const struct ip_address vip = ip_address_from_v4(htonl(VIP));
	struct flow_hash_key key;
	uint64_t inserted = 0;

	flow_hash_key_init(&key, HASH_SEED);
	for (uint32_t i = 0; i < count; i++) {
		struct l4_flow model = { .client = ip_address_from_v4(htonl(FIRST_CLIENT + i / 4)),
					 .client_port_be = htons((uint16_t)(1024 + i % 4)),
					 .service_port_be = htons(80),
					 .local_port_be = htons((uint16_t)(20000 + i % 40000)),
					 .target = (uint16_t)(1 + i % SERVERS),
					 .bits = L4_FLOW_ESTABLISHED };
		uint32_t hash =
			flow_hash(model.client.halves, vip.halves, model.client_port_be, htons(80), IPPROTO_TCP, &key);

		inserted += l4_flow_insert(flows, hash, &model, 0) != NULL;
	}
	return inserted;
}

/* Nanoseconds per frame with this program behind the generator. */
static double
run(int fd)
{
	uint8_t frame[64] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = 60, .repeat = (int)repeats);
	uint32_t zero = 0;

	if (bpf_map_update_elem(bpf_map__fd(generator->maps.under_test), &zero, &fd, BPF_ANY) < 0)
		die("tail call", strerror(errno));
	if (bpf_prog_test_run_opts(bpf_program__fd(generator->progs.generate), &options) < 0)
		die("BPF_PROG_TEST_RUN", strerror(errno));
	return options.duration;
}

static int
compare(const void *a, const void *b)
{
	double difference = *(const double *)a - *(const double *)b;

	return difference < 0 ? -1 : difference > 0;
}

/* Of NEW: the table that each window finds empty. */
static struct {
	struct l4_flow_pair *pairs;
	size_t bytes;
} emptied;

static void
measure(const char *mode, uint64_t flows, enum what what, uint64_t inserted)
{
	double above[WINDOWS], nothing[WINDOWS];
	uint64_t counters[XDP_COUNTER_COUNT];

	for (int i = 0; i < WINDOWS; i++) {
		nothing[i] = run(bpf_program__fd(generator->progs.nothing));
		if (what == NEW)
			memset(emptied.pairs, 0, emptied.bytes);
		above[i] = run(xdp_program_fd(program)) - nothing[i];
	}
	qsort(above, WINDOWS, sizeof(above[0]), compare);
	qsort(nothing, WINDOWS, sizeof(nothing[0]), compare);
	xdp_program_counters(program, counters);
	printf("{\"mode\":\"%s\",\"flows\":%lu,\"case\":\"%s\",\"ns\":%.0f,\"least\":%.0f,\"most\":%.0f,"
	       "\"generator_ns\":%.0f,\"forwarded\":%lu,\"up_no_flow\":%lu,\"started\":%lu,\"packets\":%lu,"
	       "\"inserted\":%lu}\n",
	       mode, (unsigned long)flows, words[what], above[WINDOWS / 2], above[0], above[WINDOWS - 1],
	       nothing[WINDOWS / 2], (unsigned long)counters[XDP_COUNT_FORWARDED],
	       (unsigned long)counters[XDP_COUNT_UP_NO_FLOW], (unsigned long)counters[XDP_COUNT_STARTED],
	       (unsigned long)repeats * WINDOWS, (unsigned long)inserted);
}

/* ---- on a wire ---- */

struct live_case {
	const char *name;
	int program_fd;
	double ns[WINDOWS];
	uint64_t arrived;
};

static void
live_case_run(struct live *live, struct live_case *c, int window)
{
	uint64_t arrived = 0;

	c->ns[window] = live_window(live, c->program_fd, repeats, &arrived);
	if (c->ns[window] < 0)
		die(c->name, strerror((int)-c->ns[window]));
	c->arrived += arrived;
}

static void
live_case_print(struct live_case *c)
{
	qsort(c->ns, WINDOWS, sizeof(c->ns[0]), compare);
	printf("\"%s\":{\"ns\":%.0f,\"least\":%.0f,\"most\":%.0f,\"arrived\":%lu},", c->name, c->ns[WINDOWS / 2],
	       c->ns[0], c->ns[WINDOWS - 1], (unsigned long)c->arrived);
}

static void
measure_live(const char *mode, uint64_t flows, uint64_t inserted)
{
	struct live_case cases[] = { { .name = "made", .program_fd = -1 },
				     { .name = "drop", .program_fd = bpf_program__fd(generator->progs.drop) },
				     { .name = "tx", .program_fd = bpf_program__fd(generator->progs.bounce) },
				     { .name = "weir", .program_fd = xdp_program_fd(program) } };
	const unsigned int count = sizeof(cases) / sizeof(cases[0]);
	struct live *live = live_new(generator);
	uint64_t counters[XDP_COUNTER_COUNT];

	if (!live)
		die("live frames", strerror(errno));
	for (int window = 0; window < WINDOWS; window++)
		for (unsigned int i = 0; i < count; i++)
			live_case_run(live, &cases[i], window);
	live_free(live);
	xdp_program_counters(program, counters);
	printf("{\"mode\":\"%s\",\"flows\":%lu,\"case\":\"live\",", mode, (unsigned long)flows);
	for (unsigned int i = 0; i < count; i++)
		live_case_print(&cases[i]);
	printf("\"forwarded\":%lu,\"packets\":%lu,\"inserted\":%lu}\n", (unsigned long)counters[XDP_COUNT_FORWARDED],
	       (unsigned long)repeats * WINDOWS, (unsigned long)inserted);
}

static enum what
what_of(const char *word)
{
	for (enum what what = MISS; word && what <= LIVE; what++)
		if (strcmp(word, words[what]) == 0)
			return what;
	return HIT;
}

int
main(int argc, char **argv)
{
	const struct l4_forwarder *forwarder = argc > 3 ? l4_forwarder_find(argv[2], strlen(argv[2])) : NULL;
	uint64_t flows = argc > 3 ? strtoull(argv[3], NULL, 10) : 0, inserted;
	enum what what = what_of(argc > 4 ? argv[4] : NULL);
	struct xdp_memory memory;
	struct l4_flows *table;

	repeats = argc > 3 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
	if (!forwarder || !flows || !repeats)
		die("usage", "bench-xdp PACKETS MODE FLOWS [miss|new|live]");
	load(flows);
	if (!xdp_program_memory(program, 0, &memory))
		die("XDP", "does not forward");
	targets_set(forwarder, &memory, what == LIVE ? if_nametoindex(LIVE_TESTED) : 7);
	table = l4_flows_new_in(memory.flows, memory.lane, flows, targets, memory.uses);
	if (!table)
		die("the flow table", strerror(ENOMEM));
	inserted = what == NEW ? 0 : flows_insert(table, flows);
	generator->bss->flow_count = (uint32_t)flows;
	if (what == NEW) {
		choice_set();
		emptied.pairs = memory.flows;
		emptied.bytes = l4_flows_pairs(flows) * sizeof(struct l4_flow_pair);
		if (repeats > flows / 4)
			repeats = (uint32_t)(flows / 4);
	}
	/* Far from each other, each once per round (flows are no multiple of it). */
	generator->bss->step = flows > 1000 ? 7919 % (uint32_t)flows : 1;
	generator->bss->first_client = FIRST_CLIENT + (what == MISS ? 0x1000000 : 0);
	generator->bss->vip_be = htonl(VIP);
	if (what == LIVE)
		measure_live(argv[2], flows, inserted);
	else
		measure(argv[2], flows, what, inserted);
	l4_flows_free(table);
	generate_bpf__destroy(generator);
	xdp_program_free(program);
	return 0;
}
