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
	const struct l4_target *targets;
	struct l4_target_use *use;
	struct net_output *output;
	const struct hop *hops; /* by number */
	uint16_t now_s, hop_generation;
	uint32_t path_mtu_least; /* of all targets; which of them has it is for pipeline.c */
};

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

/* A cache line that was written to has to go back to memory. */
static __rte_always_inline bool
touch(const struct burst *b, struct l4_flow *flow)
{
	return likely(flow->seen_s == b->now_s) || touch_anew(b, flow);
}

static __rte_always_inline bool
is_spent(const struct l4_packet *p, bool v6)
{
	return p->l3[v6 ? L4_IPV6_TTL_AT : L4_IPV4_TTL_AT] <= 1;
}

static __rte_always_inline void
ttl_lower(struct l4_packet *p, bool v6)
{
	if (v6)
		p->l3[L4_IPV6_TTL_AT]--;
	else
		l4_ttl_lower_v4(p);
}

/* The headers are rewritten: on its way, or dropped. */
static __rte_always_inline void
leave(struct burst *b, struct l4_packet *p, const struct hop *hop, enum l4_verdict done, enum l4_verdict verdict)
{
	if (unlikely(done != L4_FORWARDED)) {
		l4_settle(b->worker, p, done);
		return;
	}
	b->worker->counters[verdict]++;
	hop_send_from(b->output, hop, p->m, p->l3, p->ip_len);
}

/* Of a target with options: it may grow, by a forwarder that sees to the mbuf itself. */
static __rte_noinline void
rewrite_and_leave(struct burst *b, struct l4_slot *slot, const struct hop *hop, l4_forward_function *rewrite,
		  enum l4_verdict verdict)
{
	struct l4_packet *p = &slot->packet;
	enum l4_verdict done;

	*p = l4_plain(p, p->flags & L4_PACKET_IPV6);
	done = rewrite(p, &b->targets[slot->flow->target], slot->flow);

	if (done == L4_FORWARDED) {
		b->worker->counters[verdict]++;
		hop_send_at(b->output, hop, p->m);
	} else {
		l4_settle(b->worker, p, done);
	}
}

/* A hop that is none has no MTU. What forwarders add is only asked for when it may matter. */
static __rte_always_inline bool
fits(const struct burst *b, const struct l4_packet *p, const struct l4_target *target, const struct hop *hop, bool v6)
{
	uint32_t len = p->ip_len + GROWTH_MAX;

	if (likely(len <= hop->mtu && len <= b->path_mtu_least))
		return true;
	len = p->ip_len + target->forwarder->growth(target, v6);
	return len <= hop->mtu && len <= b->path_mtu_least;
}

#define TELLS_ORIGIN (L4_OPTION_TOA | L4_OPTION_PROXY_PROTOCOL)

/* Where the packet stays as it is, its own call would be most of the work. */
static __rte_always_inline enum l4_verdict
to_server(struct l4_packet *p, const struct l4_target *target, struct l4_flow *flow, bool v6)
{
	if (target->forwarder->properties & L4_ON_LINK) {
		l4_strip_plain(p, v6);
		return L4_FORWARDED;
	}
	return target->forwarder->plain_to_server[v6](p, target, flow);
}

/* False, and nothing has happened, when it is for pipeline.c. */
static __rte_always_inline bool
client_packet(struct burst *b, struct l4_slot *slot, bool v6)
{
	struct l4_flow *flow = slot->flow;
	struct l4_packet *p = &slot->packet;
	const struct l4_target *target = &b->targets[flow->target];
	struct l4_target_use *use = &b->use[flow->target];
	const struct hop *hop = &b->hops[use->hop];

	/* Of the PROXY protocol's header the other entry may have to be told. */
	if (unlikely(!l4_quick_is_there(slot, L4_QUICK_CLIENT) || !l4_quick_is_of_client(slot, target, v6) ||
		     use->hop_generation != b->hop_generation || is_spent(p, v6) ||
		     target->options & L4_OPTION_PROXY_PROTOCOL || !fits(b, p, target, hop, v6) || !touch(b, flow)))
		return false;
	use->packets++;
	use->bytes += p->ip_len;
	ttl_lower(p, v6);
	if (unlikely(target->options & TELLS_ORIGIN))
		rewrite_and_leave(b, slot, hop, target->forwarder->to_server, L4_FORWARDED);
	else
		leave(b, p, hop, to_server(p, target, flow, v6), L4_FORWARDED);
	return true;
}

