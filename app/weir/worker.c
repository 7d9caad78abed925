#include "weir/worker.h"

#include <errno.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "base/random.h"
#include "packet/segment.h"
#include "port/rss.h"
#include "weir/privileges.h"

/* Idle this long before the first sleep. Short: a sleep gathers packets, which then cost less each, and leaves the CPU to
 * those that send them; `worker_poll busy` is for CPUs that have nothing else to do. */
#define SPIN_NS (2 * NS_PER_US)
/* How long a twin that had nothing is left alone. */
#define TWIN_ASKED_NS (50 * NS_PER_US)
#define LOG_RING_BYTES (1 << 20)
/* What one connection may buffer in each direction where its path asks for it: as Linux's tcp_wmem. */
#define RECEIVE_BUFFER (4 << 20)
#define SEND_BUFFER (4 << 20)
#define TIME_WAIT_MAX 65536

static const char *const worker_counter_names[WORKER_COUNTER_COUNT] = {
#define ROW(name, text) text,
	WORKER_COUNTERS(ROW)
#undef ROW
};

/* ---- packets ---- */

static struct endpoint
endpoint_of(const struct ip_address *ip, uint16_t port_be)
{
	return (struct endpoint){ *ip, port_be };
}

static void
to_kernel(struct worker *worker, struct rte_mbuf *m)
{
	struct port *port = worker->ports[packet_view(m)->port_index].port;

	worker->counters[port->ops->to_kernel ? WORKER_TO_KERNEL : WORKER_NOT_OURS]++;
	port_to_kernel(port, (uint16_t)(worker->index % port->queues), m);
}

static void
hand_over(struct worker *worker, unsigned int owner, struct rte_mbuf *m)
{
	if (handover_send(worker->shared->received, worker->index, owner, m))
		worker->counters[WORKER_HANDED_OVER]++;
	else
		worker->counters[WORKER_HANDOVER_FULL]++;
}

/* XDP has sorted already; what a DPDK port received may be for any program of this host. */
static bool
is_for_stack(const struct worker *worker, const struct port *port, const struct endpoint *remote,
	     const struct endpoint *local)
{
	const struct net_mirror *mirror = worker->shared->mirror;

	/* Of a server that routes back through Weir, about a flow that is over: nobody's here. */
	if (!port->ops->to_kernel)
		return !worker->l4 || net_is_local(mirror, &local->ip);
	return steering_listens(worker->steering, local, net_is_local(mirror, &local->ip)) ||
	       tcp_knows(worker->tcp, local, remote);
}

static void
tcp_packet(struct worker *worker, struct rte_mbuf *m, bool at_owner)
{
	const struct packet_view *view = packet_view(m);
	const struct port *port = worker->ports[view->port_index].port;
	struct endpoint remote = endpoint_of(&view->source, view->source_port_be);
	struct endpoint local = endpoint_of(&view->destination, view->destination_port_be);
	unsigned int owner = worker->index;

	if (!at_owner)
		owner = steering_owner(worker->steering, worker->index, port->features & PORT_FLOW_STABLE, &remote,
				       &local);
	if (owner != worker->index)
		hand_over(worker, owner, m);
	else if (is_for_stack(worker, port, &remote, &local))
		tcp_input(worker->tcp, m);
	else
		to_kernel(worker, m);
}

/* A flow may come in on any of the ports. NULL: where, they do not say, or each says something else. */
static const struct port_rss *
rss_of_all(const struct worker *worker)
{
	const struct port_rss *all = NULL;

	for (uint16_t i = 0; i < PORTS_MAX; i++) {
		const struct port *port = worker->ports[i].port;

		if (!port)
			continue;
		if (!port->rss || (all && !port_rss_same(all, port->rss)))
			return NULL;
		all = port->rss;
	}
	return all;
}

