#include <netinet/in.h>
#include <rte_tcp.h>

#include "base/clock.h"
#include "base/hash.h"
#include "l4/worker.h"
#include "port/rss.h"

/* ---- ends ---- */

static void
tell_observer(struct l4_worker *worker, enum l4_verdict verdict)
{
	worker->decision.verdict = (uint8_t)verdict;
	worker->observe(worker->observe_context, &worker->decision);
}

static bool
is_drop(enum l4_verdict verdict)
{
	return verdict >= L4_TOO_BIG_SENT;
}

enum l4_verdict
l4_settle(struct l4_worker *worker, struct l4_packet *packet, enum l4_verdict verdict)
{
	worker->counters[verdict]++;
	if (unlikely(worker->observe != NULL))
		tell_observer(worker, verdict);
	if (unlikely(is_drop(verdict)))
		rte_pktmbuf_free(packet->m);
	return verdict;
}

static inline void
packet_send(struct l4_worker *worker, struct l4_packet *packet, uint16_t hop, enum l4_verdict verdict)
{
	if (unlikely(worker->observe != NULL))
		l4_decision_sent(&worker->decision, packet, hop);
	l4_settle(worker, packet, verdict);
	net_hop_send(worker->config.output, hop, packet->m);
}

/* ---- the way out ---- */

uint16_t
l4_hop_to_server(struct l4_worker *worker, uint32_t target)
{
	struct l4_target_use *use = &worker->use[target];
	uint16_t generation = net_hop_generation(worker->config.output);

	if (unlikely(use->hop_generation != generation || use->hop == NET_HOP_NONE)) {
		use->hop = net_hop_find(worker->config.output, &worker->config.targets[target].server.ip);
		use->hop_generation = generation;
	}
	return use->hop;
}

uint16_t
l4_hop_to_client(struct l4_worker *worker, struct l4_flow *flow)
{
	uint16_t generation = net_hop_generation(worker->config.output);

	if (unlikely(flow->hop_generation != generation || flow->hop == NET_HOP_NONE)) {
		flow->hop = net_hop_find(worker->config.output, &flow->client);
		flow->hop_generation = generation;
	}
	return flow->hop;
}

/* Every link of IPv6 carries this much (RFC 8200 section 5), and nobody can be told of less. */
#define MTU_LEAST_V6 1280

uint16_t
l4_mtu_to_server(const struct l4_worker *worker, uint32_t number, uint16_t hop, bool ipv6_client)
{
	const struct l4_target *target = &worker->config.targets[number];
	uint16_t growth = target->forwarder->growth(target, ipv6_client);
	uint16_t link = (uint16_t)(net_hop_mtu(worker->config.output, hop) - growth);
	uint16_t path = l4_path_mtu_find(&worker->path_mtus, number, worker->now_ns);

	if (likely(path == L4_PATH_MTU_NONE))
		return link;
	path = (uint16_t)(path - growth);
	if (ipv6_client && path < MTU_LEAST_V6)
		path = MTU_LEAST_V6;
	return RTE_MIN(link, path);
}

bool
l4_icmp_allowed(struct l4_worker *worker)
{
	if (worker->icmp_second != worker->now_s) {
		worker->icmp_second = worker->now_s;
		worker->icmp_tokens = L4_ICMP_RATE;
	}
	if (!worker->icmp_tokens)
		return false;
	worker->icmp_tokens--;
	return true;
}

/* The answer to the sender, from this host's address towards it. */
static bool
send_error(struct l4_worker *worker, struct rte_mbuf *error)
{
	if (!error)
		return false;
	net_output_send(worker->config.output, error);
	return true;
}

static enum l4_verdict
time_exceeded(struct l4_worker *worker, struct l4_packet *p)
{
	const struct ip_address sender = l4_packet_source(p);
	struct ip_address source;
	uint16_t mtu;

	if (!l4_icmp_allowed(worker) || !net_route_source(worker->config.mirror, &sender, &source, &mtu) ||
	    !send_error(worker, l4_icmp_time_exceeded(worker->config.pool, p, &source)))
		return L4_DROP_TTL;
	return L4_TIME_EXCEEDED_SENT;
}

