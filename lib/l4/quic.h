/*
 * Which server issued a QUIC packet's destination connection id: by an id that the server puts into octets 1 to N of all that
 * it issues, in plain text (draft-ietf-quic-load-balancers section 4.2; octet 0 is the server's to use). So a client whose
 * address or port changes stays with its server.
 *
 * Control builds a table for each service with `quic_affinity on`, in the generation's arena; any lcore reads it.
 */
#ifndef L4_QUIC_H
#define L4_QUIC_H

#include "base/arena.h"
#include "l4/packet.h"
#include "upstream/upstream.h"

struct l4_quic_ids {
	uint32_t id_len; /* octets: 1 to UPSTREAM_QUIC_ID_MAX */
	uint32_t count;
	struct l4_quic_id {
		uint64_t id;
		uint32_t server; /* index into group->servers */
	} ids[];                 /* by id */
};

/* Of all servers of the group that are not `down`; drained ones keep what they have. Every server has an id, all of one
 * length and no two alike (check.c). */
const struct l4_quic_ids *l4_quic_ids_build(struct arena *arena, const struct upstream_group *group);

/* The server that a UDP packet's connection id names, -1: none, or not to be seen. Believes nothing that the packet says:
 * no octet behind the first segment, the IP packet or the datagram is read. */
int l4_quic_server(const struct l4_quic_ids *ids, const struct l4_packet *packet);

#endif
