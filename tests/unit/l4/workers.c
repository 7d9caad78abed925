#include "workers.h"

#include <netinet/in.h>
#include <rte_tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/random.h"
#include "configuration.h"
#include "l4/worker.h"
#include "net/memory_port.h"
#include "packet/verdict.h"
#include "run/qsbr.h"
#include "support/cmocka.h"
#include "support/dpdk.h"
#include "xdp/xdp.h"

#define ETHERNET_LEN 14
/* Fragments that waited for their first leave with it. */
#define LIST_MAX 1024
#define FRAGMENT_HEADER 44

struct lane {
	struct net_output *output;
	struct l4_worker *worker;
	unsigned int index;
};

struct handed {
	struct rte_mbuf *m;
	unsigned int owner;
};

static struct lane lanes[WORKERS_MAX];
static unsigned int lane_count;
static struct memory_port port;
static struct net_mirror *mirror;
static struct l4_registry *registry;
static struct config *config;
static struct l4_generation *generation;
static uint64_t now_ns;

static struct xdp_program *program;
static uint64_t start_ns;

static struct random dice;
static struct handed list[LIST_MAX];
static unsigned int list_count;
static struct workers_sent sent[MEMORY_PORT_PACKETS];

const struct workers_sent *workers_sent = sent;
unsigned int workers_sent_count, workers_handed, workers_passed, workers_passed_at;

/* ---- making ---- */

static struct ip_address
address(const char *text)
{
	struct ip_address ip;

	assert_int_equal(ip_address_parse(bytes_of_string(text), &ip), 0);
	return ip;
}

static void
make_mirror(void)
{
	const struct net_fixed_address local[] = { { address("192.0.2.1"), 32 }, { address("2001:db8::1"), 128 } };
	const struct net_fixed_neighbor gateway = { address("0.0.0.0"), { 2, 0, 0, 0, 0, 0xfe } };
	char error[256] = "";

	memory_port_init(&port, 0, "workers");
	port.port.ifindex = 7;
	port.port.queues = (uint16_t)lane_count;
	port.port.mac = (struct rte_ether_addr){ { 2, 0, 0, 0, 0, 1 } };
	if (net_mirror_new_fixed(&mirror, &port.port, local, 2, &gateway, 1, error, sizeof(error)) < 0)
		fail_msg("no mirror: %s", error);
}

static bool
is_fragment(const struct rte_mbuf *m)
{
	const uint8_t *ip = rte_pktmbuf_mtod_offset(m, const uint8_t *, ETHERNET_LEN);

	return ip[0] >> 4 == 4 ? ((ip[6] << 8 | ip[7]) & 0x3fff) != 0 : ip[6] == FRAGMENT_HEADER;
}

static void
hand_over(void *context, unsigned int owner, struct rte_mbuf *m)
{
	const struct lane *lane = context;

	assert_true(owner < lane_count);
	assert_int_not_equal(owner, lane->index);
	assert_true(list_count < LIST_MAX);
	if (++m->hash.usr > (is_fragment(m) ? 2 : 1))
		fail_msg("a packet is handed over for the %uth time, from %u to %u", m->hash.usr, lane->index, owner);
	list[list_count++] = (struct handed){ m, owner };
	workers_handed++;
}

static void
lane_share(unsigned int index, struct l4_worker_config *wanted)
{
	struct xdp_memory memory;

	assert_true(xdp_program_memory(program, index, &memory));
	net_output_share_hops(wanted->output, memory.hops, memory.lane);
	wanted->flow_memory = memory.flows;
	wanted->use_memory = memory.uses;
	wanted->lane = memory.lane;
	wanted->start_ns = start_ns;
}

static void
target_share(void *context, const struct l4_target *target)
{
	struct xdp_target shared;

	l4_target_share(registry, target, generation, &shared);
	xdp_program_target_set(program, (uint32_t)(target - l4_registry_targets(registry)), &shared);
}

