/* The first packet of a flow. */
#include <netinet/in.h>
#include <rte_tcp.h>

#include "base/hash.h"
#include "l4/worker.h"

/* Local ports that are tried before full_nat gives up: with nine of ten in use, one flow in thirty does. */
#define LOCAL_PORT_TRIES 32
#define ADDRESS_TEXT_MAX 46

uint32_t
l4_maglev_hash(const struct l4_worker *worker, const struct l4_service *service, const struct ip_address *client,
	       uint32_t hash)
{
	static const uint64_t nobody[2];

	return service->by_address ? flow_hash(client->halves, nobody, 0, 0, 0, &worker->hash_key) : hash;
}

/* As the method sees it elsewhere: the text of the address for `hash`, its bytes for ip_hash. */
static struct bytes
key_of(const struct l4_service *service, const struct ip_address *client, char text[ADDRESS_TEXT_MAX])
{
	if (service->method->properties & BALANCE_NEEDS_ADDRESS)
		return upstream_key_of_address(client);
	if (service->method->properties & BALANCE_NEEDS_KEY)
		return bytes_of(text, ip_address_format(client, text, ADDRESS_TEXT_MAX));
	return bytes_of(NULL, 0);
}

static int
choose_by_method(struct l4_worker *worker, const struct l4_service *service, const struct ip_address *client)
{
	struct balance_peer *peers = worker->services[service->id].peers;
	char text[ADDRESS_TEXT_MAX];
	struct bytes key = key_of(service, client, text);
	const struct balance_request request = { .key = key.data,
						 .key_len = key.len,
						 .random = random_next(&worker->random) };

	if (!peers && !(service->method->properties & BALANCE_PER_PACKET))
		return -1;
	for (uint32_t i = 0; peers && i < service->server_count; i++)
		peers[i].active = worker->use[service->targets[i]].flows;
	return service->method->pick(service->table, service->group->method_options, peers, service->server_count,
				     service->usable, &request);
}

int
l4_choose(struct l4_worker *worker, const struct l4_service *service, const struct l4_packet *p, uint32_t hash,
	  bool commit)
{
	int named = unlikely(service->quic != NULL) ? l4_quic_server(service->quic, p) : -1;
	const struct ip_address client = l4_packet_source(p);

	if (named >= 0)
		return named;
	if (!service->maglev)
		return -1;
	if (service->method && commit)
		return choose_by_method(worker, service, &client);
	return (int)l4_service_stateless(service, l4_maglev_hash(worker, service, &client, hash));
}

/* A token bucket per service: so many new TCP flows per second get an entry. */
static bool
syn_allowed(struct l4_worker *worker, const struct l4_service *service)
{
	struct l4_service_use *use = &worker->services[service->id];

	if (!service->syn_rate)
		return true;
	if (use->syn_second != worker->now_s) {
		use->syn_second = worker->now_s;
		use->syn_tokens = service->syn_rate;
	}
	if (!use->syn_tokens)
		return false;
	use->syn_tokens--;
	return true;
}

/* Any port of this lcore; 0 when it has none. */
static inline uint16_t
local_port_draw(const struct l4_worker *worker, struct random *random)
{
	uint32_t workers = worker->config.workers, index = worker->config.index;
	uint32_t first = worker->config.local_port_first, last = worker->config.local_port_last;
	uint32_t lowest = first + (index + workers - first % workers) % workers;
	uint32_t count = lowest > last ? 0 : (last - lowest) / workers + 1;
	uint32_t nth = (uint32_t)((random_next(random) >> 32) * count >> 32);

	return count ? htons((uint16_t)(lowest + nth * workers)) : 0;
}

/* One draw of the worker's per flow, however many tries it takes: l4_start_prefetch() draws ahead. */
static inline struct random
local_port_tries(struct random *random)
{
	return (struct random){ .state = random_next(random) | 1 };
}

/* A port of this lcore that no flow to the same server has. False: none was found. */
static bool
local_port_find(struct l4_worker *worker, const struct l4_target *target, struct l4_flow *model,
		struct l4_answer_key *answer)
{
	struct random tries = local_port_tries(&worker->random);

	for (unsigned int i = 0; i < LOCAL_PORT_TRIES; i++) {
		model->local_port_be = local_port_draw(worker, &tries);
		if (!model->local_port_be)
			return false;
		*answer = l4_answer_key_of(worker, target, model);
		if (!l4_answer_find(worker->flows, answer, worker->now_s))
			return true;
	}
	return false;
}

/* Both entries, or none. */
static enum l4_verdict
insert_pair(struct l4_worker *worker, const struct l4_target *target, uint32_t hash, struct l4_flow *model,
	    struct l4_flow **flow)
{
	struct l4_answer_key answer;
	struct l4_flow *back;