bool
l4_may_be_cut(const struct l4_packet *p)
{
	return !(p->flags & L4_PACKET_IPV6) && !(p->l3[6] & 0x40);
}

static enum l4_verdict
too_big(struct l4_worker *worker, struct l4_packet *p, uint16_t mtu)
{
	const struct ip_address sender = l4_packet_source(p);
	struct ip_address source;
	uint16_t own_mtu;

	if (!l4_icmp_allowed(worker) || !net_route_source(worker->config.mirror, &sender, &source, &own_mtu) ||
	    !send_error(worker, l4_icmp_too_big(worker->config.pool, p, &source, mtu)))
		return L4_DROP_TOO_BIG;
	return L4_TOO_BIG_SENT;
}

/* ---- the other direction's entry ---- */

struct l4_answer_key
l4_answer_key_of(const struct l4_worker *worker, const struct l4_target *target, const struct l4_flow *flow)
{
	bool port_of_ours = target->forwarder->properties & L4_NEEDS_LOCAL_PORT;
	struct l4_answer_key key = { .server = target->server,
				     .to = port_of_ours ? target->local : flow->client,
				     .to_port_be = port_of_ours ? flow->local_port_be : flow->client_port_be,
				     .ip_protocol = target->ip_protocol };

	if (!key.server.port_be)
		key.server.port_be = flow->service_port_be;
	key.hash = flow_hash(key.server.ip.halves, key.to.halves, key.server.port_be, key.to_port_be, key.ip_protocol,
			     &worker->hash_key);
	return key;
}

struct l4_flow *
l4_twin(struct l4_worker *worker, const struct l4_flow *flow)
{
	const struct l4_target *target = &worker->config.targets[flow->target];
	struct l4_answer_key answer;
	struct l4_flow_key key = { .client = flow->client,
				   .client_port_be = flow->client_port_be,
				   .service_port_be = flow->service_port_be,
				   .service_id = target->service_id };

	if (!(target->forwarder->properties & L4_SEES_ANSWERS))
		return NULL;
	if (!(flow->bits & L4_FLOW_ANSWER)) {
		answer = l4_answer_key_of(worker, target, flow);
		return l4_answer_find(worker->flows, &answer, worker->now_s);
	}
	key.hash = flow_hash(flow->client.halves, target->vip.ip.halves, flow->client_port_be, flow->service_port_be,
			     target->ip_protocol, &worker->hash_key);
	return l4_flow_find(worker->flows, &key, worker->now_s);
}

/* Both entries say the same; the twin is only looked up when there is something to say. */
static inline void
track(struct l4_worker *worker, struct l4_flow *flow, const struct l4_target *target, uint8_t tcp_flags,
      bool from_client)
{
	bool news = l4_flow_state(flow) == L4_FLOW_OPENING ||
		    tcp_flags & (RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG | RTE_TCP_RST_FLAG) ||
		    l4_flow_tells(flow->client_port_be, flow->seen_s, worker->now_s);
	struct l4_flow *twin;

	l4_flow_track(flow, tcp_flags, from_client, worker->now_s);
	if (likely(!news) || !(target->forwarder->properties & L4_SEES_ANSWERS))
		return;
	twin = l4_twin(worker, flow);
	if (twin)
		l4_flow_track(twin, tcp_flags, from_client, worker->now_s);
}

/* ---- in pieces ---- */

static enum l4_verdict
pieces_send(struct l4_worker *worker, struct l4_packet *whole, struct l4_packet *pieces, uint16_t count, uint16_t hop,
	    enum l4_verdict verdict)
{
	if (unlikely(worker->observe != NULL))
		l4_decision_sent(&worker->decision, &pieces[0], hop);
	l4_settle(worker, whole, verdict);
	rte_pktmbuf_free(whole->m);
	for (uint16_t i = 0; i < count; i++)
		net_hop_send(worker->config.output, hop, pieces[i].m);
	return verdict;
}