static void
icmp_packet(struct worker *worker, struct rte_mbuf *m, bool at_owner)
{
	struct packet_quote quote;
	struct endpoint local, remote;
	unsigned int owner = worker->index;

	if (!packet_parse_icmp_error(m, &quote) || quote.ip_protocol != IPPROTO_TCP) {
		to_kernel(worker, m);
		return;
	}
	/* The quoted packet is one that we sent: its source is us. */
	local = endpoint_of(&quote.source, quote.source_port_be);
	remote = endpoint_of(&quote.destination, quote.destination_port_be);
	if (!at_owner)
		owner = steering_owner_of_error(worker->steering, rss_of_all(worker), &remote, &local);
	if (owner != worker->index) {
		hand_over(worker, owner, m);
	} else if (tcp_knows(worker->tcp, &local, &remote)) {
		worker->counters[WORKER_ICMP_ERRORS]++;
		tcp_icmp_error(worker->tcp, &quote);
		rte_pktmbuf_free(m);
	} else {
		to_kernel(worker, m);
	}
}

static void
packet(struct worker *worker, struct rte_mbuf *m, bool at_owner)
{
	const struct packet_view *view = packet_view(m);

	if (view->verdict > PACKET_NOT_IP) {
		rte_pktmbuf_free(m);
		return;
	}
	if (view->verdict == PACKET_OK && view->ip_protocol == IPPROTO_TCP && !(view->flags & PACKET_FRAGMENT))
		tcp_packet(worker, m, at_owner);
	else if (view->verdict == PACKET_OK &&
		 (view->ip_protocol == IPPROTO_ICMP || view->ip_protocol == IPPROTO_ICMPV6))
		icmp_packet(worker, m, at_owner);
	else
		to_kernel(worker, m);
}

/* What a burst leaves for TCP and the kernel: parsed, at the front of `burst`. */
static uint16_t
services(struct worker *worker, struct rte_mbuf **burst, uint16_t count, enum l4_arrival arrival, uint64_t now_ns)
{
	uint64_t seen_before[PACKET_VERDICT_COUNT];

	if (worker->l4)
		return l4_burst(worker->l4, burst, count, arrival, now_ns,
				arrival == L4_FROM_OWNER ? seen_before : worker->verdicts);
	if (arrival != L4_FROM_OWNER)
		for (uint16_t i = 0; i < count; i++)
			worker->verdicts[packet_parse(burst[i])]++;
	return count;
}

static enum l4_arrival
arrival_of(const struct worker *worker, const struct port *port)
{
	return port->features & PORT_FLOW_STABLE ? L4_FROM_STABLE_PORT : L4_FROM_PORT;
}

/* ---- sources of the loop ---- */

static void
port_wakes_up(struct worker_port *wp, uint16_t queue)
{
	wp->armed = false;
	if (wp->port->ops->disarm)
		wp->port->ops->disarm(wp->port, queue);
	if (wp->unproven && wp->port->ops->wait_proven(wp->port, queue)) {
		wp->unproven = false;
		loop_source_blind(wp->worker->loop, wp, false);
	}
}

static void
received(struct worker_port *wp, struct rte_mbuf **burst, uint16_t count, uint64_t now_ns)
{
	struct worker *worker = wp->worker;
	uint16_t left = services(worker, burst, count, arrival_of(worker, wp->port), now_ns);

	for (uint16_t i = 0; i < left; i++)
		packet(worker, burst[i], worker->shared->roles.count == 1);
}

/* Packet-level services forward what fits the next link: what a kernel has not cut up is cut up here. */
static void
received_long(struct worker_port *wp, struct rte_mbuf *m, uint64_t now_ns)
{
	struct rte_mbuf *pieces[PACKET_CUT_MAX];
	uint16_t count = 0;

	if (packet_parse(m) == PACKET_OK)
		count = packet_cut_received(m, wp->port->mtu, wp->worker->shared->pool, pieces);
	if (count)
		received(wp, pieces, count, now_ns);
	else
		received(wp, &m, 1, now_ns);
}

