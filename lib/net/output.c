/*
 * Sending. A packet costs one probe of a direct-mapped cache, keyed by destination, that holds the finished Ethernet
 * header; an entry is good for one generation of the mirror's snapshots. All else is on the slow path below it.
 */
#include <rte_ip.h>
#include <stdlib.h>

#include "net/hop.h"
#include "net/output.h"
#include "packet/view.h"

/* 128 KB per lcore. */
#define CACHE_ENTRIES 2048

#define WAIT_MAX_NS (3 * NS_PER_SECOND)
/* Waiting packets are looked after this often: the latency of a resolution, beside the wire's. */
#define WAIT_POLL_NS (1 * NS_PER_MS)
#define WAIT_ASK_NS (250 * NS_PER_MS)
/* Wakes of the mirror's thread by one lcore. */
#define WAKE_PAUSE_NS (1 * NS_PER_MS)

struct cache_entry {
	struct ip_address destination;
	uint64_t expires_ns;
	struct port *port;
	uint32_t generation; /* 0: empty */
	uint16_t mtu;
	uint8_t drop; /* enum net_counter of a drop, NET_COUNT_SENT for none */
	struct output_header header;
};

static_assert(sizeof(struct cache_entry) <= 64, "one cache line per destination");

const char *const net_counter_names[NET_COUNTER_COUNT] = {
#define ROW(name, text) [NET_COUNT_##name] = text,
	NET_COUNTERS(ROW)
#undef ROW
};

/* ---- ports ---- */

void
output_burst_send(struct net_output *output, struct output_burst *burst)
{
	port_tx_burst(burst->port, (uint16_t)output->worker, burst->packets, (uint16_t)burst->count);
	output->counters[NET_COUNT_SENT] += burst->count;
	output->sent += burst->count;
	burst->count = 0;
}

void
net_output_frame(struct net_output *output, struct port *port, struct rte_mbuf *m)
{
	if (unlikely(output->worker >= port->queues)) {
		/* The worker that has a queue finds the port again by its index. */
		packet_view(m)->port_index = port->index;
		if (output->handover)
			output->handover(output->handover_context, output->worker % port->queues, m);
		else
			output_drop(output, m, NET_COUNT_NO_PORT);
		return;
	}
	output->bursts_used |= 1u << port->index;
	output->bursts[port->index].port = port;
	output_burst_add(output, &output->bursts[port->index], m);
}

/* ---- a destination that is not in the cache ---- */

static void
ask_linux(struct net_output *output, int32_t ifindex, const struct ip_address *address)
{
	/* A full ring means that the thread is behind: asked again later. */
	if (mirror_request(&output->requests, ifindex, address))
		output->request_posted = true;
}

/* A gateway has many destinations, each with a cache entry of its own. */
void
output_report_in_use(struct net_output *output, int32_t ifindex, const struct ip_address *address)
{
	uint32_t hash = neighbor_hash(ifindex, address);
	struct output_confirmed *confirmed = &output->confirmed[hash & (OUTPUT_CONFIRMED - 1)];

	if (confirmed->hash == hash && output->now_ns < confirmed->reported_ns + OUTPUT_CONFIRM_NS)
		return;
	*confirmed = (struct output_confirmed){ .reported_ns = output->now_ns, .hash = hash };
	ask_linux(output, ifindex, address);
}

void
output_header_fill(struct output_header *header, const struct table_link *link, const uint8_t *destination)
{
	memset(header, 0, sizeof(*header));
	header->len = RTE_ETHER_HDR_LEN;
	if (destination) {
		memcpy(header->bytes, destination, RTE_ETHER_ADDR_LEN);
		memcpy(header->bytes + RTE_ETHER_ADDR_LEN, link->mac, RTE_ETHER_ADDR_LEN);
	}
	if (link->vlan_id) {
		uint16_t tag_be[2] = { RTE_BE16(RTE_ETHER_TYPE_VLAN), rte_cpu_to_be_16(link->vlan_id) };

		memcpy(header->bytes + 12, tag_be, sizeof(tag_be));
		header->len += RTE_VLAN_HLEN;
	}
}

struct resolution {
	struct net_output *output;
	const struct neighbor_table *neighbors;
	struct cache_entry *entry;
	struct table_hop unresolved; /* when there is no usable hop, the first that may become one */
	bool has_unresolved, has_failed;
	uint64_t failed_until_ns;
};

