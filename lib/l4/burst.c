/*
 * The burst in stages, and the way of what nearly every packet is: of a flow that is known, goes on as it was, and whose
 * way out is known, too. Whatever else a packet may be, and in every doubt, it goes the way of pipeline.c, where it would
 * have the same fate; only that is written to be read, this to be fast.
 */
#include <rte_tcp.h>

#include "l4/quick_inline.h"
#include "l4/rewrite_inline.h"
#include "l4/worker.h"
#include "net/hop.h"

#define BURST 64
/* No forwarder adds more: IPv6, UDP and what is behind it, or a PROXY protocol header and an option. */
#define GROWTH_MAX 128
/* A smaller table is in the second-level cache, and what has spilled from a bucket is not far. */
#define FAR_BUCKETS 16384

/* What does not change while a burst is under way, close at hand. */
struct burst {
	struct l4_worker *worker;
	struct l4_flows *flows;
	const struct l4_target *targets;
	struct l4_target_use *use;
	struct net_output *output;
	uint16_t now_s, hop_generation;
	uint16_t path_mtu_least; /* of all targets; which of them has it is for pipeline.c */
};

/*
 * True when a packet with these flags changes nothing but the time of the flow's last one (l4_flow_track()), and its other
 * entry need not be told.
 */
static __rte_always_inline bool
goes_on(const struct burst *b, const struct l4_flow *flow, uint8_t tcp_flags)
{
	const unsigned int news = RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG | RTE_TCP_RST_FLAG;

	return !(tcp_flags & news) && l4_flow_state(flow) != L4_FLOW_OPENING &&
	       (likely(flow->seen_s == b->now_s) || !l4_flow_tells(flow->client_port_be, flow->seen_s, b->now_s));
}

static __rte_always_inline void
touch(const struct burst *b, struct l4_flow *flow)
{
	/* A cache line that was written to has to go back to memory. */
	if (unlikely(flow->seen_s != b->now_s))
		flow->seen_s = b->now_s;
}

/* The headers are rewritten: on its way, or dropped. */
static __rte_always_inline void
leave(const struct burst *b, struct l4_packet *p, const struct hop *hop, enum l4_verdict done, enum l4_verdict verdict)
{
	if (unlikely(done != L4_FORWARDED)) {
		l4_settle(b->worker, p, done);
		return;
	}
	b->worker->counters[verdict]++;
	hop_send_at(b->output, hop, p->m);
}

/* False, and nothing has happened, when it is for pipeline.c. */
static __rte_always_inline bool
client_packet(const struct burst *b, struct l4_slot *slot)
{
	const struct l4_flow_key key = l4_key_of(&slot->packet, &slot->source, slot->service, slot->hash);
	struct l4_flow *flow = l4_flow_look_up(b->flows, b->targets, &key, b->now_s);
	struct l4_packet *p = &slot->packet;
	const struct l4_target *target;
	struct l4_target_use *use;
	uint16_t mtu, hop;

	if (unlikely(!flow || !goes_on(b, flow, p->tcp_flags)))
		return false;
	target = &b->targets[flow->target];
	use = &b->use[flow->target];
	hop = use->hop;
	if (unlikely(use->hop_generation != b->hop_generation || hop == NET_HOP_NONE || p->ttl <= 1))
		return false;
	/* The other entry may have to be told of the header. */
	if (unlikely(target->options & L4_OPTION_PROXY_PROTOCOL))
		return false;
	mtu = RTE_MIN(hop_mtu(b->output, hop), b->path_mtu_least);
	if (unlikely(p->ip_len + GROWTH_MAX > mtu) &&
	    p->ip_len + target->forwarder->growth(target, p->flags & L4_PACKET_IPV6) > mtu)
		return false;
	touch(b, flow);
	use->packets++;
	use->bytes += p->ip_len;
	l4_ttl_lower(p);
	leave(b, p, hop_at(b->output, hop), target->forwarder->to_server(p, target, flow), L4_FORWARDED);
	return true;
}

/* Where the packet stays as it is, its own call would be most of the work. */
static __rte_always_inline enum l4_verdict
to_server(struct l4_packet *p, const struct l4_target *target, struct l4_flow *flow)
{
	if (target->forwarder->properties & L4_ON_LINK) {
		l4_strip(p);
		return L4_FORWARDED;
	}
	return target->forwarder->to_server(p, target, flow);
}

/* Once a second and flow. False when it is over, or its other entry wants to hear. */
static __rte_noinline bool
touch_anew(const struct burst *b, struct l4_flow *flow)
{
	if (l4_flow_tells(flow->client_port_be, flow->seen_s, b->now_s) ||
	    l4_flow_timed_out(b->targets, flow, b->now_s))
		return false;
	flow->seen_s = b->now_s;
	return true;
}

