/* Whose is a packet that packet-level services have left: this worker's, another's, or the kernel's. */
#include "port/rss.h"
#include "weir/worker_internal.h"

/* Packets of a worker whose queue must be the one that the device's key and table name, before they are believed for good: a
 * device that hashes otherwise passes with n queues one time in n. */
#define RSS_CHECKS 256

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

void
worker_hand_over(struct worker *worker, unsigned int owner, struct rte_mbuf *m)
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

/* A flow may come in on any of the ports. */
static const struct port_rss *
rss_of_ports(const struct worker *worker)
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

void
worker_rss_renew(struct worker *worker)
{
	worker->rss = worker->counters[WORKER_RSS_DISPROVED] ? NULL : rss_of_ports(worker);
	worker->rss_checks = worker->rss && worker->rss->table_size > 1 ? RSS_CHECKS : 0;
}

/* A packet of a client or a server, as it came in. */
static __rte_noinline void
rss_check(struct worker *worker, const struct endpoint *remote, const struct endpoint *local)
{
	worker->rss_checks--;
	if (port_rss_lands(worker->rss, worker->index, remote, local, IPPROTO_TCP))
		return;
	worker->counters[WORKER_RSS_DISPROVED]++;
	worker_rss_renew(worker);
	if (worker->l4)
		l4_worker_go_by_rss(worker->l4, NULL);
}

static void
tcp_packet(struct worker *worker, struct rte_mbuf *m, bool at_owner)
{
	const struct packet_view *view = packet_view(m);
	const struct port *port = worker->ports[view->port_index].port;
	struct endpoint remote = endpoint_of(&view->source, view->source_port_be);
	struct endpoint local = endpoint_of(&view->destination, view->destination_port_be);
	unsigned int owner = worker->index;

	if (!at_owner) {
		if (unlikely(worker->rss_checks))
			rss_check(worker, &remote, &local);
		owner = steering_owner(worker->steering, worker->index, port->features & PORT_FLOW_STABLE, &remote,
				       &local);
	}
	if (owner != worker->index)
		worker_hand_over(worker, owner, m);
	else if (is_for_stack(worker, port, &remote, &local))
		tcp_input(worker->tcp, m);
	else
		to_kernel(worker, m);
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
		owner = steering_owner_of_error(worker->steering, worker->rss, &remote, &local);
	if (owner != worker->index) {
		worker_hand_over(worker, owner, m);
	} else if (tcp_knows(worker->tcp, &local, &remote)) {
		worker->counters[WORKER_ICMP_ERRORS]++;
		tcp_icmp_error(worker->tcp, &quote);
		rte_pktmbuf_free(m);
	} else {
		to_kernel(worker, m);
	}
}

void
worker_packet(struct worker *worker, struct rte_mbuf *m, bool at_owner)
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
uint16_t
worker_services(struct worker *worker, struct rte_mbuf **burst, uint16_t count, enum l4_arrival arrival,
		uint64_t now_ns)
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