/* A packet that has been rewritten. */
static enum l4_verdict
cut_and_send(struct l4_worker *worker, struct l4_packet *p, uint16_t hop, enum l4_verdict verdict)
{
	struct l4_packet pieces[L4_PIECES_MAX];
	uint16_t count;
	enum l4_verdict done = l4_cut(worker->config.pool, p, net_hop_mtu(worker->config.output, hop), pieces, &count);

	return done == L4_FORWARDED ? pieces_send(worker, p, pieces, count, hop, verdict) : l4_settle(worker, p, done);
}

/* Each piece goes in a tunnel's packet of its own, so that nobody but the server has to put something together. */
static enum l4_verdict
cut_and_tunnel(struct l4_worker *worker, struct l4_packet *p, const struct l4_target *target, uint16_t hop,
	       uint16_t mtu, enum l4_verdict verdict)
{
	struct l4_packet pieces[L4_PIECES_MAX];
	enum l4_verdict done;
	uint16_t count;

	l4_packet_strip(p);
	done = l4_cut(worker->config.pool, p, mtu, pieces, &count);
	for (uint16_t i = 0; i < count && done == L4_FORWARDED; i++)
		done = target->forwarder->to_server(&pieces[i], target, NULL);
	if (done == L4_FORWARDED)
		return pieces_send(worker, p, pieces, count, hop, verdict);
	l4_pieces_free(pieces, count);
	return l4_settle(worker, p, done);
}

/* ---- client to server ---- */

/* Largest TCP payload that fits the way there, where SYNs are to say so. */
static uint16_t
mss_limit(const struct l4_target *target, const struct l4_packet *p, uint16_t mtu)
{
	return target->mss_max ? target->mss_max : (uint16_t)(mtu - (p->flags & L4_PACKET_IPV6 ? 60 : 40));
}

/* The answers' entry is told that the header has gone out, as the server counts it from now on. */
static void
tell_prefixed(struct l4_worker *worker, const struct l4_flow *flow)
{
	struct l4_flow *twin = flow->bits & L4_FLOW_PREFIXED ? l4_twin(worker, flow) : NULL;

	if (twin)
		twin->bits |= L4_FLOW_PREFIXED;
}

static enum l4_verdict
to_server(struct l4_worker *worker, struct l4_packet *p, uint32_t number, struct l4_flow *flow, enum l4_verdict verdict)
{
	const struct l4_target *target = &worker->config.targets[number];
	struct l4_target_use *use = &worker->use[number];
	uint16_t hop = l4_hop_to_server(worker, number), mtu;
	enum l4_verdict done;
	bool cut;

	if (unlikely(hop == NET_HOP_NONE))
		return l4_settle(worker, p, L4_DROP_NO_ROUTE);
	if (unlikely(p->ttl <= 1))
		return l4_settle(worker, p, time_exceeded(worker, p));
	mtu = l4_mtu_to_server(worker, number, hop, p->flags & L4_PACKET_IPV6);
	cut = p->ip_len > mtu;
	if (unlikely(cut && !l4_may_be_cut(p)))
		return l4_settle(worker, p, too_big(worker, p, mtu));
	if (unlikely(p->tcp_flags & RTE_TCP_SYN_FLAG && target->options & L4_OPTION_MSS_CLAMP))
		l4_rewrite_mss(p, mss_limit(target, p, mtu));
	use->packets++;
	use->bytes += p->ip_len;
	l4_rewrite_ttl(p);
	if (unlikely(cut && target->forwarder->properties & L4_TUNNELS))
		return cut_and_tunnel(worker, p, target, hop, mtu, verdict);
	done = target->forwarder->to_server(p, target, flow);
	if (unlikely(done != L4_FORWARDED))
		return l4_settle(worker, p, done);
	if (unlikely(target->options & L4_OPTION_PROXY_PROTOCOL && flow))
		tell_prefixed(worker, flow);
	if (unlikely(cut))
		return cut_and_send(worker, p, hop, verdict);
	packet_send(worker, p, hop, verdict);
	return verdict;
}