static bool
header_fill(struct resolution *resolution, const struct table_hop *hop, const uint8_t *mac)
{
	struct cache_entry *entry = resolution->entry;

	output_header_fill(&entry->header, hop->link, mac);
	entry->port = hop->link->port;
	entry->mtu = hop->mtu;
	entry->drop = NET_COUNT_SENT;
	return true;
}

/* For table_hop_find(): takes a hop whose neighbour is known, and notes why it did not. */
static bool
hop_take(void *context, const struct table_hop *hop)
{
	struct resolution *resolution = context;
	uint64_t now_ns = resolution->output->now_ns;
	const struct neighbor *n;

	resolution->entry->expires_ns = UINT64_MAX;
	if (hop->link->port->features & PORT_LOOPBACK)
		return header_fill(resolution, hop, NULL);
	n = neighbor_find(resolution->neighbors, hop->link->ifindex, &hop->neighbor);
	if (n && n->state & NEIGHBOR_USABLE) {
		if (n->state & NEIGHBOR_UNCONFIRMED) {
			output_report_in_use(resolution->output, hop->link->ifindex, &hop->neighbor);
			resolution->entry->expires_ns = now_ns + OUTPUT_CONFIRM_NS;
		}
		return header_fill(resolution, hop, n->mac);
	}
	if (n && n->state & NUD_FAILED && now_ns < n->changed_ns + OUTPUT_FAILED_PAUSE_NS) {
		resolution->has_failed = true;
		resolution->failed_until_ns = n->changed_ns + OUTPUT_FAILED_PAUSE_NS;
	} else if (!resolution->has_unresolved) {
		resolution->unresolved = *hop;
		resolution->has_unresolved = true;
	}
	return false;
}

bool
output_wait(struct net_output *output, int32_t ifindex, const struct ip_address *address, uint16_t hop,
	    struct rte_mbuf *m)
{
	struct waiting_neighbor *n = waiting_find(&output->waiting, ifindex, address, hop, output->now_ns);

	if (!n || !waiting_add(&output->waiting, n, m)) {
		output_drop(output, m, NET_COUNT_NEIGHBOR_QUEUE_FULL);
		return false;
	}
	output->counters[NET_COUNT_NEIGHBOR_WAIT]++;
	if (output->now_ns >= n->ask_ns) {
		ask_linux(output, ifindex, address);
		n->ask_ns = output->now_ns + WAIT_ASK_NS;
	}
	return true;
}

static enum net_counter
drop_reason(enum table_verdict verdict)
{
	switch (verdict) {
	case TABLE_NO_PORT:
		return NET_COUNT_NO_PORT;
	case TABLE_UNREACHABLE:
		return NET_COUNT_UNREACHABLE;
	case TABLE_LINK_DOWN:
		return NET_COUNT_LINK_DOWN;
	default:
		return NET_COUNT_NO_ROUTE;
	}
}

static bool fits(const struct rte_mbuf *m, const struct cache_entry *entry);

/* The packet's own destination says nothing of where it goes: it waits for a hop. */
static void
via_wait(struct net_output *output, struct cache_entry *entry, const struct table_hop *hop, struct rte_mbuf *m)
{
	uint16_t number = hops_get(output, hop);

	entry->port = hop->link->port;
	entry->mtu = hop->mtu;
	if (!fits(m, entry))
		output_drop(output, m, NET_COUNT_TOO_BIG);
	else if (number == NET_HOP_NONE)
		output_drop(output, m, NET_COUNT_NEIGHBOR_QUEUE_FULL);
	else
		net_hop_send(output, number, m);
}

/* Fills the entry and returns true, or makes the packet wait. Snapshots are held during this call only. */
static bool
resolve(struct net_output *output, struct cache_entry *entry, const struct ip_address *destination, bool via,
	struct rte_mbuf *m)
{
	struct net_mirror *mirror = output->mirror;
	/* The generation first: pointers that are newer than it only make the entry short-lived. */
	uint32_t generation = __atomic_load_n(&mirror->generation, __ATOMIC_ACQUIRE);
	const struct table *table = __atomic_load_n(&mirror->table, __ATOMIC_ACQUIRE);
	struct resolution resolution = { .output = output, .entry = entry };
	enum table_verdict verdict;

