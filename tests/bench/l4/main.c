/*
 * What a packet costs on the L4 path, without a NIC: one case per run, one line of JSON. pktgen-scripts/bench-l4 runs the
 * cases and makes a table of them; this program's own output is for it.
 *
 * Windows of the port alone, of a plain swap of both ends (what testpmd calls 5tswap), and of the case take turns, so that
 * a machine that is slower for a while is so for all three. A clock is read a few thousand packets apart.
 */
#include <getopt.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balance/balance.h"
#include "base/clock.h"
#include "flood.h"

#define WINDOWS_MAX 101
/* Bursts between two looks at the clock. */
#define ROUNDS_PER_LOOK 64
#define MAGLEV_SERVERS 1000
#define FLOWS_MIN 1024
#define FLOOD_RATE_MAX 100000

struct arguments {
	const char *name;
	struct world_options world;
	uint64_t flows; /* that take turns */
	double seconds;
	unsigned int windows, cpu;
	uint64_t packets; /* instead of windows */
	bool huge;
};

struct windows {
	double ns[WINDOWS_MAX];
	unsigned int count;
};

/* ---- what is timed ---- */

/* Kept out of line so that a profiler can be told to look at these alone. */
typedef unsigned int round_function(struct world *w);

static unsigned int
round_port(struct world *w)
{
	struct rte_mbuf *burst[PORT_BURST];
	uint16_t count = port_rx_burst(&w->port.port, 0, burst, PORT_BURST);

	port_tx_burst(&w->port.port, 0, burst, count);
	return count;
}

static inline void
swap_bytes(uint8_t *a, uint8_t *b, size_t len)
{
	uint8_t kept[16];

	memcpy(kept, a, len);
	memcpy(a, b, len);
	memcpy(b, kept, len);
}

static inline void
swap_ends(struct rte_mbuf *m)
{
	struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	uint8_t *ip = (uint8_t *)(ethernet + 1), *ports;

	swap_bytes(ethernet->src_addr.addr_bytes, ethernet->dst_addr.addr_bytes, RTE_ETHER_ADDR_LEN);
	if (ethernet->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4)) {
		swap_bytes(ip + 12, ip + 16, 4);
		ports = ip + (ip[0] & 0xf) * 4;
	} else {
		swap_bytes(ip + 8, ip + 24, 16);
		ports = ip + 40;
	}
	swap_bytes(ports, ports + 2, 2);
}

static unsigned int
round_swap(struct world *w)
{
	struct rte_mbuf *burst[PORT_BURST];
	uint16_t count = port_rx_burst(&w->port.port, 0, burst, PORT_BURST);

	for (uint16_t i = 0; i < count; i++) {
		if (i + 1 < count)
			rte_prefetch0(rte_pktmbuf_mtod(burst[i + 1], void *));
		swap_ends(burst[i]);
	}
	port_tx_burst(&w->port.port, 0, burst, count);
	return count;
}

static __attribute__((noinline)) void
run_packets(struct world *w, round_function *round, uint64_t packets)
{
	for (uint64_t done = 0; done < packets;)
		done += round(w);
}

/* What this thread has had of its CPU: others may take turns with it, and a host with its guest. */
static uint64_t
cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

/* Nanoseconds per packet. */
static double
window(struct world *w, round_function *round, double seconds)
{
	uint64_t start_ns = cpu_ns(), end_ns = start_ns + (uint64_t)(seconds * 1e9), now_ns = start_ns, packets = 0;

	while (now_ns < end_ns) {
		w->now_ns = clock_monotonic_ns();
		for (unsigned int i = 0; i < ROUNDS_PER_LOOK; i++)
			packets += round(w);
		now_ns = cpu_ns();
	}
	return (double)(now_ns - start_ns) / (double)packets;
}

/* ---- figures ---- */

static int
compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static void
print_windows(const char *name, struct windows *of)
{
	qsort(of->ns, of->count, sizeof(of->ns[0]), compare);
	printf("\"%s\": {\"ns\": %.3f, \"least\": %.3f, \"most\": %.3f}, ", name, of->ns[of->count / 2], of->ns[0],
	       of->ns[of->count - 1]);
}

