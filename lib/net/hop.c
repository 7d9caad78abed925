#include "net/hop.h"

#include <stdlib.h>

/* Looked at in one flush: a few microseconds' work. */
#define HOPS_PER_FLUSH 64

struct hops *
hops_new(void)
{
	struct hops *hops = aligned_alloc(64, RTE_ALIGN(sizeof(*hops), 64));

	if (!hops)
		return NULL;
	memset(hops, 0, sizeof(*hops));
	hops->generation = 1;
	hops->cursor = 1;
	hops->entries[NET_HOP_NONE].burst = &hops->none;
	return hops;
}

/* ---- keeping a hop up to date ---- */

static bool
is_usable(const struct hop_state *state)
{
	return state->port && state->resolved && !state->waits && (!state->unconfirmed || state->reported);
}

/* For the XDP program: flags first, that it never takes half a header. */
static void
hop_share(struct hops *hops, uint16_t number)
{
	const struct hop_state *state = &hops->states[number];
	const struct hop *hop = &hops->entries[number];
	struct xdp_hop *shared = &hops->shared[number];
	bool known = state->port && state->resolved && state->vlan_id == 0 && state->port->features & PORT_XDP_SEND &&
		     !(state->port->features & PORT_LOOPBACK);
	bool bounces = known && state->port->features & PORT_XDP_BOUNCE;
	uint8_t flags = (bounces ? XDP_HOP_BOUNCES : 0) | (known ? XDP_HOP_KNOWN : 0) |
			(known && is_usable(state) ? XDP_HOP_READY : 0);

	if (known && (memcmp(shared->header, hop->header.bytes, sizeof(shared->header)) != 0 ||
		      shared->ifindex != (uint32_t)state->port->ifindex || shared->mtu != hop->mtu)) {
		__atomic_store_n(&shared->flags, 0, __ATOMIC_SEQ_CST);
		memcpy(shared->header, hop->header.bytes, sizeof(shared->header));
		shared->ifindex = (uint32_t)state->port->ifindex;
		shared->mtu = hop->mtu;
	}
	__atomic_store_n(&shared->flags, flags, __ATOMIC_RELEASE);
}

static void
ready_set(struct net_output *output, uint16_t number)
{
	const struct hop_state *state = &output->hops->states[number];

	bool ready = is_usable(state) && output->worker < state->port->queues;

	output->hops->entries[number].burst = ready ? &output->bursts[state->port->index] : &output->hops->none;
	if (output->hops->shared)
		hop_share(output->hops, number);
}

static void
generation_share(const struct hops *hops)
{
	if (hops->lane)
		__atomic_store_n(&hops->lane->hop_generation, hops->generation, __ATOMIC_RELEASE);
}

static void
generation_next(struct hops *hops)
{
	if (++hops->generation == 0)
		hops->generation = 1;
	generation_share(hops);
}

void
net_output_share_hops(struct net_output *output, struct xdp_hop *shared, struct xdp_lane *lane)
{
	struct hops *hops = output->hops;

	assert(hops->count == 0);
	hops->shared = shared;
	hops->lane = lane;
	generation_share(hops);
}

static void
link_update(struct net_output *output, uint16_t number, const struct table *table)
{
	struct hop *hop = &output->hops->entries[number];
	struct hop_state *state = &output->hops->states[number];
	const struct table_link *link = table_link_find(table, state->ifindex);
	uint8_t destination[RTE_ETHER_ADDR_LEN];

	state->port = link && table_link_is_up(link) ? link->port : NULL;
	state->drop = link && !link->port ? NET_COUNT_NO_PORT : NET_COUNT_LINK_DOWN;
	if (state->port) {
		memcpy(destination, hop->header.bytes, sizeof(destination));
		output_header_fill(&hop->header, link, state->port->features & PORT_LOOPBACK ? NULL : destination);
		hop->mtu = table_link_mtu(link, state->route_mtu);
		state->vlan_id = link->vlan_id;
	}
	ready_set(output, number);
}

static void
neighbor_update(struct net_output *output, uint16_t number, const struct neighbor_table *neighbors)
{
	struct hop_state *state = &output->hops->states[number];
	bool before = state->resolved;
	const struct neighbor *n;

	if (state->port && state->port->features & PORT_LOOPBACK) {
		state->resolved = true;
	} else {
		n = neighbor_find(neighbors, state->ifindex, &state->neighbor);
		state->resolved = n && n->state & NEIGHBOR_USABLE;
		state->unconfirmed = n && n->state & NEIGHBOR_UNCONFIRMED;
		state->failed_until_ns = n && n->state & NUD_FAILED ? n->changed_ns + OUTPUT_FAILED_PAUSE_NS : 0;
		if (state->resolved)
			memcpy(output->hops->entries[number].header.bytes, n->mac, RTE_ETHER_ADDR_LEN);
	}
	/* Destinations move to another hop of their route, or back to this one. */
	if (before != state->resolved && state->alternatives)
		generation_next(output->hops);
	ready_set(output, number);
}