/* client_packet() for L4_KIND_QUICK. A hop that is none has no MTU. */
static __rte_always_inline bool
quick_packet(const struct burst *b, struct l4_slot *slot)
{
	struct l4_flow *flow = l4_quick_flow(slot);
	struct l4_packet *p = &slot->packet;
	const struct l4_target *target;
	struct l4_target_use *use;
	const struct hop *hop;

	if (unlikely(!flow))
		return false;
	target = &b->targets[flow->target];
	use = &b->use[flow->target];
	hop = hop_at(b->output, use->hop);
	if (unlikely(!l4_quick_is_of(flow, target, slot->service) || use->hop_generation != b->hop_generation ||
		     p->ttl <= 1 || target->options & L4_OPTION_PROXY_PROTOCOL ||
		     p->ip_len + GROWTH_MAX > RTE_MIN(hop->mtu, b->path_mtu_least)))
		return false;
	if (unlikely(flow->seen_s != b->now_s) && !touch_anew(b, flow))
		return false;
	use->packets++;
	use->bytes += p->ip_len;
	l4_ttl_lower_v4(p);
	leave(b, p, hop, to_server(p, target, flow), L4_FORWARDED);
	return true;
}

static __rte_always_inline bool
answer_packet(const struct burst *b, struct l4_slot *slot)
{
	const struct l4_answer_key key = l4_answer_key_of_slot(slot);
	struct l4_flow *flow = l4_answer_look_up(b->flows, b->targets, &key, b->now_s);
	struct l4_packet *p = &slot->packet;
	const struct l4_target *target;
	uint16_t hop;

	if (unlikely(!flow || !goes_on(b, flow, p->tcp_flags)))
		return false;
	target = &b->targets[flow->target];
	hop = flow->hop;
	if (unlikely(flow->hop_generation != b->hop_generation || hop == NET_HOP_NONE || p->ttl <= 1 ||
		     p->ip_len > hop_mtu(b->output, hop)))
		return false;
	touch(b, flow);
	l4_ttl_lower(p);
	leave(b, p, hop_at(b->output, hop), target->forwarder->to_client(p, target, flow), L4_ANSWERED);
	return true;
}

/* ---- the stages ---- */

/* Every packet is this lcore's, and nobody wants to hear of it. */
static bool
is_plain(const struct l4_worker *worker, enum l4_arrival arrival)
{
	return !worker->observe && (worker->config.workers == 1 || arrival == L4_FROM_OWNER);
}

static __rte_always_inline bool
is_opening(const struct l4_slot *slot)
{
	return slot->kind == L4_KIND_CLIENT &&
	       (slot->packet.tcp_flags & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG)) == RTE_TCP_SYN_FLAG;
}

/* Where a flow is that is not in its first bucket is known once that has arrived. A new one's answers are far away, too. */
static void
look_ahead(const struct l4_worker *worker, struct l4_slot *slots, uint16_t count)
{
	const struct l4_flows *flows = worker->flows;
	bool far = flows->bucket_count > FAR_BUCKETS;
	struct random ahead = worker->random;

	for (struct l4_slot *slot = slots; slot < slots + count; slot++) {
		if (likely(slot->kind == L4_KIND_QUICK))
			l4_quick_look(slot, flows);
		else if (!far)
			continue;
		else if (unlikely(is_opening(slot)))
			l4_start_prefetch(worker, slot, &ahead);
		else if (likely(slot->kind == L4_KIND_CLIENT || slot->kind == L4_KIND_ANSWER))
			l4_flow_prefetch_spilled(flows, slot->hash);
	}
}

/* The short way; false when the packet needs the other one. */
static __rte_always_inline bool
forward(const struct burst *b, struct l4_slot *slot)
{
	if (slot->kind == L4_KIND_CLIENT)
		return client_packet(b, slot);
	return slot->kind == L4_KIND_ANSWER && answer_packet(b, slot);
}

/* What l4_dispatch() leaves alone goes to `passed`, which is only written behind what has been read from it. */
static uint16_t
forward_all(struct l4_worker *worker, struct l4_slot *slots, uint16_t count, enum l4_arrival arrival, bool plain,
	    struct rte_mbuf **passed)
{
	struct burst b = { .worker = worker,
			   .flows = worker->flows,
			   .targets = worker->config.targets,
			   .use = worker->use,
			   .output = worker->config.output,
			   .now_s = worker->now_s,
			   .hop_generation = hop_generation(worker->config.output),
			   .path_mtu_least = worker->path_mtus.least };
	uint16_t passed_count = 0;

	for (struct l4_slot *slot = slots; slot < slots + count; slot++) {
		if (likely(slot->kind == L4_KIND_QUICK)) {
			if (likely(quick_packet(&b, slot)))
				continue;
			l4_quick_give_up(slot);
		}
		if (plain && forward(&b, slot))
			continue;
		l4_dispatch(worker, slot, arrival, passed, &passed_count);
		b.hop_generation = hop_generation(worker->config.output);
		b.path_mtu_least = worker->path_mtus.least;
	}
	return passed_count;
}

uint16_t
l4_burst(struct l4_worker *worker, struct rte_mbuf **m, uint16_t count, enum l4_arrival arrival, uint64_t now_ns,
	 uint64_t *verdicts)
{
	bool plain = is_plain(worker, arrival);
	struct l4_slot slots[BURST];

	assert(count <= BURST);
	l4_worker_time(worker, now_ns);
	worker->passed_max = count;
	l4_arrive_burst(worker, m, count, slots, plain, verdicts);
	look_ahead(worker, slots, count);
	return forward_all(worker, slots, count, arrival, plain, m);
}
