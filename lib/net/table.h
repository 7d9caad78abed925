/*
 * One snapshot of links, addresses and routes: immutable once published, so that lcores look up without locks.
 */
#ifndef NET_TABLE_H
#define NET_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "net/lpm.h"
#include "net/route.h"
#include "port/port.h"

enum table_tree { TABLE_LOCAL_V4, TABLE_MAIN_V4, TABLE_LOCAL_V6, TABLE_MAIN_V6, TABLE_TREES };

static inline enum table_tree
table_tree_of(bool ipv6, bool local)
{
	return (enum table_tree)((ipv6 ? TABLE_LOCAL_V6 : TABLE_LOCAL_V4) + !local);
}

struct table_link {
	int32_t ifindex;
	uint32_t flags; /* IFF_* */
	uint32_t mtu;
	char name[16];
	uint8_t mac[6];
	bool ethernet;
	uint16_t vlan_id;  /* 802.1Q; 0: no VLAN interface, or one of a kind that Weir does not send through */
	int32_t lower;     /* of a VLAN interface: what it lies upon */
	struct port *port; /* its own, or for a VLAN interface that of `lower`; NULL: Weir does not have it */
};

struct table_address {
	struct ip_address address;
	int32_t ifindex;
	uint32_t flags;     /* IFA_F_* */
	uint8_t prefix_len; /* as Linux writes it: of 32 or of 128 */
	uint8_t scope;      /* RT_SCOPE_* */
};

struct table {
	struct lpm_node *trees[TABLE_TREES];
	uint32_t link_count, address_count;
	int32_t loopback;                /* ifindex of lo, 0 when there is none */
	struct table_link *links;        /* by ifindex */
	struct table_address *addresses; /* in Linux's order */
};

/* Where a packet leaves, before the neighbour is known. */
struct table_hop {
	const struct table_link *link;
	struct ip_address neighbor; /* gateway, or the destination itself */
	uint32_t route_mtu;         /* 0: the link's */
	uint16_t mtu;               /* of the IP packet, by route and link */
	bool alternatives;          /* the prefix has more hops than this */
};

enum table_verdict { TABLE_OK, TABLE_NO_ROUTE, TABLE_NO_PORT, TABLE_UNREACHABLE, TABLE_LINK_DOWN };

const struct table_link *table_link_find(const struct table *table, int32_t ifindex);
/* Carrier and administrative state together. */
bool table_link_is_up(const struct table_link *link);
/* Longest IP packet that leaves through a link that has a port; route_mtu 0: the route does not say. */
uint16_t table_link_mtu(const struct table_link *link, uint32_t route_mtu);

/* By the local table first, then main, as Linux' rules are. NULL when there is none. */
const struct route_set *table_route_find(const struct table *table, const struct ip_address *destination);
bool table_is_local(const struct table *table, const struct ip_address *address);

/*
 * Hops of the preferred route whose links are up: calls `take` for them, beginning with the one that the destination's
 * hash selects (weighted, so that each destination keeps its hop), until it returns true. Local destinations leave
 * through lo. TABLE_OK only when `take` took one.
 */
enum table_verdict table_hop_find(const struct table *table, const struct ip_address *destination,
				  bool (*take)(void *context, const struct table_hop *hop), void *context);

/* As Linux chooses it (IPv4: fib_info_update_nhc_saddr(); IPv6: RFC 6724 section 5). False: no route or no address. */
bool table_source_find(const struct table *table, const struct ip_address *destination, struct ip_address *source);

#endif