static void
hop_update(struct net_output *output, uint16_t number)
{
	link_update(output, number, __atomic_load_n(&output->mirror->table, __ATOMIC_ACQUIRE));
	neighbor_update(output, number, __atomic_load_n(&output->mirror->neighbors, __ATOMIC_ACQUIRE));
}

/* Called for a hop in use: an unconfirmed neighbour is reported, and again when it has been silent for a while. */
static void
hop_report(struct net_output *output, uint16_t number)
{
	struct hops *hops = output->hops;
	struct hop_state *state = &hops->states[number];

	if (!state->resolved || !state->unconfirmed || state->reported)
		return;
	output_report_in_use(output, state->ifindex, &state->neighbor);
	state->reported = true;
	state->reported_ns = output->now_ns;
	hops->reported[hops->reported_tail++ % NET_HOPS_MAX] = number;
	ready_set(output, number);
}

static void
reports_expire(struct net_output *output)
{
	struct hops *hops = output->hops;

	for (int i = 0; i < HOPS_PER_FLUSH && hops->reported_head != hops->reported_tail; i++) {
		uint16_t number = hops->reported[hops->reported_head % NET_HOPS_MAX];

		if (output->now_ns < hops->states[number].reported_ns + OUTPUT_CONFIRM_NS)
			return;
		hops->reported_head++;
		hops->states[number].reported = false;
		ready_set(output, number);
	}
}

/* ---- following the mirror ---- */

static void
links_update(struct net_output *output)
{
	const struct table *table = __atomic_load_n(&output->mirror->table, __ATOMIC_ACQUIRE);

	for (uint16_t i = 1; i <= output->hops->count; i++)
		link_update(output, i, table);
}

/* True when there were newer snapshots. The generations first: pointers that are newer only make for a second look. */
static bool
mirror_look(struct net_output *output)
{
	struct hops *hops = output->hops;
	uint32_t seen = __atomic_load_n(&output->mirror->generation, __ATOMIC_ACQUIRE), routes, links;

	if (likely(seen == hops->seen))
		return false;
	routes = __atomic_load_n(&output->mirror->routes_generation, __ATOMIC_ACQUIRE);
	links = __atomic_load_n(&output->mirror->links_generation, __ATOMIC_ACQUIRE);
	/* All at once, rare as it is: a port may be freed. */
	if (links != hops->seen_links)
		links_update(output);
	if (routes != hops->seen_routes)
		generation_next(hops);
	hops->seen = seen;
	hops->seen_routes = routes;
	hops->seen_links = links;
	hops->left = hops->count;
	return true;
}

void
hops_start(struct net_output *output)
{
	mirror_look(output);
}

static void
some_update(struct net_output *output)
{
	struct hops *hops = output->hops;

	for (int i = 0; i < HOPS_PER_FLUSH && hops->left; i++, hops->left--) {
		if (hops->cursor > hops->count)
			hops->cursor = 1;
		/* What waits is settled by itself, so that nothing overtakes it. */
		if (!hops->states[hops->cursor].waits)
			hop_update(output, hops->cursor);
		hops->cursor++;
	}
}

void
hops_flush(struct net_output *output)
{
	mirror_look(output);
	if (unlikely(output->hops->left))
		some_update(output);
	if (unlikely(output->hops->reported_head != output->hops->reported_tail))
		reports_expire(output);
}

/* ---- finding ---- */

static uint16_t *
index_find(struct hops *hops, const struct hop_state *key)
{
	uint32_t at = neighbor_hash(key->ifindex, &key->neighbor) ^ key->route_mtu;

	for (;; at++) {
		uint16_t *place = &hops->index[at & (HOPS_INDEX - 1)];
		const struct hop_state *state = &hops->states[*place];

		if (!*place || (state->ifindex == key->ifindex && state->route_mtu == key->route_mtu &&
				ip_address_equal(&state->neighbor, &key->neighbor)))
			return place;
	}
}

