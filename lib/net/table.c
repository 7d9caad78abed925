#include "net/table.h"

#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

#include "base/hash.h"

static int
link_compare(const void *a, const void *b)
{
	const struct table_link *x = a, *y = b;

	return (x->ifindex > y->ifindex) - (x->ifindex < y->ifindex);
}

const struct table_link *
table_link_find(const struct table *table, int32_t ifindex)
{
	const struct table_link key = { .ifindex = ifindex };

	return table->link_count ? bsearch(&key, table->links, table->link_count, sizeof(table->links[0]), link_compare)
				 : NULL;
}

bool
table_link_is_up(const struct table_link *link)
{
	return (link->flags & (IFF_UP | IFF_LOWER_UP)) == (IFF_UP | IFF_LOWER_UP);
}

uint16_t
table_link_mtu(const struct table_link *link, uint32_t route_mtu)
{
	uint32_t mtu = route_mtu && route_mtu < link->mtu ? route_mtu : link->mtu;

	return mtu < link->port->mtu ? (uint16_t)mtu : link->port->mtu;
}

static const struct route_set *
lookup(const struct table *table, const struct ip_address *destination, bool local)
{
	bool ipv6 = !ip_address_is_v4(destination);

	return lpm_lookup(table->trees[table_tree_of(ipv6, local)], lpm_key_from(destination));
}

const struct route_set *
table_route_find(const struct table *table, const struct ip_address *destination)
{
	const struct route_set *set = lookup(table, destination, true);

	/* RTN_THROW goes on with the next table. */
	if (set && set->rows[0].type != RTN_THROW)
		return set;
	set = lookup(table, destination, false);
	return set && set->rows[0].type != RTN_THROW ? set : NULL;
}

bool
table_is_local(const struct table *table, const struct ip_address *address)
{
	const struct route_set *set = lookup(table, address, true);

	return set && (set->rows[0].type == RTN_LOCAL || set->rows[0].type == RTN_ANYCAST);
}

static enum table_verdict
hop_take(const struct table *table, const struct ip_address *destination, const struct route_set *set, uint32_t number,
	 bool (*take)(void *context, const struct table_hop *hop), void *context)
{
	const struct route_row *row = &set->rows[number];
	bool local = row->type == RTN_LOCAL || row->type == RTN_ANYCAST;
	struct table_hop hop = { .link = table_link_find(table, local ? table->loopback : row->ifindex) };

	if (!hop.link)
		return TABLE_NO_ROUTE;
	if (!hop.link->port)
		return TABLE_NO_PORT;
	if (!table_link_is_up(hop.link))
		return TABLE_LINK_DOWN;
	hop.route_mtu = row->mtu;
	hop.mtu = table_link_mtu(hop.link, row->mtu);
	hop.alternatives = set->count > 1;
	hop.neighbor = !local && row->flags & ROUTE_HAS_GATEWAY ? row->gateway : *destination;
	return take(context, &hop) ? TABLE_OK : TABLE_LINK_DOWN;
}

/* The rows of one route, beginning where the destination's hash falls. */
static enum table_verdict
member_take(const struct table *table, const struct ip_address *destination, const struct route_set *set,
	    uint32_t start, uint32_t count, bool (*take)(void *context, const struct table_hop *hop), void *context)
{
	const struct route_row *rows = &set->rows[start];
	enum table_verdict verdict = TABLE_NO_ROUTE;
	uint32_t weights = 0, first = 0;

	for (uint32_t i = 0; i < count; i++)
		weights += rows[i].weight;
	if (count > 1) {
		uint64_t h = hash_mix64(destination->halves[0] ^ hash_mix64(destination->halves[1]));
		uint32_t point = (uint32_t)((h >> 32) * weights >> 32);

		while (point >= rows[first].weight)
			point -= rows[first++].weight;
	}
	for (uint32_t i = 0; i < count; i++) {
		verdict = hop_take(table, destination, set, start + (first + i) % count, take, context);
		if (verdict == TABLE_OK)
			break;
	}
	return verdict;
}

enum table_verdict
table_hop_find(const struct table *table, const struct ip_address *destination,
	       bool (*take)(void *context, const struct table_hop *hop), void *context)
{
	const struct route_set *set = table_route_find(table, destination);
	enum table_verdict verdict = TABLE_NO_ROUTE;

	if (!set)
		return TABLE_NO_ROUTE;
	for (uint32_t start = 0, end; start < set->count && verdict != TABLE_OK; start = end) {
		const struct route_row *row = &set->rows[start];

		for (end = start + 1; end < set->count && set->rows[end].member == row->member; end++)
			;
		if (row->type != RTN_UNICAST && row->type != RTN_LOCAL && row->type != RTN_ANYCAST)
			return TABLE_UNREACHABLE;
		verdict = member_take(table, destination, set, start, end - start, take, context);
	}
	return verdict;
}
