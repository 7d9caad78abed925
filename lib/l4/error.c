/*
 * ICMP errors about flows: the quoted packet says which flow, and the error goes to the end that sent it, in that end's own
 * terms (RFC 5508 sections 4.2 and 4.3).
 */
#include <netinet/in.h>

#include "base/hash.h"
#include "l4/worker.h"

static uint32_t
quote_hash(const struct l4_worker *worker, const struct endpoint *source, const struct endpoint *destination,
	   uint8_t ip_protocol)
{
	return flow_hash(source->ip.halves, destination->ip.halves, source->port_be, destination->port_be, ip_protocol,
			 &worker->hash_key);
}

static void
error_send(struct l4_worker *worker, struct l4_packet *p, const struct ip_address *next)
{
	if (unlikely(worker->observe != NULL))
		l4_decision_sent(&worker->decision, p, NET_HOP_NONE);
	l4_settle(worker, p, L4_ERROR_RELAYED);
	net_output_via(worker->config.output, p->m, next);
}

/* About what the server, or Weir in its place, sent to a client: for the server. */
static enum l4_verdict
relay_to_server(struct l4_worker *worker, struct l4_packet *p, const struct l4_service *service, struct l4_flow *flow,
		uint32_t number)
{
	const struct l4_target *target = &worker->config.targets[number];
	struct endpoint quoted_source = target->server, quoted_destination;
	bool port_of_ours = target->forwarder->properties & L4_NEEDS_LOCAL_PORT;

	/* An error about an error is never sent (RFC 1122 section 3.2.2). */
	if (p->ttl <= 1)
		return l4_settle(worker, p, L4_DROP_TTL);
	if (!(target->forwarder->properties & L4_SEES_ANSWERS)) {
		/* The server sent it under the service's own address: the error is right as it is. */
		uint16_t hop = l4_hop_to_server(worker, number);

		if (hop == NET_HOP_NONE)
			return l4_settle(worker, p, L4_DROP_NO_ROUTE);
		l4_rewrite_ttl(p);
		if (target->forwarder->to_server(p, target, NULL) != L4_FORWARDED)
			return l4_settle(worker, p, L4_DROP_NO_HEADROOM);
		if (unlikely(worker->observe != NULL))
			l4_decision_sent(&worker->decision, p, hop);
		l4_settle(worker, p, L4_ERROR_RELAYED);
		net_hop_send(worker->config.output, hop, p->m);
		return L4_ERROR_RELAYED;
	}
	if (!flow)
		return L4_PASSED;
	if (!quoted_source.port_be)
		quoted_source.port_be = flow->service_port_be;
	quoted_destination.ip = port_of_ours ? target->local : flow->client;
	quoted_destination.port_be = port_of_ours ? flow->local_port_be : flow->client_port_be;
	l4_rewrite_ttl(p);
	if (!l4_icmp_relay(p, NULL, &target->server.ip, &quoted_source, &quoted_destination, 0))
		return l4_settle(worker, p, L4_DROP_NO_FLOW);
	error_send(worker, p, &target->server.ip);
	return L4_ERROR_RELAYED;
}

/* About what Weir forwarded to the server: for the client, who knows the service only. */
static enum l4_verdict
relay_to_client(struct l4_worker *worker, struct l4_packet *p, struct l4_flow *flow)
{
	const struct l4_target *target = &worker->config.targets[flow->target];
	const struct endpoint quoted_source = { flow->client, flow->client_port_be };
	const struct endpoint quoted_destination = { target->vip.ip, flow->service_port_be };
	uint16_t growth = target->forwarder->growth(target, p->flags & L4_PACKET_IPV6);

	if (p->ttl <= 1)
		return l4_settle(worker, p, L4_DROP_TTL);
	l4_rewrite_ttl(p);
	if (!l4_icmp_relay(p, NULL, &flow->client, &quoted_source, &quoted_destination, growth))
		return l4_settle(worker, p, L4_DROP_NO_FLOW);
	error_send(worker, p, &flow->client);
	return L4_ERROR_RELAYED;
}

