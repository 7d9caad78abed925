/* What a worker does in a round, and what may wake it: the sources of its loop, in the order of worker.h. */
#include "base/clock.h"
#include "packet/segment.h"
#include "weir/worker_internal.h"

/* How long a twin that had nothing is left alone. */
#define TWIN_ASKED_NS (50 * NS_PER_US)

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

static enum l4_arrival
arrival_of(const struct worker *worker, const struct port *port)
{
	return port->features & PORT_FLOW_STABLE ? L4_FROM_STABLE_PORT : L4_FROM_PORT;
}

static void
received(struct worker_port *wp, struct rte_mbuf **burst, uint16_t count, uint64_t now_ns)
{
	struct worker *worker = wp->worker;
	uint16_t left = worker_services(worker, burst, count, arrival_of(worker, wp->port), now_ns);

	tcp_prefetch(worker->tcp, burst, left);
	for (uint16_t i = 0; i < left; i++)
		worker_packet(worker, burst[i], worker->shared->roles.count == 1);
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
	left = worker_services(worker, burst, (uint16_t)received, L4_FROM_OWNER, now_ns);
	tcp_prefetch(worker->tcp, burst, (uint16_t)left);
	for (unsigned int i = 0; i < left; i++)
		worker_packet(worker, burst[i], true);
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

void
worker_round_init(struct worker *worker)
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
	worker_round_init(worker);
	worker_rss_renew(worker);
}

void
worker_port_remove(struct worker *worker, const struct port *port)
{
	loop_source_remove(worker->loop, &worker->ports[port->index]);
	/* The mirror has no link of it any more: hops and bursts follow. */
	net_output_flush(worker->output, clock_monotonic_ns());
}