/* Index of the first packet that is longer than the port's MTU. */
static uint16_t
first_long(const struct worker_port *wp, struct rte_mbuf **burst, uint16_t count)
{
	const uint32_t most = wp->port->mtu + (uint32_t)sizeof(struct rte_ether_hdr) + sizeof(struct rte_vlan_hdr);
	uint16_t i = 0;

	while (i < count && burst[i]->pkt_len <= most)
		i++;
	return i;
}

static void
received_of_any_length(struct worker_port *wp, struct rte_mbuf **burst, uint16_t count, uint64_t now_ns)
{
	for (uint16_t done = 0; done < count;) {
		uint16_t plain = first_long(wp, burst + done, (uint16_t)(count - done));

		if (plain)
			received(wp, burst + done, plain, now_ns);
		done += plain;
		if (done < count)
			received_long(wp, burst[done++], now_ns);
	}
}

static unsigned int
port_poll(void *context, uint64_t now_ns)
{
	struct worker_port *wp = context;
	struct worker *worker = wp->worker;
	struct rte_mbuf *burst[PORT_BURST];
	uint16_t queue = (uint16_t)worker->index;
	uint16_t count;

	if (wp->armed)
		port_wakes_up(wp, queue);
	count = port_rx_burst(wp->port, queue, burst, PORT_BURST);
	if (!count)
		return 0;
	worker->packets_wait |= count == PORT_BURST;
	tcp_stack_time(worker->tcp, now_ns);
	for (uint16_t i = 0; i < count; i++) {
		struct packet_view *view = packet_view(burst[i]);

		view->port_index = wp->port->index;
		view->queue = queue;
		view->stage = PACKET_NEW;
	}
	if (worker->l4)
		received_of_any_length(wp, burst, count, now_ns);
	else
		received(wp, burst, count, now_ns);
	return count;
}

static bool
port_prepare_sleep(void *context, uint64_t *wake_at_ns)
{
	struct worker_port *wp = context;

	if (!wp->port->ops->arm)
		return true;
	wp->armed = true;
	return wp->port->ops->arm(wp->port, (uint16_t)wp->worker->index);
}

/* Each question is a system call, after which the CPU has forgotten where the tables' pages are: not in every round of a worker
 * that has packets, once there was nothing. One that sleeps wakes for it. */
static unsigned int
twin_poll(void *context, uint64_t now_ns)
{
	struct worker_port *wp = context;
	unsigned int count;

	if (now_ns < wp->twin_next_ns)
		return 0;
	count = port_from_kernel(wp->port, (uint16_t)wp->worker->index);
	wp->twin_next_ns = count ? 0 : now_ns + TWIN_ASKED_NS;
	return count;
}

static unsigned int
handover_poll(void *context, uint64_t now_ns)
{
	struct worker *worker = context;
	struct worker_shared *shared = worker->shared;
	struct rte_mbuf *burst[PORT_BURST];
	unsigned int received, leaving, left;

	received = handover_receive(shared->received, worker->index, burst, PORT_BURST);
	if (received)
		tcp_stack_time(worker->tcp, now_ns);
	left = services(worker, burst, (uint16_t)received, L4_FROM_OWNER, now_ns);
	for (unsigned int i = 0; i < left; i++)
		packet(worker, burst[i], true);
	leaving = handover_receive(shared->leaving, worker->index, burst, PORT_BURST);
	for (unsigned int i = 0; i < leaving; i++) {
		struct port *port = worker->ports[packet_view(burst[i])->port_index].port;

		if (port)
			net_output_frame(worker->output, port, burst[i]);
		else
			rte_pktmbuf_free(burst[i]);
	}
	return received + leaving;
}

static void
wake_others(struct worker *worker, uint64_t mask)
{
	for (unsigned int i = 0; mask; i++, mask >>= 1)
		if (mask & 1)
			loop_wake(worker->shared->workers[i].loop);
}