static void
print_verdicts(const struct world *w, const uint64_t before[L4_VERDICT_COUNT])
{
	const uint64_t *after = l4_worker_counters(w->worker);
	const char *between = "";

	printf("\"verdicts\": {");
	for (unsigned int i = 0; i < L4_VERDICT_COUNT; i++) {
		if (after[i] == before[i])
			continue;
		printf("%s\"%s\": %llu", between, l4_verdict_names[i], (unsigned long long)(after[i] - before[i]));
		between = ", ";
	}
	printf("}");
}

/* ---- cases ---- */

/* Every client opens a connection and says something. */
static void
establish(struct world *w, uint32_t first, uint32_t count)
{
	if (!w->options.udp) {
		synthetic_port_clients(&w->port, first, first + count, RTE_TCP_SYN_FLAG);
		world_run(w, count);
	}
	synthetic_port_clients(&w->port, first, first + count, RTE_TCP_ACK_FLAG);
	world_run(w, count);
}

static int
prepare_established(struct world *w, const struct arguments *a)
{
	establish(w, 0, (uint32_t)a->flows);
	return 0;
}

static int
prepare_answers(struct world *w, const struct arguments *a)
{
	if (!synthetic_port_note(&w->port, (uint32_t)a->flows, strcmp(a->world.mode, "full_nat") == 0))
		return -1;
	/* One note per flow: of its first packet. */
	synthetic_port_clients(&w->port, 0, (uint32_t)a->flows, a->world.udp ? 0 : RTE_TCP_SYN_FLAG);
	world_run(w, a->flows);
	if (!w->port.notes_count)
		return -1;
	synthetic_port_clients(&w->port, 0, (uint32_t)a->flows, RTE_TCP_ACK_FLAG);
	world_run(w, a->flows);
	synthetic_port_answers(&w->port);
	return 0;
}

/* The table is full of others' flows. */
static int
prepare_stateless(struct world *w, const struct arguments *a)
{
	uint32_t others = (uint32_t)a->world.flows * 4;

	establish(w, 0, others);
	synthetic_port_clients(&w->port, others, others + (uint32_t)a->flows, RTE_TCP_ACK_FLAG);
	return 0;
}

/* Every packet is of a client that was never seen: the table is emptied before each window. */
static int
prepare_new(struct world *w, const struct arguments *a)
{
	synthetic_port_clients(&w->port, 0, SYNTHETIC_CLIENTS_MAX, a->world.udp ? 0 : RTE_TCP_SYN_FLAG);
	return world_renew(w);
}

static int
prepare_nothing(struct world *w, const struct arguments *a)
{
	synthetic_port_clients(&w->port, 0, (uint32_t)a->flows, RTE_TCP_ACK_FLAG);
	return 0;
}

struct bench_case {
	const char *name;
	int (*prepare)(struct world *w, const struct arguments *a);
	round_function *round;
	bool before_each_window;
};

static const struct bench_case cases[] = {
	{ "established", prepare_established, world_round, false },
	{ "answers", prepare_answers, world_round, false },
	{ "stateless", prepare_stateless, world_round, false },
	{ "new", prepare_new, world_round, true },
	{ "port", prepare_nothing, round_port, false },
	{ "5tswap", prepare_nothing, round_swap, false },
};

static int
measure(struct world *w, const struct bench_case *c, const struct arguments *a)
{
	struct windows port = { 0 }, swap = { 0 }, own = { 0 };
	uint64_t before[L4_VERDICT_COUNT] = { 0 };
	struct l4_flows_usage usage;
	uint32_t next;

	if (c->prepare(w, a) < 0)
		return -1;
	for (unsigned int i = 0; i < a->windows + 1; i++) {
		/* The case goes on where it was. */
		next = w->port.next;
		port.ns[port.count] = window(w, round_port, a->seconds / 4);
		swap.ns[swap.count] = window(w, round_swap, a->seconds / 4);
		w->port.next = next;
		if (c->before_each_window && c->prepare(w, a) < 0)
			return -1;
		if (i == 0 || c->before_each_window)
			memcpy(before, l4_worker_counters(w->worker), sizeof(before));
		own.ns[own.count] = window(w, c->round, a->seconds);
		/* The first one warms up. */
		if (i > 0)
			port.count++, swap.count++, own.count++;
	}
	l4_worker_flows_usage(w->worker, &usage);
	print_windows("port", &port);
	print_windows("5tswap", &swap);
	print_windows("total", &own);
	printf("\"entries\": %llu, \"table_bytes\": %llu, ", (unsigned long long)usage.used,
	       (unsigned long long)usage.bytes);
	print_verdicts(w, before);
	return 0;
}