static void
end_flow(struct l4_worker *worker, struct l4_flow *flow)
{
	struct l4_flow *twin = l4_twin(worker, flow);

	if (twin)
		l4_flow_remove(worker->flows, twin);
	l4_flow_remove(worker->flows, flow);
}

static enum l4_verdict
client_packet_of_flow(struct l4_worker *worker, struct l4_slot *slot, struct l4_flow *flow)
{
	struct l4_packet *p = &slot->packet;
	enum l4_verdict verdict = L4_FORWARDED;
	uint32_t target;

	if (unlikely(worker->observe != NULL && flow))
		worker->decision.flow_state = (uint8_t)l4_flow_state(flow);
	if (unlikely(flow && l4_flow_begins_anew(l4_flow_state(flow), p->tcp_flags))) {
		end_flow(worker, flow);
		flow = NULL;
	}
	if (likely(flow != NULL)) {
		target = flow->target;
		track(worker, flow, &worker->config.targets[target], p->tcp_flags, true);
	} else {
		verdict = l4_start(worker, slot, &flow, &target);
		if (unlikely(verdict != L4_STARTED && verdict != L4_STATELESS))
			return l4_settle(worker, p, verdict);
	}
	if (unlikely(worker->observe != NULL))
		worker->decision.target = target;
	return to_server(worker, p, target, flow, verdict);
}

enum l4_verdict
l4_client_packet(struct l4_worker *worker, struct l4_slot *slot)
{
	const struct l4_flow_key key = l4_key_of(&slot->packet, &slot->source, slot->service, slot->hash);

	return client_packet_of_flow(worker, slot, l4_flow_find(worker->flows, &key, worker->now_s));
}

/* ---- server to client ---- */

static enum l4_verdict
to_client(struct l4_worker *worker, struct l4_packet *p, struct l4_flow *flow)
{
	const struct l4_target *target = &worker->config.targets[flow->target];
	uint16_t hop = l4_hop_to_client(worker, flow), mtu;
	enum l4_verdict done;
	bool cut;

	if (unlikely(hop == NET_HOP_NONE))
		return l4_settle(worker, p, L4_DROP_NO_ROUTE);
	if (unlikely(p->ttl <= 1))
		return l4_settle(worker, p, time_exceeded(worker, p));
	mtu = net_hop_mtu(worker->config.output, hop);
	cut = p->ip_len > mtu;
	if (unlikely(cut && !l4_may_be_cut(p)))
		return l4_settle(worker, p, too_big(worker, p, mtu));
	track(worker, flow, target, p->tcp_flags, false);
	if (unlikely(p->tcp_flags & RTE_TCP_SYN_FLAG && target->options & L4_OPTION_MSS_CLAMP)) {
		uint16_t there = net_hop_mtu(worker->config.output, l4_hop_to_server(worker, flow->target));

		/* What the forwarder puts into the client's segments, it sees to itself. */
		l4_rewrite_mss(p, mss_limit(target, p, there));
	}
	l4_rewrite_ttl(p);
	done = target->forwarder->to_client(p, target, flow);
	if (unlikely(done != L4_FORWARDED))
		return l4_settle(worker, p, done);
	if (unlikely(cut))
		return cut_and_send(worker, p, hop, L4_ANSWERED);
	packet_send(worker, p, hop, L4_ANSWERED);
	return L4_ANSWERED;
}

enum l4_verdict
l4_answer_packet(struct l4_worker *worker, struct l4_slot *slot)
{
	const struct l4_answer_key key = l4_answer_key_of_slot(slot);
	struct l4_flow *flow = l4_answer_find(worker->flows, &key, worker->now_s);

	/* The server talks to others than clients, and to this host's own programs. */
	if (!flow)
		return L4_PASSED;
	if (unlikely(worker->observe != NULL)) {
		worker->decision.target = flow->target;
		worker->decision.flow_state = (uint8_t)l4_flow_state(flow);
	}
	return to_client(worker, &slot->packet, flow);
}