	resolution.neighbors = __atomic_load_n(&mirror->neighbors, __ATOMIC_ACQUIRE);
	entry->generation = 0;
	entry->destination = *destination;
	verdict = table_hop_find(table, destination, hop_take, &resolution);
	if (verdict != TABLE_OK) {
		if (resolution.has_unresolved) {
			const struct table_hop *hop = &resolution.unresolved;

			if (via)
				via_wait(output, entry, hop, m);
			else
				output_wait(output, hop->link->ifindex, &hop->neighbor, NET_HOP_NONE, m);
			return false;
		}
		entry->drop = (uint8_t)(resolution.has_failed ? NET_COUNT_NEIGHBOR_FAILED : drop_reason(verdict));
		entry->expires_ns = resolution.has_failed ? resolution.failed_until_ns : UINT64_MAX;
	} else if (resolution.has_unresolved) {
		/* Another hop of the route does for now; this one is to come back when it is known. */
		output_report_in_use(output, resolution.unresolved.link->ifindex, &resolution.unresolved.neighbor);
	}
	entry->generation = generation;
	return true;
}

/* ---- sending ---- */

/* As two 64-bit words at once: a mapped address written in 32-bit words and read in 64-bit ones stalls. */
static inline struct ip_address
destination_of(const struct rte_mbuf *m)
{
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);
	uint64_t v4_be = ((const struct rte_ipv4_hdr *)ip)->dst_addr;

	if (ip[0] >> 4 == 4)
		return (struct ip_address){ .halves = { 0, v4_be << 32 | RTE_BE32(0xffff) } };
	return ip_address_from_v6(((const struct rte_ipv6_hdr *)ip)->dst_addr);
}

static inline struct cache_entry *
cache_entry_of(struct net_output *output, const struct ip_address *destination)
{
	uint64_t h = (destination->halves[0] ^ __builtin_bswap64(destination->halves[1])) * 0x9e3779b97f4a7c15ull;

	return &output->cache[h >> (64 - __builtin_ctz(CACHE_ENTRIES))];
}

static inline bool
fits(const struct rte_mbuf *m, const struct cache_entry *entry)
{
	if (likely(m->pkt_len <= entry->mtu))
		return true;
	/* The port cuts it: its segments count. */
	return m->ol_flags & RTE_MBUF_F_TX_TCP_SEG && (uint32_t)m->l3_len + m->l4_len + m->tso_segsz <= entry->mtu;
}

static void waiting_retry(struct net_output *output);

static inline void
send_towards(struct net_output *output, struct rte_mbuf *m, const struct ip_address *destination, bool via)
{
	struct cache_entry *entry = cache_entry_of(output, destination);

	if (unlikely(entry->generation != __atomic_load_n(&output->mirror->generation, __ATOMIC_RELAXED) ||
		     !ip_address_equal(&entry->destination, destination) || entry->expires_ns <= output->now_ns)) {
		/* Packets that wait go first, so that what follows does not overtake them. */
		if (output->waiting.count && !output->retrying)
			waiting_retry(output);
		if (!resolve(output, entry, destination, via, m))
			return;
	}
	if (unlikely(entry->drop != NET_COUNT_SENT)) {
		output_drop(output, m, (enum net_counter)entry->drop);
		return;
	}
	if (unlikely(!fits(m, entry) || !output_header_prepend(m, &entry->header))) {
		output_drop(output, m, NET_COUNT_TOO_BIG);
		return;
	}
	net_output_frame(output, entry->port, m);
}

void
net_output_send(struct net_output *output, struct rte_mbuf *m)
{
	const struct ip_address destination = destination_of(m);

	send_towards(output, m, &destination, false);
}

void
net_output_via(struct net_output *output, struct rte_mbuf *m, const struct ip_address *next)
{
	send_towards(output, m, next, true);
}

/* ---- waiting packets ---- */

enum fate { FATE_WAIT, FATE_SEND, FATE_FAILED };

static enum fate
fate_of(const struct net_output *output, const struct waiting_neighbor *waiting)
{
	const struct neighbor_table *neighbors = __atomic_load_n(&output->mirror->neighbors, __ATOMIC_ACQUIRE);
	const struct neighbor *n = neighbor_find(neighbors, waiting->ifindex, &waiting->address);

	if (n && n->state & NEIGHBOR_USABLE)
		return FATE_SEND;
	/* A failure from before the question does not count. */
	if (n && n->state & NUD_FAILED && n->changed_ns > waiting->since_ns)
		return FATE_FAILED;
	return output->now_ns >= waiting->since_ns + WAIT_MAX_NS ? FATE_FAILED : FATE_WAIT;
}