/* For a profiler that counts: nothing is timed. */
static int
count(struct world *w, const struct bench_case *c, const struct arguments *a)
{
	uint64_t before[L4_VERDICT_COUNT];

	if (c->prepare(w, a) < 0)
		return -1;
	memcpy(before, l4_worker_counters(w->worker), sizeof(before));
	run_packets(w, c->round, a->packets);
	printf("\"packets\": %llu, ", (unsigned long long)a->packets);
	print_verdicts(w, before);
	return 0;
}

/* ---- a SYN flood ---- */

static int
flood(struct world *w, const struct bench_case *c, const struct arguments *a)
{
	struct flood_result result;
	struct l4_flows_usage usage;

	flood_run(w, (uint32_t)a->flows, &result);
	l4_worker_flows_usage(w->worker, &usage);
	printf("\"connections\": %llu, \"lost\": %llu, \"places\": %llu, \"entries\": %llu",
	       (unsigned long long)result.connections, (unsigned long long)result.lost,
	       (unsigned long long)usage.places, (unsigned long long)usage.used);
	return 0;
}

/* ---- the building of a Maglev table ---- */

static int
maglev_servers(struct balance_server servers[MAGLEV_SERVERS], char keys[MAGLEV_SERVERS][ENDPOINT_TEXT_MAX])
{
	for (uint32_t i = 0; i < MAGLEV_SERVERS; i++) {
		int len = snprintf(keys[i], ENDPOINT_TEXT_MAX, "10.0.%u.%u:80", i / 250, i % 250 + 1);

		servers[i] = (struct balance_server){ .key = keys[i], .key_len = (size_t)len, .weight = 1 };
	}
	return MAGLEV_SERVERS;
}

static int
bench_maglev(const struct arguments *a)
{
	static char keys[MAGLEV_SERVERS][ENDPOINT_TEXT_MAX];
	static struct balance_server servers[MAGLEV_SERVERS];
	const struct balance_method *method = balance_method_find("maglev", 6);
	size_t size, n = (size_t)maglev_servers(servers, keys);
	struct windows took = { 0 };
	void *table;

	size = method->table_size(servers, n, 0, 0);
	table = malloc(size);
	if (!table)
		return -1;
	for (took.count = 0; took.count < a->windows; took.count++) {
		uint64_t start_ns = cpu_ns();

		if (method->build(table, servers, n, 0, 0) < 0)
			return -1;
		took.ns[took.count] = (double)(cpu_ns() - start_ns);
	}
	free(table);
	print_windows("build", &took);
	printf("\"servers\": %d", MAGLEV_SERVERS);
	return 0;
}

/* ---- start ---- */

static bool
start_dpdk(const struct arguments *a)
{
	char lcores[24];
	char *argv[16] = { (char *)(uintptr_t) "bench-l4" };
	const char *const common[] = { lcores, "--no-pci", "--no-telemetry", "--log-level=*:error", "--no-shconf" };
	const char *const huge[] = { "--in-memory" }, *const small[] = { "--no-huge", "-m", "64" };
	int argc = 1;

	snprintf(lcores, sizeof(lcores), "--lcores=0@%u", a->cpu);
	for (size_t i = 0; i < RTE_DIM(common); i++)
		argv[argc++] = (char *)(uintptr_t)common[i];
	for (size_t i = 0; i < (a->huge ? RTE_DIM(huge) : RTE_DIM(small)); i++)
		argv[argc++] = (char *)(uintptr_t)(a->huge ? huge[i] : small[i]);
	if (rte_eal_init(argc, argv) >= 0)
		return true;
	fprintf(stderr, "DPDK cannot be started: %s\n", rte_strerror(rte_errno));
	return false;
}