static void
choices_share(void)
{
	struct xdp_choice *choice = malloc(sizeof(*choice));

	assert_non_null(choice);
	for (uint32_t i = 0; i < l4_generation_service_count(generation); i++) {
		const struct l4_service *service = l4_generation_service(generation, i);

		if (l4_service_share(registry, service, choice))
			assert_int_equal(xdp_program_choice_set(program, service->id, choice), 0);
	}
	assert_int_equal(xdp_program_choices_end(program), 0);
	free(choice);
}

void
workers_share(struct xdp_program *shared, uint64_t shared_start_ns)
{
	program = shared;
	start_ns = shared_start_ns;
}

static void
make_lane(unsigned int index, uint64_t flows, uint16_t local_port_first, uint16_t local_port_last)
{
	struct lane *lane = &lanes[index];
	struct l4_worker_config wanted = { .index = index,
					   .workers = lane_count,
					   .targets = l4_registry_targets(registry),
					   .mirror = mirror,
					   .pool = support_pool(),
					   .flows = flows,
					   .hash_seed = WORKERS_HASH_SEED,
					   .random_seed = 1,
					   .local_port_first = local_port_first,
					   .local_port_last = local_port_last,
					   .hand_over = hand_over,
					   .context = lane };

	lane->index = index;
	lane->output = wanted.output = net_output_new(mirror, index, now_ns);
	assert_non_null(lane->output);
	if (program)
		lane_share(index, &wanted);
	lane->worker = l4_worker_new(&wanted, now_ns);
	assert_non_null(lane->worker);
	l4_worker_adopt(lane->worker, generation);
}

void
workers_make_with(unsigned int count, const char *configuration, uint64_t flows, uint16_t local_port_first,
		  uint16_t local_port_last)
{
	assert_true(count <= WORKERS_MAX);
	lane_count = count;
	now_ns = NS_PER_SECOND;
	list_count = 0;
	memset(lanes, 0, sizeof(lanes));
	mirror = NULL;
	registry = NULL;
	config = NULL;
	generation = NULL;
	assert_int_equal(qsbr_init(count), 0);
	make_mirror();
	registry = l4_registry_new();
	assert_non_null(registry);
	config = configuration_parse_well(configuration);
	generation = configuration_generation(registry, config, NULL);
	if (program) {
		now_ns = clock_monotonic_ns();
		port.port.features |= PORT_XDP_SEND;
		l4_registry_each_target(registry, target_share, NULL);
		xdp_program_targets_end(program);
	}
	for (unsigned int i = 0; i < count; i++)
		make_lane(i, flows, local_port_first, local_port_last);
	if (program)
		choices_share();
}

void
workers_make(unsigned int count, const char *configuration)
{
	workers_make_with(count, configuration, 4096, WORKERS_PORT_FIRST, WORKERS_PORT_LAST);
}

void
workers_free(void)
{
	if (!lane_count)
		return;
	for (unsigned int i = 0; i < lane_count; i++) {
		l4_worker_free(lanes[i].worker);
		net_output_free(lanes[i].output);
	}
	l4_generation_free(generation);
	l4_registry_free(registry);
	config_free(config);
	net_mirror_free(mirror);
	qsbr_fini();
	lane_count = 0;
}

int
workers_setup(void **state)
{
	workers_roll_anew();
	return 0;
}

int
workers_teardown(void **state)
{
	workers_free();
	assert_int_equal(support_pool_available(), SUPPORT_POOL_SIZE);
	return 0;
}

/* ---- packets ---- */

static const uint8_t *
innermost(const uint8_t *ip)
{
	uint8_t ip_protocol = ip[0] >> 4 == 4 ? ip[9] : ip[6];

	if (ip_protocol != IPPROTO_IPIP && ip_protocol != IPPROTO_IPV6)
		return ip;
	return ip + (ip[0] >> 4 == 4 ? 20 : 40);
}