/* The last source of a round: time, users, and everything out. */
static unsigned int
stack_poll(void *context, uint64_t now_ns)
{
	struct worker *worker = context;
	unsigned int done;

	tcp_stack_time(worker->tcp, now_ns);
	done = tcp_timers(worker->tcp);
	done += worker->user->run(worker->user_context, now_ns, clock_real_ns(), worker->packets_wait);
	worker->packets_wait = false;
	tcp_flush(worker->tcp);
	if (worker->l4)
		l4_worker_maintain(worker->l4, now_ns);
	done += net_output_flush(worker->output, now_ns);
	if (worker->shared->roles.count > 1)
		wake_others(worker, handover_flush(worker->shared->received, worker->index) |
					    handover_flush(worker->shared->leaving, worker->index));
	return done;
}

static bool
stack_prepare_sleep(void *context, uint64_t *wake_at_ns)
{
	struct worker *worker = context;
	uint64_t times[] = {
		tcp_next_timer_ns(worker->tcp),
		worker->user->next_ns(worker->user_context),
		net_output_next_ns(worker->output),
		worker->l4 ? l4_worker_next_ns(worker->l4) : UINT64_MAX,
	};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		if (times[i] < *wake_at_ns)
			*wake_at_ns = times[i];
	return true;
}

static void
add_stack_source(struct worker *worker)
{
	struct loop_source handover = { .name = "handover", .context = worker, .poll = handover_poll, .fd = -1 };
	struct loop_source stack = {
		.name = "stack", .context = worker, .poll = stack_poll, .prepare_sleep = stack_prepare_sleep, .fd = -1
	};

	if (worker->shared->roles.count > 1)
		loop_source_add(worker->loop, &handover);
	loop_source_add(worker->loop, &stack);
}

void
worker_port_add(struct worker *worker, struct port *port)
{
	struct worker_port *wp = &worker->ports[port->index];
	bool polls = worker->index < port->queues;
	struct loop_source receive = {
		.name = "port",
		.context = wp,
		.poll = port_poll,
		.prepare_sleep = port_prepare_sleep,
		.fd = polls ? port->ops->wait_fd(port, (uint16_t)worker->index) : -1,
	};
	struct loop_source twin = { .name = "twin", .context = wp, .poll = twin_poll, .fd = port_kernel_fd(port) };

	wp->worker = worker;
	wp->port = port;
	wp->unproven = polls && port->ops->wait_proven && !port->ops->wait_proven(port, (uint16_t)worker->index);
	receive.blind = receive.fd < 0 || wp->unproven;
	/* The stack's source stays the last of a round. */
	loop_source_remove(worker->loop, worker);
	if (polls)
		loop_source_add(worker->loop, &receive);
	if (worker->index == 0 && twin.fd >= 0)
		loop_source_add(worker->loop, &twin);
	add_stack_source(worker);
}

void
worker_port_remove(struct worker *worker, const struct port *port)
{
	loop_source_remove(worker->loop, &worker->ports[port->index]);
	/* The mirror has no link of it any more: hops and bursts follow. */
	net_output_flush(worker->output, clock_monotonic_ns());
}

/* ---- what TCP and net ask for ---- */

static void
send_packet(void *context, struct rte_mbuf *m)
{
	net_output_send(((struct worker *)context)->output, m);
}

static bool
route(void *context, const struct ip_address *remote, struct ip_address *local, uint16_t *mtu)
{
	return net_route_source(((struct worker *)context)->shared->mirror, remote, local, mtu);
}

static void
port_used(void *context, uint16_t port_be, bool used)
{
	struct worker_shared *shared = ((struct worker *)context)->shared;

	shared->port_used(shared->port_used_context, port_be, used);
}

static void
frame_to(void *context, unsigned int to, struct rte_mbuf *m)
{
	struct worker *worker = context;

	if (!handover_send(worker->shared->leaving, worker->index, to, m))
		worker->counters[WORKER_HANDOVER_FULL]++;
}

/* ---- packet-level services ---- */

static void
hand_over_l4(void *context, unsigned int owner, struct rte_mbuf *m)
{
	hand_over(context, owner, m);
}