static const struct bench_case *
case_find(const char *name)
{
	for (size_t i = 0; i < RTE_DIM(cases); i++)
		if (strcmp(cases[i].name, name) == 0)
			return &cases[i];
	return NULL;
}

static bool
parse_arguments(struct arguments *a, int argc, char **argv)
{
	static const struct option options[] = {
		{ "mode", required_argument, NULL, 'm' },
		{ "flows", required_argument, NULL, 'f' },
		{ "entries", required_argument, NULL, 'e' },
		{ "seconds", required_argument, NULL, 's' },
		{ "windows", required_argument, NULL, 'w' },
		{ "packets", required_argument, NULL, 'p' },
		{ "cpu", required_argument, NULL, 'c' },
		{ "extra", required_argument, NULL, 'x' },
		{ "servers", required_argument, NULL, 'S' },
		{ "ipv6", no_argument, NULL, '6' },
		{ "udp", no_argument, NULL, 'u' },
		{ "no-huge", no_argument, NULL, 'n' },
		{ 0 },
	};
	int option;

	*a = (struct arguments){
		.world = { .mode = "dsr", .servers = SYNTHETIC_SERVERS },
		.flows = 1000,
		.seconds = 0.2,
		.windows = 9,
		.huge = true,
	};
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'm':
			a->world.mode = optarg;
			break;
		case 'f':
			a->flows = strtoull(optarg, NULL, 10);
			break;
		case 'e':
			a->world.flows = strtoull(optarg, NULL, 10);
			break;
		case 's':
			a->seconds = strtod(optarg, NULL);
			break;
		case 'w':
			a->windows = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'p':
			a->packets = strtoull(optarg, NULL, 10);
			break;
		case 'c':
			a->cpu = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'x':
			a->world.extra = optarg;
			break;
		case 'S':
			a->world.servers = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case '6':
			a->world.ipv6 = true;
			break;
		case 'u':
			a->world.udp = true;
			break;
		case 'n':
			a->huge = false;
			break;
		default:
			return false;
		}
	}
	if (optind + 1 != argc || a->flows == 0 || a->flows >= SYNTHETIC_CLIENTS_MAX || a->seconds <= 0 ||
	    a->windows == 0 || a->windows >= WINDOWS_MAX || a->world.servers == 0 ||
	    a->world.servers > SYNTHETIC_SERVERS_MAX)
		return false;
	/* The least that a configuration may have. */
	if (!a->world.flows)
		a->world.flows = RTE_MAX(a->flows, (uint64_t)FLOWS_MIN);
	a->name = argv[optind];
	/* For the flood they are connections per second. */
	return case_find(a->name) || strcmp(a->name, "maglev") == 0 ||
	       (strcmp(a->name, "flood") == 0 && a->flows >= PORT_BURST && a->flows <= FLOOD_RATE_MAX);
}

static int
run(const struct arguments *a)
{
	const struct bench_case *c = case_find(a->name);
	struct world world;
	int result;

	if (strcmp(a->name, "maglev") == 0)
		return bench_maglev(a);
	if (!start_dpdk(a) || world_new(&world, &a->world) < 0)
		return -1;
	result = (!c ? flood : a->packets ? count : measure)(&world, c, a);
	world_free(&world);
	rte_eal_cleanup();
	return result;
}

int
main(int argc, char **argv)
{
	struct arguments a;
	int result;

	if (!parse_arguments(&a, argc, argv)) {
		fputs("Usage: bench-l4 [OPTION...] established|answers|stateless|new|port|5tswap|flood|maglev\n"
		      "see pktgen-scripts/bench-l4, which runs this\n",
		      stderr);
		return EXIT_FAILURE;
	}
	printf("{");
	result = run(&a);
	printf("}\n");
	return result < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