static __rte_always_inline bool
server_packet(struct burst *b, struct l4_slot *slot, enum l4_quick what, bool v6)
{
	struct l4_flow *flow = slot->flow;
	struct l4_packet *p = &slot->packet;
	const struct l4_target *target = &b->targets[flow->target];
	const struct hop *hop = &b->hops[flow->hop];

	if (unlikely(!l4_quick_is_there(slot, what) || !l4_quick_is_of_server(slot, target, what, v6) ||
		     flow->hop_generation != b->hop_generation || is_spent(p, v6) || p->ip_len > hop->mtu ||
		     !touch(b, flow)))
		return false;
	ttl_lower(p, v6);
	if (unlikely(target->options & TELLS_ORIGIN))
		rewrite_and_leave(b, slot, hop, target->forwarder->to_client, L4_ANSWERED);
	else
		leave(b, p, hop, target->forwarder->plain_to_client[v6](p, target, flow), L4_ANSWERED);
	return true;
}

static __rte_always_inline bool
quick_packet(struct burst *b, struct l4_slot *slot)
{
	bool v6 = slot->packet.flags & L4_PACKET_IPV6;

	if (likely(slot->quick == L4_QUICK_CLIENT))
		return v6 ? client_packet(b, slot, true) : client_packet(b, slot, false);
	if (slot->quick == L4_QUICK_TO_LOCAL)
		return v6 ? server_packet(b, slot, L4_QUICK_TO_LOCAL, true)
			  : server_packet(b, slot, L4_QUICK_TO_LOCAL, false);
	return v6 ? server_packet(b, slot, L4_QUICK_TO_CLIENT, true)
		  : server_packet(b, slot, L4_QUICK_TO_CLIENT, false);
}

/* ---- the stages ---- */

static __rte_always_inline bool
is_opening(const struct l4_slot *slot)
{
	return slot->kind == L4_KIND_CLIENT &&
	       (slot->packet.tcp_flags & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG)) == RTE_TCP_SYN_FLAG;
}

/* What is not for the quick way. A new flow's answers are far away, too. */
static __rte_noinline void
look_for_others(const struct l4_worker *worker, struct l4_slot *slot, struct random *ahead)
{
	if (worker->flows->bucket_count <= FAR_BUCKETS)
		return;
	if (is_opening(slot))
		l4_start_prefetch(worker, slot, ahead);
	else if (slot->kind == L4_KIND_CLIENT || slot->kind == L4_KIND_ANSWER)
		l4_flow_prefetch_spilled(worker->flows, slot->hash);
}

/* Where a flow is that is not in its first bucket is known once that has arrived. */
static void
look_ahead(const struct l4_worker *worker, struct l4_slot *slots, uint16_t count)
{
	const struct l4_flows *flows = worker->flows;
	struct random ahead = worker->random;
	struct l4_slot *away[BURST + 1];
	unsigned int away_count = 0;

	for (struct l4_slot *slot = slots; slot < slots + count; slot++) {
		away[away_count] = slot;
		if (likely(slot->quick == L4_QUICK_CLIENT))
			away_count += l4_quick_look(slot, L4_QUICK_CLIENT);
		else if (slot->quick == L4_QUICK_TO_LOCAL)
			away_count += l4_quick_look(slot, L4_QUICK_TO_LOCAL);
		else if (slot->quick == L4_QUICK_TO_CLIENT)
			away_count += l4_quick_look(slot, L4_QUICK_TO_CLIENT);
		else
			look_for_others(worker, slot, &ahead);
	}
	for (unsigned int i = 0; i < away_count; i++)
		l4_quick_look_away(away[i], flows);
	for (unsigned int i = 0; i < away_count; i++) {
		if (likely(away[i]->quick == L4_QUICK_CLIENT))
			l4_quick_look_there(away[i], L4_QUICK_CLIENT);
		else if (away[i]->quick == L4_QUICK_TO_LOCAL)
			l4_quick_look_there(away[i], L4_QUICK_TO_LOCAL);
		else
			l4_quick_look_there(away[i], L4_QUICK_TO_CLIENT);
	}
}

/* What l4_dispatch() leaves alone goes to `passed`, which is only written behind what has been read from it. */
static uint16_t
forward_all(struct l4_worker *worker, struct l4_slot *slots, uint16_t count, enum l4_arrival arrival,
	    struct rte_mbuf **passed, uint64_t *verdicts)
{
	struct burst b = { .worker = worker,
			   .targets = worker->config.targets,
			   .use = worker->use,
			   .output = worker->config.output,
			   .hops = hop_table(worker->config.output),
			   .now_s = worker->now_s,
			   .hop_generation = hop_generation(worker->config.output),
			   .path_mtu_least = worker->path_mtus.least };
	uint16_t passed_count = 0;

	for (struct l4_slot *slot = slots; slot < slots + count; slot++) {
		if (likely(slot->quick)) {
			if (likely(quick_packet(&b, slot)))
				continue;
			if (slot->brief)
				l4_arrive_again(worker, slot, verdicts);
		}
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
	struct l4_slot slots[BURST];

	assert(count <= BURST);
	l4_worker_time(worker, now_ns);
	worker->passed_max = count;
	l4_arrive_burst(worker, m, count, slots, !worker->observe, arrival, verdicts);
	look_ahead(worker, slots, count);
	return forward_all(worker, slots, count, arrival, m, verdicts);
}