uint64_t
worker_l4_flows(const struct l4_settings *settings, unsigned int workers)
{
	return settings->flows / workers + 1;
}

void
worker_l4_start(struct worker *worker)
{
	if (!worker->l4 && worker->l4_owned && worker->shared_memory.hops) {
		l4_worker_take_over(worker->l4_owned);
		net_output_share_hops(worker->output, worker->shared_memory.hops, worker->shared_memory.lane);
	}
	worker->l4 = worker->l4_owned;
	if (worker->l4)
		l4_worker_go_by_rss(worker->l4, rss_of_all(worker));
}

int
worker_l4_new(struct worker *worker, const struct worker_l4_config *wanted)
{
	struct l4_worker_config config = {
		.index = worker->index,
		.workers = worker->shared->roles.io,
		.targets = wanted->targets,
		.output = worker->output,
		.mirror = worker->shared->mirror,
		.pool = worker->shared->pool,
		.flows = worker_l4_flows(wanted->settings, worker->shared->roles.io),
		.hash_seed = wanted->settings->hash_seed,
		.local_port_first = wanted->local_port_first,
		.local_port_last = wanted->local_port_last,
		.hand_over = hand_over_l4,
		.context = worker,
	};
	struct counter_block block = { "l4", worker->index, l4_verdict_names, NULL, L4_VERDICT_COUNT };

	random_fill(&config.random_seed, sizeof(config.random_seed));
	if (wanted->program && xdp_program_memory(wanted->program, worker->index, &worker->shared_memory)) {
		config.flow_memory = worker->shared_memory.flows;
		config.use_memory = worker->shared_memory.uses;
		config.lane = worker->shared_memory.lane;
		config.start_ns = wanted->start_ns;
	}
	worker->l4_owned = l4_worker_new(&config, clock_monotonic_ns());
	if (!worker->l4_owned)
		return -ENOMEM;
	block.values = l4_worker_counters(worker->l4_owned);
	counter_register(&block);
	return 0;
}

/* ---- life ---- */

static void
register_counters(struct worker *worker)
{
	struct counter_block blocks[] = {
		{ "packet", worker->index, packet_verdict_names, worker->verdicts, PACKET_VERDICT_COUNT },
		{ "worker", worker->index, worker_counter_names, worker->counters, WORKER_COUNTER_COUNT },
		{ "tcp", worker->index, tcp_counter_names, tcp_counters(worker->tcp), tcp_counter_count },
		{ "net", worker->index, net_counter_names, net_output_counters(worker->output), NET_COUNTER_COUNT },
	};

	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
		counter_register(&blocks[i]);
}

static void
unregister_counters(struct worker *worker)
{
	counter_unregister(worker->verdicts);
	counter_unregister(worker->counters);
	if (worker->tcp)
		counter_unregister(tcp_counters(worker->tcp));
	if (worker->output)
		counter_unregister(net_output_counters(worker->output));
	if (worker->l4_owned)
		counter_unregister(l4_worker_counters(worker->l4_owned));
}