static void
keep_sent(const struct rte_mbuf *m, unsigned int worker)
{
	struct workers_sent *s = &sent[workers_sent_count++];
	const uint8_t *ip = s->ip, *inner;

	s->worker = worker;
	memcpy(s->ethernet, rte_pktmbuf_mtod(m, const uint8_t *), sizeof(s->ethernet));
	s->len = wire_read(m, ETHERNET_LEN, s->ip);
	inner = innermost(ip);
	/* The port fills in what it is told to. */
	wire_assert_sums(inner, (uint16_t)(s->len - (inner - ip)), m->ol_flags & RTE_MBUF_F_TX_L4_MASK);
	s->source = wire_source(inner);
	s->destination = wire_destination(inner);
	s->identification = inner[0] >> 4 == 4            ? (uint32_t)(inner[4] << 8 | inner[5])
			    : inner[6] == FRAGMENT_HEADER ? (uint32_t)(inner[46] << 8 | inner[47])
							  : 0;
}

/* What L4 leaves alone is at the front. */
static void
run(unsigned int worker, enum l4_arrival arrival, struct rte_mbuf **m, uint16_t count)
{
	uint64_t verdicts[PACKET_VERDICT_COUNT] = { 0 }, parsed = 0;
	uint16_t passed = l4_burst(lanes[worker].worker, m, count, arrival, now_ns, verdicts);

	for (unsigned int i = 0; i < PACKET_VERDICT_COUNT; i++)
		parsed += verdicts[i];
	assert_int_equal(parsed, count);
	assert_true(passed <= count);
	if (!passed)
		return;
	workers_passed += passed;
	workers_passed_at = worker;
	rte_pktmbuf_free_bulk(m, passed);
}

/* What one owner was handed in a row, it finds on its ring together. */
static void
run_handed(void)
{
	struct rte_mbuf *burst[WORKERS_BURST];
	unsigned int done = 0;

	while (done < list_count) {
		unsigned int owner = list[done].owner;
		uint16_t count = 0;

		while (done < list_count && list[done].owner == owner && count < WORKERS_BURST)
			burst[count++] = list[done++].m;
		run(owner, L4_FROM_OWNER, burst, count);
	}
}

void
workers_receive(unsigned int worker, enum l4_arrival arrival, struct rte_mbuf **m, uint16_t count)
{
	workers_sent_count = workers_handed = workers_passed = list_count = 0;
	if (program)
		now_ns = clock_monotonic_ns();
	for (uint16_t i = 0; i < count; i++) {
		m[i]->hash.usr = 0;
		packet_view(m[i])->queue = (uint16_t)worker;
		packet_view(m[i])->stage = PACKET_NEW;
	}
	run(worker, arrival, m, count);
	run_handed();
	for (unsigned int i = 0; i < lane_count; i++)
		net_output_flush(lanes[i].output, now_ns);
	assert_true(port.count < MEMORY_PORT_PACKETS);
	for (unsigned int i = 0; i < port.count; i++)
		keep_sent(port.packets[i], port.queues[i]);
	memory_port_clear(&port);
}

static void
look_on(void *context, const struct l4_decision *decision)
{
	assert_true(decision->verdict < L4_VERDICT_COUNT);
}

const struct workers_sent *
workers_assert_sent_by(unsigned int worker)
{
	assert_int_equal(workers_sent_count, 1);
	assert_int_equal(workers_passed, 0);
	assert_int_equal(workers_sent[0].worker, worker);
	return &workers_sent[0];
}

void
workers_go_by_rss(const struct port_rss *rss)
{
	for (unsigned int i = 0; i < lane_count; i++)
		l4_worker_go_by_rss(lanes[i].worker, rss);
}

void
workers_watch(void)
{
	for (unsigned int i = 0; i < lane_count; i++)
		l4_worker_observe(lanes[i].worker, look_on, NULL);
}

void
workers_receive_wire(unsigned int worker, enum l4_arrival arrival, const struct wire *w)
{
	struct l4_packet packet;

	wire_build(w, &packet);
	workers_receive(worker, arrival, &packet.m, 1);
}