static void
waiting_settle(struct net_output *output, struct waiting_neighbor *waiting)
{
	enum fate fate = fate_of(output, waiting);
	struct rte_mbuf *packets[WAITING_PACKETS];
	uint32_t count;
	uint16_t hop;

	if (fate == FATE_WAIT) {
		if (output->now_ns >= waiting->ask_ns) {
			ask_linux(output, waiting->ifindex, &waiting->address);
			waiting->ask_ns = output->now_ns + WAIT_ASK_NS;
		}
		return;
	}
	hop = waiting->hop;
	count = waiting_take(&output->waiting, waiting, packets);
	if (hop != NET_HOP_NONE)
		hops_wait_end(output, hop);
	for (uint32_t i = 0; i < count; i++) {
		if (fate != FATE_SEND)
			output_drop(output, packets[i], NET_COUNT_NEIGHBOR_FAILED);
		else if (hop != NET_HOP_NONE)
			net_hop_send(output, hop, packets[i]);
		else
			net_output_send(output, packets[i]);
	}
}

static void
waiting_retry(struct net_output *output)
{
	output->retrying = true;
	for (uint32_t i = 0; i < WAITING_NEIGHBORS; i++)
		if (output->waiting.neighbors[i].count)
			waiting_settle(output, &output->waiting.neighbors[i]);
	output->retrying = false;
}

unsigned int
net_output_flush(struct net_output *output, uint64_t now_ns)
{
	unsigned int sent;

	output->now_ns = now_ns;
	if (unlikely(output->waiting.count))
		waiting_retry(output);
	hops_flush(output);
	while (output->bursts_used) {
		struct output_burst *burst = &output->bursts[__builtin_ctz(output->bursts_used)];

		output->bursts_used &= output->bursts_used - 1;
		if (burst->count)
			output_burst_send(output, burst);
	}
	if (unlikely(output->request_posted) && now_ns >= output->wake_ns) {
		output->request_posted = false;
		output->wake_ns = now_ns + WAKE_PAUSE_NS;
		mirror_wake(output->mirror);
	}
	sent = output->sent;
	output->sent = 0;
	return sent;
}

uint64_t
net_output_next_ns(const struct net_output *output)
{
	if (output->hops->left)
		return output->now_ns;
	if (output->waiting.count)
		return output->now_ns + WAIT_POLL_NS;
	return output->request_posted ? output->wake_ns : UINT64_MAX;
}

/* ---- control ---- */

void
net_output_handover(struct net_output *output, void (*send)(void *context, unsigned int worker, struct rte_mbuf *m),
		    void *context)
{
	output->handover = send;
	output->handover_context = context;
}

struct net_output *
net_output_new(struct net_mirror *mirror, unsigned int worker, uint64_t now_ns)
{
	struct net_output *output = aligned_alloc(64, RTE_ALIGN(sizeof(*output), 64));
	struct cache_entry *cache = aligned_alloc(64, RTE_ALIGN(CACHE_ENTRIES * sizeof(*cache), 64));
	struct hops *hops = hops_new();

	if (!output || !cache || !hops)
		goto failed;
	memset(output, 0, sizeof(*output));
	memset(cache, 0, CACHE_ENTRIES * sizeof(*cache));
	output->cache = cache;
	output->hops = hops;
	output->mirror = mirror;
	output->worker = worker;
	output->now_ns = now_ns;
	if (mirror_output_add(mirror, &output->requests) < 0)
		goto failed;
	hops_start(output);
	return output;
failed:
	free(output);
	free(cache);
	free(hops);
	return NULL;
}

void
net_output_free(struct net_output *output)
{
	if (!output)
		return;
	mirror_output_remove(output->mirror, &output->requests);
	for (uint32_t i = 0; i < WAITING_NEIGHBORS; i++)
		rte_pktmbuf_free_bulk(output->waiting.neighbors[i].packets, output->waiting.neighbors[i].count);
	for (uint32_t i = 0; i < PORTS_MAX; i++)
		rte_pktmbuf_free_bulk(output->bursts[i].packets, output->bursts[i].count);
	free(output->cache);
	free(output->hops);
	free(output);
}

const uint64_t *
net_output_counters(const struct net_output *output)
{
	return output->counters;
}