int
worker_init(struct worker *worker, struct worker_shared *shared, const struct worker_config *config, char *error,
	    size_t size)
{
	uint64_t now_ns = clock_monotonic_ns();
	bool has_connections = config->index >= shared->roles.stack_first;
	struct loop_config loop = { .index = config->index, .busy = config->busy, .spin_ns = SPIN_NS };
	struct tcp_config tcp = {
		.pool = shared->pool,
		/* Closing connections outlive the sessions and links that worker_connections counts. */
		.connections_max = config->connections_max * 2 + 256,
		.time_wait_max = TIME_WAIT_MAX,
		.receive_buffer = RECEIVE_BUFFER,
		.send_buffer = SEND_BUFFER,
		.congestion = config->tcp_congestion,
		.syn_cookies = config->tcp_syn_cookies,
		.ecn = config->tcp_ecn,
		.cookie_secret = { shared->cookie_secret[0], shared->cookie_secret[1] },
		.large_segments = true,
		.syn_backlog = config->connections_max < 1024 ? 1024 : config->connections_max,
		.port_first = config->local_port_first,
		.port_last = config->local_port_last,
		.port_modulus = (uint16_t)(shared->roles.count - shared->roles.stack_first),
		.port_remainder = has_connections ? (uint16_t)(config->index - shared->roles.stack_first) : 0,
	};
	struct tcp_env env = { .context = worker, .send = send_packet, .route = route, .port_used = port_used };
	const char *reason = "out of memory";

	random_fill(tcp.secret, sizeof(tcp.secret));
	worker->config = *config;
	worker->index = config->index;
	worker->shared = shared;
	worker->loop = loop_new(&loop);
	worker->tcp = tcp_stack_new(&tcp, &env, now_ns, &reason);
	worker->output = net_output_new(shared->mirror, config->index, now_ns);
	if (!worker->loop || !worker->tcp || !worker->output || shared->user_new(worker, now_ns) < 0) {
		snprintf(error, size, "worker %u cannot be set up: %s", config->index,
			 reason ? reason : "out of memory");
		worker_fini(worker);
		return -ENOMEM;
	}
	net_output_handover(worker->output, frame_to, worker);
	add_stack_source(worker);
	register_counters(worker);
	return 0;
}

struct start {
	struct worker *worker;
	pthread_barrier_t ready;
	int result;
};

static int
thread_prepare(struct worker *worker)
{
	const struct worker_config *config = &worker->config;
	char name[16];
	cpu_set_t cpus;
	int result;

	snprintf(name, sizeof(name), "weir-%s-%u", worker->index < worker->shared->roles.io ? "worker" : "proxy",
		 worker->index);
	prctl(PR_SET_NAME, name);
	if (config->cpus) {
		CPU_ZERO(&cpus);
		for (unsigned int cpu = 0; cpu < 64; cpu++)
			if (config->cpus >> cpu & 1)
				CPU_SET(cpu, &cpus);
		if (sched_setaffinity(0, sizeof(cpus), &cpus) < 0)
			log_error(LOG_ALERT, "sched_setaffinity() failed (%d: %s)", errno, strerror(errno));
	}
	if (rte_thread_register() < 0)
		return -rte_errno;
	result = log_thread_attach(LOG_RING_BYTES);
	return result < 0 ? result : privileges_limit_worker(config->user, config->group);
}

static void *
thread_main(void *argument)
{
	struct start *start = argument;
	struct worker *worker = start->worker;

	start->result = thread_prepare(worker);
	worker->running = start->result == 0;
	pthread_barrier_wait(&start->ready);
	if (worker->running)
		loop_run(worker->loop);
	log_thread_detach();
	rte_thread_unregister();
	return NULL;
}

int
worker_start(struct worker *worker)
{
	struct start start = { .worker = worker };
	int result;

	pthread_barrier_init(&start.ready, NULL, 2);
	result = -pthread_create(&worker->thread, NULL, thread_main, &start);
	if (result == 0) {
		pthread_barrier_wait(&start.ready);
		result = start.result;
		if (result < 0)
			pthread_join(worker->thread, NULL);
	}
	pthread_barrier_destroy(&start.ready);
	return result;
}

void
worker_stop(struct worker *worker)
{
	if (!worker->running)
		return;
	loop_stop(worker->loop);
	pthread_join(worker->thread, NULL);
	worker->running = false;
}

void
worker_fini(struct worker *worker)
{
	worker_stop(worker);
	unregister_counters(worker);
	if (worker->user)
		worker->user->free(worker->user_context);
	tcp_stack_free(worker->tcp);
	l4_worker_free(worker->l4_owned);
	net_output_free(worker->output);
	loop_free(worker->loop);
	worker->user = NULL;
	worker->tcp = NULL;
	worker->l4 = worker->l4_owned = NULL;
	worker->output = NULL;
	worker->loop = NULL;
}
