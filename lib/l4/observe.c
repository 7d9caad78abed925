/* What is told of a packet: while it passes, or of one that need not exist. */
#include <netinet/in.h>
#include <rte_tcp.h>

#include "base/hash.h"
#include "l4/worker.h"

static uint32_t
maglev_entry(const struct l4_worker *worker, const struct l4_service *service, const struct ip_address *client,
	     uint32_t hash)
{
	return service && service->maglev ? l4_maglev_hash(worker, service, client, hash) % service->maglev->size
					  : UINT32_MAX;
}

void
l4_decision_start(struct l4_worker *worker, const struct l4_slot *slot)
{
	const struct l4_packet *p = &slot->packet;
	struct l4_decision *d = &worker->decision;
	bool ip = slot->verdict == PACKET_OK;

	*d = (struct l4_decision){
		.time_ns = worker->now_ns,
		.hash = slot->hash,
		.entry = UINT32_MAX,
		.service_id = slot->service ? slot->service->id : 0,
		.port_index = packet_view(p->m)->port_index,
		.length = (uint16_t)p->m->pkt_len,
		.lcore = (uint16_t)worker->config.index,
		.ip_protocol = p->ip_protocol,
		.tcp_flags = p->tcp_flags,
	};
	if (ip) {
		d->source = (struct endpoint){ slot->source, p->source_port_be };
		d->destination = (struct endpoint){ slot->destination, p->destination_port_be };
		d->entry = maglev_entry(worker, slot->service, &slot->source, slot->hash);
	}
}

void
l4_decision_sent(struct l4_decision *d, const struct l4_packet *p, uint16_t hop)
{
	const uint8_t *outer = rte_pktmbuf_mtod(p->m, const uint8_t *);
	struct l4_packet inner = *p;

	d->hop = hop;
	d->sent_length = (uint16_t)p->m->pkt_len;
	d->sent_source.ip = l4_packet_source(p);
	d->sent_destination.ip = l4_packet_destination(p);
	if (p->ip_protocol == IPPROTO_TCP || p->ip_protocol == IPPROTO_UDP) {
		d->sent_source.port_be = p->source_port_be;
		d->sent_destination.port_be = p->destination_port_be;
		if (!(p->flags & L4_PACKET_LATER_FRAGMENT)) {
			memcpy(&d->sent_source.port_be, l4_packet_l4(p), sizeof(uint16_t));
			memcpy(&d->sent_destination.port_be, l4_packet_l4(p) + 2, sizeof(uint16_t));
		}
	}
	if (outer == p->l3)
		return;
	inner.l3 = (uint8_t *)(uintptr_t)outer;
	inner.flags = outer[0] >> 4 == 6 ? L4_PACKET_IPV6 : 0;
	d->outer_source = l4_packet_source(&inner);
	d->outer_destination = l4_packet_destination(&inner);
}

void
l4_worker_observe(struct l4_worker *worker, void (*each)(void *context, const struct l4_decision *decision),
		  void *context)
{
	worker->observe_context = context;
	worker->observe = each;
	if (worker->config.lane)
		__atomic_store_n(&worker->config.lane->observed, each != NULL, __ATOMIC_RELEASE);
}

/* ---- explain ---- */

/* Only what the pipeline reads of a packet: its addresses. */
struct imagined {
	struct l4_packet packet;
	uint8_t ip[40];
};

static void
imagine(struct imagined *i, uint8_t ip_protocol, const struct endpoint *source, const struct endpoint *destination,
	uint8_t tcp_flags)
{
	*i = (struct imagined){ .packet = { .l3 = i->ip,
					    .ip_protocol = ip_protocol,
					    .tcp_flags = ip_protocol == IPPROTO_TCP ? tcp_flags : 0,
					    .source_port_be = source->port_be,
					    .destination_port_be = destination->port_be } };
	if (ip_address_is_v4(&source->ip)) {
		uint32_t from_be = ip_address_v4_be(&source->ip), to_be = ip_address_v4_be(&destination->ip);

		memcpy(i->ip + 12, &from_be, sizeof(from_be));
		memcpy(i->ip + 16, &to_be, sizeof(to_be));
	} else {
		i->packet.flags = L4_PACKET_IPV6;
		memcpy(i->ip + 8, source->ip.bytes, 16);
		memcpy(i->ip + 24, destination->ip.bytes, 16);
	}
}