/* ---- whose it is ---- */

unsigned int
l4_owner_by_hash(const struct l4_worker *worker, uint32_t hash)
{
	return (unsigned int)(((uint64_t)hash * worker->config.workers) >> 32);
}

static unsigned int
owner_by_client(const struct l4_worker *worker, const struct endpoint *client, uint8_t ip_protocol)
{
	static const uint64_t nobody[2];

	return l4_owner_by_hash(
		worker, flow_hash(client->ip.halves, nobody, client->port_be, 0, ip_protocol, &worker->hash_key));
}

unsigned int
l4_owner_of_request(const struct l4_worker *worker, const struct l4_service *service, const struct endpoint *client,
		    const struct endpoint *vip, uint32_t hash)
{
	const struct port_rss *rss = worker->rss;
	int queue = -1;

	if (l4_owned_by_client(service))
		return owner_by_client(worker, client, service->ip_protocol);
	if (rss)
		queue = port_rss_queue(rss, client, vip, service->ip_protocol);
	/* Queue i is worker i's. */
	return queue >= 0 && queue < (int)worker->config.workers ? (unsigned int)queue : l4_owner_by_hash(worker, hash);
}

unsigned int
l4_owner_of_answer(const struct l4_worker *worker, const struct endpoint *to, uint8_t ip_protocol)
{
	uint16_t port = ntohs(to->port_be);

	if (port >= worker->config.local_port_first && port <= worker->config.local_port_last &&
	    net_is_local(worker->config.mirror, &to->ip))
		return port % worker->config.workers;
	return owner_by_client(worker, to, ip_protocol);
}

static unsigned int
owner_of(const struct l4_worker *worker, const struct l4_slot *slot, bool stable)
{
	const struct l4_packet *p = &slot->packet;
	const struct endpoint client = { slot->source, p->source_port_be };
	const struct endpoint to = { slot->destination, p->destination_port_be };

	if (slot->kind == L4_KIND_ANSWER)
		return l4_owner_of_answer(worker, &to, p->ip_protocol);
	if (stable && !l4_owned_by_client(slot->service))
		return worker->config.index;
	return l4_owner_of_request(worker, slot->service, &client, &to, slot->hash);
}

bool
l4_is_mine(const struct l4_worker *worker, const struct l4_slot *slot)
{
	return owner_of(worker, slot, false) == worker->config.index;
}

static bool
hand_over(struct l4_worker *worker, struct l4_slot *slot, unsigned int owner)
{
	if (owner == worker->config.index)
		return false;
	l4_settle(worker, &slot->packet, L4_HANDED_OVER);
	worker->config.hand_over(worker->config.context, owner, slot->packet.m);
	return true;
}

/* ---- fragments ---- */

static struct l4_fragment_key
fragment_key_of(const struct packet_view *view, const struct l4_packet *p)
{
	return (struct l4_fragment_key){ .source = view->source,
					 .destination = view->destination,
					 .identification = l4_fragment_identification(p),
					 .ip_protocol = view->ip_protocol };
}

/* Fragments meet at one lcore, which knows their ports; from there each goes the way of its flow. */
static unsigned int
fragment_owner(const struct l4_worker *worker, const struct l4_fragment_key *key)
{
	return l4_owner_by_hash(worker,
				flow_hash(key->source.halves, key->destination.halves, (uint16_t)key->identification,
					  (uint16_t)(key->identification >> 16), key->ip_protocol, &worker->hash_key));
}

/* With the ports in its view the fragment is a packet of its flow like any other. */
static void
fragment_goes_on(struct l4_worker *worker, struct rte_mbuf *m, uint16_t source_port_be, uint16_t destination_port_be,
		 struct rte_mbuf **passed, uint16_t *passed_count)
{
	struct packet_view *view = packet_view(m);
	struct l4_slot slot = { 0 };