	if (target->forwarder->properties & L4_NEEDS_LOCAL_PORT) {
		if (!local_port_find(worker, target, model, &answer))
			return L4_DROP_NO_LOCAL_PORT;
	} else {
		answer = l4_answer_key_of(worker, target, model);
		/* The same client port at the same server through another service: its answers could not be told apart. */
		if (l4_answer_find(worker->flows, &answer, worker->now_s))
			return L4_DROP_FLOWS_FULL;
	}
	model->bits |= L4_FLOW_ANSWER;
	back = l4_flow_insert(worker->flows, answer.hash, model, worker->now_s);
	model->bits &= (uint8_t)~L4_FLOW_ANSWER;
	if (!back)
		return L4_DROP_FLOWS_FULL;
	*flow = l4_flow_insert(worker->flows, hash, model, worker->now_s);
	if (*flow)
		return L4_STARTED;
	l4_flow_remove(worker->flows, back);
	return L4_DROP_FLOWS_FULL;
}

static enum l4_verdict
insert(struct l4_worker *worker, const struct l4_slot *slot, uint32_t number, struct l4_flow **flow)
{
	const struct l4_target *target = &worker->config.targets[number];
	const struct l4_packet *p = &slot->packet;
	struct l4_flow model = { .client = l4_packet_source(p),
				 .client_port_be = p->source_port_be,
				 .service_port_be = p->destination_port_be,
				 .target = number,
				 .seen_s = worker->now_s };

	model.bits = l4_flow_first_state(p->ip_protocol == IPPROTO_TCP, p->tcp_flags);
	if (target->forwarder->properties & L4_SEES_ANSWERS)
		return insert_pair(worker, target, slot->hash, &model, flow);
	*flow = l4_flow_insert(worker->flows, slot->hash, &model, worker->now_s);
	return *flow ? L4_STARTED : L4_STATELESS;
}

static bool
lacks_source(const struct l4_worker *worker, uint32_t number)
{
	return l4_target_lacks_source(&worker->config.targets[number]);
}

enum l4_verdict
l4_start(struct l4_worker *worker, const struct l4_slot *slot, struct l4_flow **flow, uint32_t *target)
{
	const struct l4_service *service = slot->service;
	const struct l4_packet *p = &slot->packet;
	uint32_t properties = service->forwarder->properties;
	bool tcp = p->ip_protocol == IPPROTO_TCP, opening = tcp && p->tcp_flags & RTE_TCP_SYN_FLAG;
	/* The middle of a connection that is not known (any more) goes where it went without a flow. */
	bool known_elsewhere = tcp && !opening;
	int server;

	*flow = NULL;
	/* Its local port is forgotten: nobody can go on with it. */
	if (known_elsewhere && properties & L4_NEEDS_LOCAL_PORT)
		return L4_DROP_NO_FLOW;
	if (opening && !syn_allowed(worker, service)) {
		if (properties & L4_SEES_ANSWERS)
			return L4_DROP_SYN_RATE;
		server = l4_choose(worker, service, p, slot->hash, false);
		if (server < 0)
			return L4_DROP_NO_SERVER;
		*target = service->targets[server];
		return lacks_source(worker, *target) ? L4_DROP_NO_ROUTE : L4_STATELESS;
	}
	server = l4_choose(worker, service, p, slot->hash, !known_elsewhere);
	if (server < 0)
		return L4_DROP_NO_SERVER;
	*target = service->targets[server];
	if (lacks_source(worker, *target))
		return L4_DROP_NO_ROUTE;
	return insert(worker, slot, *target, flow);
}

void
l4_start_prefetch(const struct l4_worker *worker, const struct l4_slot *slot, struct random *ahead)
{
	const struct l4_service *service = slot->service;
	const struct l4_packet *p = &slot->packet;
	struct l4_flow model = { .client = slot->source,
				 .client_port_be = p->source_port_be,
				 .service_port_be = p->destination_port_be };
	const struct l4_target *target;
	struct random tries;
	uint32_t server;

	if (!(service->forwarder->properties & L4_SEES_ANSWERS) || !service->maglev || service->method)
		return;
	server = l4_service_stateless(service, l4_maglev_hash(worker, service, &slot->source, slot->hash));
	target = &worker->config.targets[service->targets[server]];
	if (service->forwarder->properties & L4_NEEDS_LOCAL_PORT) {
		tries = local_port_tries(ahead);
		model.local_port_be = local_port_draw(worker, &tries);
	}
	l4_flow_prefetch(worker->flows, l4_answer_key_of(worker, target, &model).hash);
}
