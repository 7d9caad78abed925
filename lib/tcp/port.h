/*
 * Local ports for outgoing connections: RFC 6056 algorithm 4 (double hash) over the ports of this lcore, so that the
 * port of the next connection to a server cannot be guessed, and a port rests as long as possible before it comes
 * again. Of these, such as have their answers come in on this lcore (tcp_env.lands_here) go first; what comes in elsewhere is
 * handed over, by the port's remainder.
 */
#ifndef TCP_PORT_H
#define TCP_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

struct tcp_stack;

#define TCP_PORT_COUNTERS 256

struct tcp_ports {
	uint32_t *users; /* by rank */
	uint32_t count;
	uint16_t first, modulus; /* port = first + rank * modulus */
	uint32_t counters[TCP_PORT_COUNTERS];
};

/* False when the configuration leaves no port, or memory is short. */
bool tcp_ports_init(struct tcp_stack *stack);
void tcp_ports_fini(struct tcp_stack *stack);

/* Sets local->port_be so that the pair is free. A pair in TIME-WAIT may be taken over: then
 * *sequence is the initial sequence number to use, else it is left alone. The port is in use from then on. False: none
 * is free. */
bool tcp_port_choose(struct tcp_stack *stack, struct endpoint *local, const struct endpoint *remote,
		     uint32_t *sequence);

void tcp_port_get(struct tcp_stack *stack, uint16_t port_be);
void tcp_port_put(struct tcp_stack *stack, uint16_t port_be);

#endif