/* To where the flow is: an error comes in anywhere. */
static bool
hand_over(struct l4_worker *worker, struct l4_packet *p, unsigned int owner)
{
	if (worker->config.workers == 1 || packet_view(p->m)->stage != PACKET_NEW || owner == worker->config.index)
		return false;
	packet_view(p->m)->stage = PACKET_PORTS_FOUND;
	l4_settle(worker, p, L4_HANDED_OVER);
	worker->config.hand_over(worker->config.context, owner, p->m);
	return true;
}

/* Where a packet goes that has no flow: service->maglev is there. */
static uint32_t
stateless_target(const struct l4_worker *worker, const struct l4_service *service, const struct endpoint *client,
		 uint32_t hash)
{
	return service->targets[l4_service_stateless(service, l4_maglev_hash(worker, service, &client->ip, hash))];
}

static enum l4_verdict
about_answer(struct l4_worker *worker, struct l4_packet *p, const struct l4_service *service,
	     const struct endpoint *vip, const struct endpoint *client, uint8_t ip_protocol)
{
	const struct l4_flow_key key = { .client = client->ip,
					 .client_port_be = client->port_be,
					 .service_port_be = vip->port_be,
					 .service_id = service->id,
					 .hash = quote_hash(worker, client, vip, ip_protocol) };
	struct l4_flow *flow;

	if (hand_over(worker, p, l4_owner_of_request(worker, service, client, vip, key.hash)))
		return L4_HANDED_OVER;
	flow = l4_flow_find(worker->flows, &key, worker->now_s);
	if (flow)
		return relay_to_server(worker, p, service, flow, flow->target);
	if (!service->maglev || service->forwarder->properties & L4_SEES_ANSWERS)
		return L4_PASSED;
	return relay_to_server(worker, p, service, NULL, stateless_target(worker, service, client, key.hash));
}

static enum l4_verdict
about_forwarded(struct l4_worker *worker, struct l4_packet *p, const struct endpoint *from,
		const struct endpoint *server, uint8_t ip_protocol)
{
	const struct l4_answer_key key = { .server = *server,
					   .to = from->ip,
					   .to_port_be = from->port_be,
					   .ip_protocol = ip_protocol,
					   .hash = quote_hash(worker, server, from, ip_protocol) };
	struct l4_flow *flow;

	if (hand_over(worker, p, l4_owner_of_answer(worker, from, ip_protocol)))
		return L4_HANDED_OVER;
	flow = l4_answer_find(worker->flows, &key, worker->now_s);
	return flow ? relay_to_client(worker, p, flow) : L4_PASSED;
}

/* ---- about the outer packet of a tunnel: RFC 2003 section 4, RFC 2473 section 8 ---- */

/* Nobody has links of less (as Linux has it, ip_rt_min_pmtu), and all have this much (RFC 8200 section 5). */
#define PATH_MTU_LEAST_V4 552
#define PATH_MTU_LEAST_V6 1280

enum {
	ICMP_UNREACHABLE = 3,
	ICMP_TIME_IS_UP = 11,
	ICMP_NETWORK = 0, /* codes of ICMP_UNREACHABLE */
	ICMP_FRAGMENTATION_NEEDED = 4,
	ICMP_SOURCE_ROUTE = 5,
	ICMP_IN_TRANSIT = 0, /* code of both ..._TIME_IS_UP */
	ICMPV6_UNREACHABLE = 1,
	ICMPV6_TOO_BIG = 2,
	ICMPV6_TIME_IS_UP = 3,
};

/* Sizes that paths have, for routers that do not tell theirs (RFC 1191 section 7.1). */
static const uint16_t plateaus[] = { 8166, 4352, 2002, 1492, 1006, PATH_MTU_LEAST_V4 };

/* 0: the error does not say it, or not truly: what was refused had fitted (RFC 5927 section 7). */
static uint16_t
told_path_mtu(const struct packet_tunnel_quote *quote, bool v6)
{
	uint32_t mtu = quote->outer.mtu, least = v6 ? PATH_MTU_LEAST_V6 : PATH_MTU_LEAST_V4;

	for (uint32_t i = 0; !v6 && mtu == 0 && i < RTE_DIM(plateaus); i++)
		if (plateaus[i] < quote->outer_len)
			mtu = plateaus[i];
	if (mtu == 0 || mtu >= quote->outer_len)
		return 0;
	mtu = RTE_MAX(mtu, least);
	return mtu < quote->outer_len ? (uint16_t)mtu : 0;
}