static void
explain_sent(const struct l4_worker *worker, const struct l4_target *target, const struct l4_flow *flow,
	     struct l4_decision *d)
{
	uint32_t properties = target->forwarder->properties;

	d->sent_source = d->source;
	d->sent_destination = d->destination;
	if (properties & L4_TUNNELS) {
		d->outer_source = target->local;
		d->outer_destination = target->server.ip;
	} else if (!(properties & L4_ON_LINK)) {
		d->sent_destination.ip = target->server.ip;
		if (target->server.port_be)
			d->sent_destination.port_be = target->server.port_be;
		if (properties & L4_NEEDS_LOCAL_PORT)
			d->sent_source = (struct endpoint){ target->local, flow ? flow->local_port_be : 0 };
	}
}

static void
explain_client(struct l4_worker *worker, const struct l4_service *service, const struct l4_packet *p,
	       struct l4_decision *d)
{
	const struct l4_flow_key key = l4_key_of(p, &d->source.ip, service, d->hash);
	struct l4_flow *flow = l4_flow_find(worker->flows, &key, worker->now_s);
	bool opening = p->ip_protocol != IPPROTO_TCP || p->tcp_flags & RTE_TCP_SYN_FLAG;
	int server;

	d->service_id = service->id;
	d->entry = maglev_entry(worker, service, &d->source.ip, d->hash);
	d->verdict = L4_FORWARDED;
	if (flow) {
		d->flow_state = (uint8_t)l4_flow_state(flow);
		d->target = flow->target;
	} else {
		server = l4_choose(worker, service, p, d->hash, false);
		d->verdict = server < 0                                                         ? L4_DROP_NO_SERVER
			     : !opening && service->forwarder->properties & L4_NEEDS_LOCAL_PORT ? L4_DROP_NO_FLOW
												: L4_STARTED;
		d->target = server < 0 ? L4_TARGET_NONE : service->targets[server];
	}
	if (d->target == L4_TARGET_NONE || d->verdict == L4_DROP_NO_FLOW)
		return;
	d->hop = net_hop_find(worker->config.output, &worker->config.targets[d->target].server.ip);
	if (d->hop == NET_HOP_NONE)
		d->verdict = L4_DROP_NO_ROUTE;
	explain_sent(worker, &worker->config.targets[d->target], flow, d);
}

static void
explain_answer(struct l4_worker *worker, struct l4_decision *d)
{
	const struct l4_answer_key key = { .server = d->source,
					   .to = d->destination.ip,
					   .to_port_be = d->destination.port_be,
					   .ip_protocol = d->ip_protocol,
					   .hash = d->hash };
	struct l4_flow *flow = l4_answer_find(worker->flows, &key, worker->now_s);

	if (!flow)
		return;
	d->verdict = L4_ANSWERED;
	d->target = flow->target;
	d->service_id = worker->config.targets[flow->target].service_id;
	d->flow_state = (uint8_t)l4_flow_state(flow);
	d->sent_source = (struct endpoint){ worker->config.targets[flow->target].vip.ip, flow->service_port_be };
	d->sent_destination = (struct endpoint){ flow->client, flow->client_port_be };
	d->hop = net_hop_find(worker->config.output, &flow->client);
}

void
l4_explain(struct l4_worker *worker, uint8_t ip_protocol, const struct endpoint *source,
	   const struct endpoint *destination, uint8_t tcp_flags, struct l4_decision *d)
{
	const struct l4_service *service;
	struct imagined imagined;

	imagine(&imagined, ip_protocol, source, destination, tcp_flags);
	*d = (struct l4_decision){ .time_ns = worker->now_ns,
				   .source = *source,
				   .destination = *destination,
				   .entry = UINT32_MAX,
				   .hash = flow_hash(source->ip.halves, destination->ip.halves, source->port_be,
						     destination->port_be, ip_protocol, &worker->hash_key),
				   .lcore = (uint16_t)worker->config.index,
				   .ip_protocol = ip_protocol,
				   .tcp_flags = imagined.packet.tcp_flags,
				   .verdict = L4_PASSED };
	service = l4_service_find(worker->generation, &destination->ip, destination->port_be, ip_protocol);
	if (service)
		explain_client(worker, service, &imagined.packet, d);
	else if (l4_is_server(worker->generation, &source->ip, source->port_be, ip_protocol))
		explain_answer(worker, d);
}
