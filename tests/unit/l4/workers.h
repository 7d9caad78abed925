/*
 * Several workers of L4 in one process, for tests of what they do together: no threads, one memory port with a queue
 * for each, a mirror of nothing behind which everything is reached through a gateway, and rings that are a list. Local
 * addresses are those of configuration.h.
 */
#ifndef UNIT_L4_WORKERS_H
#define UNIT_L4_WORKERS_H

#include "l4/l4.h"
#include "l4/wire.h"

#define WORKERS_MAX 64
#define WORKERS_BURST 32
#define WORKERS_BYTES_MAX 2048
/* Ports of full_nat, unless workers_make_with() says others. */
#define WORKERS_PORT_FIRST 20000
#define WORKERS_PORT_LAST 29999

/* A packet that has left. */
struct workers_sent {
	unsigned int worker; /* who sent it */
	uint16_t len;
	struct endpoint source, destination; /* of the innermost IP header */
	uint32_t identification;             /* of a fragment, the same */
	uint8_t ethernet[14];
	uint8_t ip[WORKERS_BYTES_MAX]; /* from the outermost one on */
};

/*
 * From the next workers_make() on, flows and hops lie where the XDP program reads them, and it knows the targets; time is
 * the kernel's. The program is loaded for as many workers and flows, and stays the caller's; NULL: no more.
 */
struct xdp_program;
void workers_share(struct xdp_program *program, uint64_t start_ns);
#define WORKERS_HASH_SEED 0x5eed

/* `flows` is for each worker. Fails the test when it cannot. */
void workers_make_with(unsigned int count, const char *configuration, uint64_t flows, uint16_t local_port_first,
		       uint16_t local_port_last);
void workers_make(unsigned int count, const char *configuration);
/* Nothing where there are none. */
void workers_free(void);

/*
 * A burst comes in at a worker, and whatever workers hand over goes to whom it is for, until everything rests. Fails
 * the test when a packet is handed to the worker that has it, or more often than it needs: once, and fragments twice.
 * What left is in `workers_sent`, the number of hand-overs in `workers_handed`, of packets that are no service's in
 * `workers_passed`: all of this call alone.
 */
void workers_receive(unsigned int worker, enum l4_arrival arrival, struct rte_mbuf **m, uint16_t count);
extern const struct workers_sent *workers_sent;
extern unsigned int workers_sent_count, workers_handed, workers_passed;
/* The worker where the last packet was passed. */
extern unsigned int workers_passed_at;

/* Fails the test unless that packet left, and nothing else, from this worker. */
const struct workers_sent *workers_assert_sent_by(unsigned int worker);

/* Tells all workers. */
struct port_rss;
void workers_go_by_rss(const struct port_rss *rss);

/* From now on somebody watches every packet, which therefore goes the longest way. */
void workers_watch(void);

/* The packet that `w` describes, in the same way. */
void workers_receive_wire(unsigned int worker, enum l4_arrival arrival, const struct wire *w);
/* A new mbuf: an ICMP error (destination unreachable, port) from a router to `to` about the packet `quoted`, an IP
 * header with what is behind it. */
struct rte_mbuf *workers_error(const struct ip_address *to, const uint8_t *quoted, uint16_t quoted_len);

/* ---- what tests go over, and how they begin and end ---- */

/* Not as many as there may be: what those allocate takes longer than all else. */
#define WORKERS_COUNTS 5
extern const unsigned int workers_counts[WORKERS_COUNTS];
/* Ended by NULL. */
extern const char *const workers_modes[], *const workers_modes_both_ways[];

int workers_setup(void **state);
/* No packet buffer may be missing. */
int workers_teardown(void **state);

/* ---- services and their packets ---- */

#define WORKERS_SERVERS 4

/* 10.0.1.1:80 and [fd00:1::1]:80 of either protocol, and WORKERS_SERVERS of each version, at port 8080 where answers
 * come back. `more` is for their `server`. Until the next call. */
const char *workers_services(const char *mode, const char *more);
/* Whether the server's answers come back through Weir. */
bool workers_answers(const char *mode);
/* The first packet of the nth client. */
struct wire workers_opening(unsigned int n, bool v6, uint8_t ip_protocol);
/* What the receiver of `packet` says to that, the first time. */
struct wire workers_answer(const struct workers_sent *packet, bool v6, uint8_t ip_protocol);

/* The entry of the flow that this packet of a client belongs to, whichever worker has it; NULL: there is none. */
struct l4_flow *workers_flow(const struct wire *w);
/* The only worker makes one, of an established flow, as if a packet had come. False: there is no place. */
bool workers_begin(const struct wire *w);
/* ... is given up. */
void workers_forget(const struct wire *w);

/* ---- chance, and facts ---- */

/* The same numbers for every test. */
void workers_roll_anew(void);
unsigned int workers_roll(unsigned int below);
void workers_pass_seconds(unsigned int seconds);
/* Of all workers together. */
uint64_t workers_counter(enum l4_verdict verdict);
/* Flows that all targets together are said to have. */
uint64_t workers_flows(void);
/* Entries of both directions that a worker has. */
uint64_t workers_entries(unsigned int worker);

#endif