uint16_t
hops_get(struct net_output *output, const struct table_hop *found)
{
	struct hops *hops = output->hops;
	struct hop_state key = { .ifindex = found->link->ifindex, .route_mtu = found->route_mtu };
	uint16_t *place;

	if (!(found->link->port->features & PORT_LOOPBACK))
		key.neighbor = found->neighbor;
	place = index_find(hops, &key);
	if (unlikely(!*place)) {
		if (hops->count == NET_HOPS_MAX - 1)
			return NET_HOP_NONE;
		*place = ++hops->count;
		hops->states[*place] = key;
		hop_update(output, *place);
	}
	hops->states[*place].alternatives |= found->alternatives;
	return *place;
}

struct choice {
	struct net_output *output;
	uint16_t resolved, unresolved, failed;
	bool full;
};

/* For table_hop_find(): takes a hop whose neighbour is known, and notes the others. */
static bool
hop_take(void *context, const struct table_hop *found)
{
	struct choice *choice = context;
	uint16_t number = hops_get(choice->output, found);
	const struct hop_state *state = &choice->output->hops->states[number];

	choice->full = number == NET_HOP_NONE;
	if (choice->full)
		return true;
	if (state->resolved)
		choice->resolved = number;
	else if (choice->output->now_ns < state->failed_until_ns)
		choice->failed = choice->failed ? choice->failed : number;
	else if (!choice->unresolved)
		choice->unresolved = number;
	return state->resolved;
}

uint16_t
net_hop_find(struct net_output *output, const struct ip_address *destination)
{
	const struct table *table = __atomic_load_n(&output->mirror->table, __ATOMIC_ACQUIRE);
	struct choice choice = { .output = output };

	table_hop_find(table, destination, hop_take, &choice);
	if (choice.full)
		return NET_HOP_NONE;
	if (choice.resolved) {
		const struct hop_state *state = &output->hops->states[choice.unresolved];

		/* Another hop of the route does for now; this one is to come back when it is known. */
		if (choice.unresolved)
			output_report_in_use(output, state->ifindex, &state->neighbor);
		return choice.resolved;
	}
	return choice.unresolved ? choice.unresolved : choice.failed;
}

uint16_t
net_hop_generation(const struct net_output *output)
{
	return hop_generation(output);
}

uint16_t
net_hop_mtu(const struct net_output *output, uint16_t hop)
{
	return hop_mtu(output, hop);
}

bool
net_hop_describe(const struct net_output *output, uint16_t hop, struct net_hop_facts *out)
{
	const struct hops *hops = output->hops;

	if (hop == NET_HOP_NONE || hop > hops->count)
		return false;
	*out = (struct net_hop_facts){ .port = hops->states[hop].port,
				       .neighbor = hops->states[hop].neighbor,
				       .vlan_id = hops->states[hop].vlan_id,
				       .mtu = hops->entries[hop].mtu,
				       .resolved = hops->states[hop].resolved };
	memcpy(&out->destination, hops->entries[hop].header.bytes, RTE_ETHER_ADDR_LEN);
	memcpy(&out->source, hops->entries[hop].header.bytes + RTE_ETHER_ADDR_LEN, RTE_ETHER_ADDR_LEN);
	return true;
}

/* ---- sending ---- */

static void
hop_wait(struct net_output *output, uint16_t number, struct rte_mbuf *m)
{
	struct hop_state *state = &output->hops->states[number];

	if (!state->waits && output->now_ns < state->failed_until_ns) {
		output_drop(output, m, NET_COUNT_NEIGHBOR_FAILED);
		return;
	}
	if (output_wait(output, state->ifindex, &state->neighbor, number, m))
		state->waits = true;
	ready_set(output, number);
}

void
hops_wait_end(struct net_output *output, uint16_t number)
{
	output->hops->states[number].waits = false;
	hop_update(output, number);
}

void
hop_send_with_care(struct net_output *output, uint16_t number, struct rte_mbuf *m)
{
	struct hop_state *state = &output->hops->states[number];

	assert(number != NET_HOP_NONE && number <= output->hops->count);
	if (mirror_look(output) || !is_usable(state)) {
		if (!state->waits)
			hop_update(output, number);
		hop_report(output, number);
	}
	if (!state->port)
		output_drop(output, m, (enum net_counter)state->drop);
	else if (!state->resolved || state->waits)
		hop_wait(output, number, m);
	else if (!output_header_prepend(m, &output->hops->entries[number].header))
		output_drop(output, m, NET_COUNT_TOO_BIG);
	else
		net_output_frame(output, state->port, m);
}

void
net_hop_send(struct net_output *output, uint16_t number, struct rte_mbuf *m)
{
	hop_send(output, number, m);
}