struct rte_mbuf *
workers_error(const struct ip_address *to, const uint8_t *quoted, uint16_t quoted_len)
{
	bool v6 = quoted[0] >> 4 == 6;
	struct wire w = wire_default(v6, IPPROTO_UDP);
	struct l4_packet packet;
	uint8_t *icmp;
	uint16_t sum;

	w.ip_protocol = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	w.source.ip = address(v6 ? "fd00:9::9" : "10.9.9.9");
	w.destination.ip = *to;
	w.payload_len = quoted_len;
	wire_build(&w, &packet);
	icmp = l4_packet_l4(&packet);
	memcpy(icmp, (const uint8_t[8]){ v6 ? 1 : 3, v6 ? 4 : 3 }, 8);
	memcpy(icmp + 8, quoted, quoted_len);
	/* ICMPv6 alone has a pseudo-header. */
	sum = (uint16_t)~wire_sum(icmp, quoted_len + 8u,
				  v6 ? wire_sum(packet.l3 + 8, 32, 0) + IPPROTO_ICMPV6 + quoted_len + 8u : 0);
	icmp[2] = (uint8_t)(sum >> 8);
	icmp[3] = (uint8_t)sum;
	return packet.m;
}

/* ---- flows ---- */

static struct l4_flow *
flow_of(const struct wire *w, struct l4_flows **in)
{
	const struct l4_service *service =
		l4_service_find(generation, &w->destination.ip, w->destination.port_be, w->ip_protocol);
	struct l4_flow_key key = { .client = w->source.ip,
				   .client_port_be = w->source.port_be,
				   .service_port_be = w->destination.port_be };
	struct l4_flow *found = NULL;

	if (!service)
		return NULL;
	key.service_id = service->id;
	for (unsigned int i = 0; i < lane_count; i++) {
		struct l4_worker *worker = lanes[i].worker;
		struct l4_flow *flow;

		key.hash = flow_hash(w->source.ip.halves, w->destination.ip.halves, w->source.port_be,
				     w->destination.port_be, w->ip_protocol, &worker->hash_key);
		flow = l4_flow_find(worker->flows, &key, worker->now_s);
		if (!flow)
			continue;
		/* One worker's alone. */
		assert_null(found);
		found = flow;
		*in = worker->flows;
	}
	return found;
}

struct l4_flow *
workers_flow(const struct wire *w)
{
	struct l4_flows *in;

	return flow_of(w, &in);
}

bool
workers_begin(const struct wire *w)
{
	const struct l4_service *service =
		l4_service_find(generation, &w->destination.ip, w->destination.port_be, w->ip_protocol);
	struct l4_worker *worker = lanes[0].worker;
	const struct l4_flow model = { .client = w->source.ip,
				       .client_port_be = w->source.port_be,
				       .service_port_be = w->destination.port_be,
				       .target = service->targets[0] & 0xffff,
				       .bits = L4_FLOW_ESTABLISHED };
	uint32_t hash = flow_hash(w->source.ip.halves, w->destination.ip.halves, w->source.port_be,
				  w->destination.port_be, w->ip_protocol, &worker->hash_key);

	return l4_flow_insert(worker->flows, hash, &model, worker->now_s);
}

void
workers_forget(const struct wire *w)
{
	struct l4_flows *in = NULL;
	struct l4_flow *flow = flow_of(w, &in);

	assert_non_null(flow);
	l4_flow_remove(in, flow);
}

/* ---- chance, and facts ---- */

void
workers_roll_anew(void)
{
	dice.state = 20240;
}

unsigned int
workers_roll(unsigned int below)
{
	return (unsigned int)((random_next(&dice) >> 32) * below >> 32);
}

void
workers_pass_seconds(unsigned int seconds)
{
	now_ns += seconds * NS_PER_SECOND;
	for (unsigned int i = 0; i < lane_count; i++)
		l4_worker_maintain(lanes[i].worker, now_ns);
}

uint64_t
workers_counter(enum l4_verdict verdict)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < lane_count; i++)
		sum += l4_worker_counters(lanes[i].worker)[verdict];
	return sum;
}

uint64_t
workers_flows(void)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < lane_count; i++)
		for (unsigned int number = 1; number < L4_TARGETS_MAX; number++)
			sum += l4_worker_use(lanes[i].worker)[number].flows;
	return sum;
}

uint64_t
workers_entries(unsigned int worker)
{
	struct l4_flows_usage usage;

	l4_worker_flows_usage(lanes[worker].worker, &usage);
	return usage.used;
}