/* The packet inside, as it came from the client but for its TTL, in the error's mbuf. */
static struct l4_packet
packet_inside(const struct l4_packet *p, const struct packet_tunnel_quote *quote)
{
	return (struct l4_packet){
		.m = p->m,
		.l3 = rte_pktmbuf_mtod_offset(p->m, uint8_t *, quote->inner_offset),
		.l3_len = quote->inner_l4_offset,
		.ip_len = quote->inner_len,
		.source_port_be = quote->inner.source_port_be,
		.destination_port_be = quote->inner.destination_port_be,
		.ip_protocol = quote->inner.ip_protocol,
		.flags = ip_address_is_v4(&quote->inner.source) ? 0 : L4_PACKET_IPV6,
	};
}

/* The client gets an error of ours in its place. */
static enum l4_verdict
replace_error(struct l4_worker *worker, struct l4_packet *p, struct rte_mbuf *error, bool v6)
{
	struct l4_packet sent = { .m = error, .flags = v6 ? L4_PACKET_IPV6 : 0 };

	if (!error)
		return L4_PASSED;
	sent.l3 = rte_pktmbuf_mtod(error, uint8_t *);
	if (unlikely(worker->observe != NULL))
		l4_decision_sent(&worker->decision, &sent, NET_HOP_NONE);
	l4_settle(worker, p, L4_ERROR_RELAYED);
	rte_pktmbuf_free(p->m);
	net_output_send(worker->config.output, error);
	return L4_ERROR_RELAYED;
}

/* RFC 792: a sender makes nothing of an error that quotes less than 8 bytes of its TCP or UDP. */
static bool
may_tell_client(struct l4_worker *worker, const struct packet_tunnel_quote *quote, struct ip_address *source)
{
	uint16_t mtu;

	return quote->inner_len >= quote->inner_l4_offset + 8u && l4_icmp_allowed(worker) &&
	       net_route_source(worker->config.mirror, &quote->inner.source, source, &mtu);
}

static enum l4_verdict
path_too_small(struct l4_worker *worker, struct l4_packet *p, const struct packet_tunnel_quote *quote, uint32_t target)
{
	uint16_t mtu = told_path_mtu(quote, p->flags & L4_PACKET_IPV6), hop;
	struct l4_packet inside = packet_inside(p, quote);
	bool v6 = inside.flags & L4_PACKET_IPV6;
	struct ip_address source;

	if (!mtu)
		return L4_PASSED;
	l4_path_mtu_learn(&worker->path_mtus, target, mtu, worker->now_ns);
	hop = l4_hop_to_server(worker, target);
	if (hop == NET_HOP_NONE || l4_may_be_cut(&inside) || !may_tell_client(worker, quote, &source))
		return L4_PASSED;
	mtu = l4_mtu_to_server(worker, target, hop, v6);
	return replace_error(worker, p, l4_icmp_too_big(worker->config.pool, &inside, &source, mtu), v6);
}

static bool
is_too_small(const struct packet_quote *outer, bool v6)
{
	return v6 ? outer->icmp_type == ICMPV6_TOO_BIG
		  : outer->icmp_type == ICMP_UNREACHABLE && outer->icmp_code == ICMP_FRAGMENTATION_NEEDED;
}

/* A loop within the tunnel is no end of the packet's own life. What is wrong with our headers is nobody else's business. */
static bool
is_unreachable(const struct packet_quote *outer, bool v6)
{
	if (outer->icmp_type == (v6 ? ICMPV6_TIME_IS_UP : ICMP_TIME_IS_UP))
		return outer->icmp_code == ICMP_IN_TRANSIT;
	return v6 ? outer->icmp_type == ICMPV6_UNREACHABLE
		  : outer->icmp_type == ICMP_UNREACHABLE && outer->icmp_code != ICMP_SOURCE_ROUTE;
}

