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
			 worker->config.hash_seed);
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

/* Where the flow is, as pipeline.c's owner_of() has it; without RSS to go by, as an error comes in anywhere. */
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
	uint32_t hash = (service->forwarder->properties & (L4_SEES_ANSWERS | L4_NEEDS_LOCAL_PORT)) == L4_SEES_ANSWERS
				? l4_client_hash(worker, &client->ip, client->port_be, ip_protocol)
				: key.hash;

	if (hand_over(worker, p, l4_owner_by_hash(worker, hash)))
		return L4_HANDED_OVER;
	flow = l4_flow_find(worker->flows, &key, worker->now_s);
	if (flow)
		return relay_to_server(worker, p, service, flow, flow->target);
	if (!service->maglev || service->forwarder->properties & L4_SEES_ANSWERS)
		return L4_PASSED;
	hash = service->by_address
		       ? flow_hash(client->ip.halves, (const uint64_t[2]){ 0 }, 0, 0, 0, worker->config.hash_seed)
		       : key.hash;
	return relay_to_server(worker, p, service, NULL, service->targets[l4_service_stateless(service, hash)]);
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
	uint16_t port = ntohs(from->port_be);
	bool port_of_ours = net_is_local(worker->config.mirror, &from->ip) && port >= worker->config.local_port_first &&
			    port <= worker->config.local_port_last;
	unsigned int owner =
		port_of_ours ? port % worker->config.workers
			     : l4_owner_by_hash(worker, l4_client_hash(worker, &from->ip, from->port_be, ip_protocol));
	struct l4_flow *flow;

	if (hand_over(worker, p, owner))
		return L4_HANDED_OVER;
	flow = l4_answer_find(worker->flows, &key, worker->now_s);
	return flow ? relay_to_client(worker, p, flow) : L4_PASSED;
}

enum l4_verdict
l4_error_packet(struct l4_worker *worker, struct l4_slot *slot)
{
	struct l4_packet *p = &slot->packet;
	const struct l4_service *service;
	struct endpoint source, destination;
	struct packet_quote quote;

	if (!packet_parse_icmp_error(p->m, &quote))
		return L4_PASSED;
	source = (struct endpoint){ quote.source, quote.source_port_be };
	destination = (struct endpoint){ quote.destination, quote.destination_port_be };
	service = l4_service_find(worker->generation, &source.ip, source.port_be, quote.ip_protocol);
	if (service)
		return about_answer(worker, p, service, &source, &destination, quote.ip_protocol);
	if (l4_is_server(worker->generation, &destination.ip, destination.port_be, quote.ip_protocol))
		return about_forwarded(worker, p, &source, &destination, quote.ip_protocol);
	return L4_PASSED;
}
