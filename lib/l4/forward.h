/*
 * Ways to a server: one struct per word of the `forward` directive, each in a file of forward/. The pipeline knows
 * properties, never names.
 *
 * A forwarder rewrites one packet in place (headers in front come from the headroom) and knows neither flows' table nor
 * routes. Afterwards the mbuf's data starts at the outermost IP header, and l2_len, l3_len, l4_len and ol_flags say what
 * port_tx_burst() has to fill. TTL and MTU have been seen to before. Called on the packet's lcore.
 */
#ifndef L4_FORWARD_H
#define L4_FORWARD_H

#include "l4/flow.h"
#include "l4/packet.h"
#include "l4/target.h"
#include "l4/verdict.h"

enum l4_forwarder_property {
	L4_NEEDS_LOCAL_PORT = 1 << 0, /* the source becomes target->local and flow->local_port_be */
	L4_SEES_ANSWERS = 1 << 1,     /* the server's packets come back through Weir and are rewritten, too */
	L4_ON_LINK = 1 << 2,          /* the server is a neighbour: the frame goes to it, the packet stays as it is */
	L4_TUNNELS = 1 << 3,     /* the packet goes in another whose source is target->local; IP versions may differ */
	L4_KEEPS_PORT = 1 << 4,  /* the server's port is the packet's: a port of its own in `server` is refused */
	L4_TUNNEL_PORT = 1 << 5, /* the tunnel is over UDP, to target->gue_port_be: `port=` may follow the word */
};

typedef enum l4_verdict l4_forward_function(struct l4_packet *packet, const struct l4_target *target,
					    struct l4_flow *flow);

struct l4_forwarder {
	const char *name;    /* the word: "full_nat" */
	uint32_t properties; /* enum l4_forwarder_property */

	/* Bytes that the packet grows by towards this target, at most. */
	uint16_t (*growth)(const struct l4_target *target, bool ipv6_client);

	/* Client to server. `flow` is NULL for a stateless packet (never with L4_SEES_ANSWERS). L4_FORWARDED, or a drop:
	 * then the packet is as it was, or is to be freed in either case by the caller. */
	l4_forward_function *to_server;
	/* Server to client; NULL without L4_SEES_ANSWERS. */
	l4_forward_function *to_client;
	/*
	 * The same for plain packets of IPv4 and IPv6: of one segment, without options or extension headers, whole, with a
	 * complete sum; and for targets without options. The bytes are those that the above would leave, but of the mbuf only
	 * tx_offload and ol_flags are set: `packet` says where the outermost header is (l3, ip_len).
	 */
	l4_forward_function *plain_to_server[2], *plain_to_client[2];
};

/* NULL-terminated, in the order of the documents. */
extern const struct l4_forwarder *const l4_forwarders[];
const struct l4_forwarder *l4_forwarder_find(const char *name, size_t len);

/* No address of ours was known to send from when the target was made: no route led there. */
static inline bool
l4_target_lacks_source(const struct l4_target *target)
{
	return target->forwarder->properties & (L4_NEEDS_LOCAL_PORT | L4_TUNNELS) && ip_address_is_any(&target->local);
}

/* ---- what forwarders and the pipeline share (rewrite.c) ---- */

/* New addresses and ports with incremental checksums (RFC 1624): IPv4 header, TCP, UDP (0 stays 0 in IPv4), of a later
 * fragment the addresses alone. A partial sum is left for the port to fill (L4_PACKET_PARTIAL). NULL leaves an address as
 * it is, 0 a port. The packet's own ports follow. */
void l4_rewrite_source(struct l4_packet *packet, const struct ip_address *ip, uint16_t port_be);
void l4_rewrite_destination(struct l4_packet *packet, const struct ip_address *ip, uint16_t port_be);
/* One less, with the checksum. The caller has seen that it is above 1. */
void l4_rewrite_ttl(struct l4_packet *packet);
/* Takes what is in front of the IP header (Ethernet, tag) and behind the packet (padding) off the mbuf, and sets lengths and,
 * for a partial sum, ol_flags for the port. Forwarders and l4_icmp_relay() do so themselves. */
void l4_packet_strip(struct l4_packet *packet);
/* Lowers a SYN's MSS option to `mss` (RFC 6691: of the TCP payload without options), checksum included. */
void l4_rewrite_mss(struct l4_packet *packet, uint16_t mss);

/* ---- ICMP (icmp.c) ---- */

/*
 * A new packet from `pool`: an ICMP or ICMPv6 error about `packet` (which stays as it is), from `source` to its sender, with as much
 * of it as RFC 1812 section 4.3.2.3 (576 bytes) and RFC 4443 section 2.4 (1280) allow. Data starts at the IP header, sums are
 * complete. NULL when there is no mbuf, or an error must not be sent (RFC 1122 section 3.2.2: about an error, a later
 * fragment, a group address).
 */
struct rte_mbuf *l4_icmp_too_big(struct rte_mempool *pool, const struct l4_packet *packet,
				 const struct ip_address *source, uint16_t mtu);
struct rte_mbuf *l4_icmp_time_exceeded(struct rte_mempool *pool, const struct l4_packet *packet,
				       const struct ip_address *source);
/* Of the server, or (IPv4) of its network. */
struct rte_mbuf *l4_icmp_unreachable(struct rte_mempool *pool, const struct l4_packet *packet,
				     const struct ip_address *source, bool network);

/*
 * Rewrites an ICMP error in place for the other end of a flow: outer destination (and source where `source` is not NULL), and in
 * the quote the addresses and ports as that end knows them (`quoted_source`, `quoted_destination`; RFC 5508 sections 4.2 and
 * 4.3), all checksums complete. `mtu_growth` is taken off an MTU that it names. False when the quote is too short.
 */
bool l4_icmp_relay(struct l4_packet *packet, const struct ip_address *source, const struct ip_address *destination,
		   const struct endpoint *quoted_source, const struct endpoint *quoted_destination,
		   uint16_t mtu_growth);

#endif