static enum l4_verdict
about_tunnel(struct l4_worker *worker, struct l4_packet *p, const struct packet_tunnel_quote *quote, uint32_t target)
{
	const struct packet_quote *outer = &quote->outer;
	struct l4_packet inside = packet_inside(p, quote);
	bool v6 = p->flags & L4_PACKET_IPV6, network;
	struct ip_address source;

	if (is_too_small(outer, v6))
		return path_too_small(worker, p, quote, target);
	if (!is_unreachable(outer, v6) || !may_tell_client(worker, quote, &source))
		return L4_PASSED;
	network = !v6 && outer->icmp_type == ICMP_UNREACHABLE && outer->icmp_code == ICMP_NETWORK;
	return replace_error(worker, p, l4_icmp_unreachable(worker->config.pool, &inside, &source, network),
			     inside.flags & L4_PACKET_IPV6);
}

/* What Weir itself would have sent to this target, and nothing else (RFC 5927 section 4). */
static bool
is_way_to(const struct l4_target *target, const struct packet_tunnel_quote *quote)
{
	const struct packet_quote *outer = &quote->outer;
	uint32_t properties = target->forwarder->properties;
	bool udp = outer->ip_protocol == IPPROTO_UDP;

	return properties & L4_TUNNELS && ip_address_equal(&outer->destination, &target->server.ip) &&
	       ip_address_equal(&outer->source, &target->local) && udp == !!(properties & L4_TUNNEL_PORT) &&
	       (!udp || outer->destination_port_be == target->gue_port_be);
}

/* L4_PASSED, and nothing has happened, when it is about no packet of a tunnel. */
static enum l4_verdict
tunnel_error(struct l4_worker *worker, struct l4_packet *p)
{
	struct packet_tunnel_quote quote;
	const struct l4_service *service;
	struct endpoint client, vip;
	struct l4_flow_key key;
	struct l4_flow *flow;
	uint32_t target;

	if (!packet_parse_icmp_tunnel(p->m, &quote) || !net_is_local(worker->config.mirror, &quote.outer.source) ||
	    !ip_address_equal(&packet_view(p->m)->destination, &quote.outer.source))
		return L4_PASSED;
	client = (struct endpoint){ quote.inner.source, quote.inner.source_port_be };
	vip = (struct endpoint){ quote.inner.destination, quote.inner.destination_port_be };
	service = l4_service_find(worker->generation, &vip.ip, vip.port_be, quote.inner.ip_protocol);
	if (!service || !(service->forwarder->properties & L4_TUNNELS))
		return L4_PASSED;
	key = (struct l4_flow_key){ .client = client.ip,
				    .client_port_be = client.port_be,
				    .service_port_be = vip.port_be,
				    .service_id = service->id,
				    .hash = quote_hash(worker, &client, &vip, quote.inner.ip_protocol) };
	if (hand_over(worker, p, l4_owner_of_request(worker, service, &client, &vip, key.hash)))
		return L4_HANDED_OVER;
	flow = l4_flow_find(worker->flows, &key, worker->now_s);
	if (!flow && !service->maglev)
		return L4_PASSED;
	target = flow ? flow->target : stateless_target(worker, service, &client, key.hash);
	return is_way_to(&worker->config.targets[target], &quote) ? about_tunnel(worker, p, &quote, target) : L4_PASSED;
}

enum l4_verdict
l4_error_packet(struct l4_worker *worker, struct l4_slot *slot)
{
	struct l4_packet *p = &slot->packet;
	const struct l4_service *service;
	struct endpoint source, destination;
	struct packet_quote quote;
	enum l4_verdict verdict = tunnel_error(worker, p);

	if (verdict != L4_PASSED || !packet_parse_icmp_error(p->m, &quote))
		return verdict;
	source = (struct endpoint){ quote.source, quote.source_port_be };
	destination = (struct endpoint){ quote.destination, quote.destination_port_be };
	service = l4_service_find(worker->generation, &source.ip, source.port_be, quote.ip_protocol);
	if (service)
		return about_answer(worker, p, service, &source, &destination, quote.ip_protocol);
	if (l4_is_server(worker->generation, &destination.ip, destination.port_be, quote.ip_protocol))
		return about_forwarded(worker, p, &source, &destination, quote.ip_protocol);
	return L4_PASSED;
}