	view->source_port_be = source_port_be;
	view->destination_port_be = destination_port_be;
	view->stage = PACKET_PORTS_FOUND;
	l4_arrive_parsed(worker, m, &slot);
	l4_dispatch(worker, &slot, L4_FROM_PORT, passed, passed_count);
}

static void
first_fragment(struct l4_worker *worker, const struct l4_fragment_key *key, struct rte_mbuf *m,
	       struct rte_mbuf **passed, uint16_t *passed_count)
{
	const struct packet_view *view = packet_view(m);
	uint16_t ports[2] = { view->source_port_be, view->destination_port_be };
	struct rte_mbuf *waiting[L4_FRAGMENTS_WAITING];
	uint16_t count = l4_fragment_first(worker->fragments, key, ports[0], ports[1], worker->now_ns, waiting);

	fragment_goes_on(worker, m, ports[0], ports[1], passed, passed_count);
	for (uint16_t i = 0; i < count; i++)
		fragment_goes_on(worker, waiting[i], ports[0], ports[1], passed, passed_count);
}

static void
fragment_packet(struct l4_worker *worker, struct l4_slot *slot, struct rte_mbuf **passed, uint16_t *passed_count)
{
	struct l4_packet *p = &slot->packet;
	struct packet_view *view = packet_view(p->m);
	struct l4_fragment_key key = fragment_key_of(view, p);
	uint16_t source_port_be, destination_port_be;

	if (hand_over(worker, slot, fragment_owner(worker, &key)))
		return;
	if (!(view->flags & PACKET_LATER_FRAGMENT)) {
		first_fragment(worker, &key, p->m, passed, passed_count);
		return;
	}
	switch (l4_fragment_later(worker->fragments, &key, p->m, worker->now_ns, &source_port_be,
				  &destination_port_be)) {
	case L4_FRAGMENT_KNOWN:
		fragment_goes_on(worker, p->m, source_port_be, destination_port_be, passed, passed_count);
		break;
	case L4_FRAGMENT_WAITS:
		l4_settle(worker, p, L4_FRAGMENT_WAITING);
		break;
	case L4_FRAGMENT_FULL:
		l4_settle(worker, p, L4_DROP_FRAGMENTS_FULL);
		break;
	}
}

/* ---- any packet ---- */

static void
pass(struct l4_worker *worker, struct l4_slot *slot, struct rte_mbuf **passed, uint16_t *passed_count)
{
	/* Fragments that waited may be more than the burst has room for. */
	if (*passed_count == worker->passed_max) {
		l4_settle(worker, &slot->packet, L4_DROP_FRAGMENTS_FULL);
		return;
	}
	l4_settle(worker, &slot->packet, L4_PASSED);
	passed[(*passed_count)++] = slot->packet.m;
}

void
l4_dispatch(struct l4_worker *worker, struct l4_slot *slot, enum l4_arrival arrival, struct rte_mbuf **passed,
	    uint16_t *passed_count)
{
	enum l4_verdict verdict = L4_PASSED;

	if (unlikely(worker->observe != NULL))
		l4_decision_start(worker, slot);
	switch ((enum l4_kind)slot->kind) {
	case L4_KIND_CLIENT:
	case L4_KIND_ANSWER:
		if (arrival != L4_FROM_OWNER && worker->config.workers > 1 &&
		    hand_over(worker, slot, owner_of(worker, slot, arrival == L4_FROM_STABLE_PORT)))
			return;
		verdict =
			slot->kind == L4_KIND_CLIENT ? l4_client_packet(worker, slot) : l4_answer_packet(worker, slot);
		break;
	case L4_KIND_ERROR:
		verdict = l4_error_packet(worker, slot);
		break;
	case L4_KIND_FRAGMENT:
		fragment_packet(worker, slot, passed, passed_count);
		return;
	case L4_KIND_BAD:
		l4_settle(worker, &slot->packet, L4_DROP_PARSE);
		return;
	case L4_KIND_PASSED:
		break;
	}
	if (verdict == L4_PASSED)
		pass(worker, slot, passed, passed_count);
}
