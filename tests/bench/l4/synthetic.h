/*
 * A port that makes its packets itself and forgets what is sent: what is measured behind it is the balancer's work, not a
 * device's. Packets follow from a counter, so that a million flows cost the generator no memory; the answers of full NAT
 * and NAT, which depend on what the balancer chose, take 4 bytes per flow that are read in order.
 *
 * One thread. Frames are the shortest there are: 60 bytes (64 with the check sequence), 74 with TCP over IPv6.
 */
#ifndef BENCH_L4_SYNTHETIC_H
#define BENCH_L4_SYNTHETIC_H

#include "port/port.h"

#define SYNTHETIC_SERVERS 64
/* Of one network, where the balancer's own address is 254. */
#define SYNTHETIC_SERVERS_MAX 250
/* Clients are numbered; their addresses and ports follow. */
#define SYNTHETIC_CLIENTS_MAX (1u << 24)

enum synthetic_traffic {
	SYNTHETIC_CLIENTS,           /* from clients to the service */
	SYNTHETIC_ANSWERS_BY_PORT,   /* from servers to local ports, as noted */
	SYNTHETIC_ANSWERS_BY_CLIENT, /* from servers to clients, as noted */
	SYNTHETIC_TRAFFIC_COUNT,
};

struct synthetic_port {
	struct port port;
	struct port_queue_counters counters;
	struct rte_mempool *pool;
	uint64_t rearm; /* of a fresh buffer (struct rte_mbuf) */

	enum synthetic_traffic traffic;
	uint8_t frame[80] __attribute__((aligned(16))); /* the template */
	uint16_t frame_len;
	bool ipv6;
	uint32_t first, end; /* numbers of the clients in turn, or places in `notes` */
	uint32_t next;

	/* What was sent towards servers is noted when not NULL: who is to be answered. */
	uint32_t *notes;
	uint32_t notes_count, notes_max;
	bool notes_ports;
};

/* `pool`: as port_pool_new() makes it. */
void synthetic_port_init(struct synthetic_port *s, struct rte_mempool *pool, bool ipv6, uint8_t ip_protocol);

/* Clients first to end - 1 in turn, with these TCP flags. */
void synthetic_port_clients(struct synthetic_port *s, uint32_t first, uint32_t end, uint8_t tcp_flags);
/* The servers' answers to all that was noted, in turn. */
void synthetic_port_answers(struct synthetic_port *s);
/* Room for `max` notes: local ports where the servers see the balancer, else clients. False: no memory. */
bool synthetic_port_note(struct synthetic_port *s, uint32_t max, bool ports);
void synthetic_port_fini(struct synthetic_port *s);

/* What the frames say: address `number` of the servers, the balancer's own, the service's. */
struct ip_address synthetic_server(bool ipv6, uint32_t number);
struct ip_address synthetic_local(bool ipv6);
struct ip_address synthetic_service(bool ipv6);
#define SYNTHETIC_PORT 80

#endif
