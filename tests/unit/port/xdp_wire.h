/*
 * AF_XDP ports on real interfaces in namespaces of our own: w0 is Weir's, 10.0.0.1, w1 the peer's, 10.0.0.2, in a namespace
 * beside it, which is looked at through a packet socket. One of each at a time.
 */
#ifndef XDP_WIRE_H
#define XDP_WIRE_H

#include <sys/types.h>

#include "port/port.h"
#include "xdp/xdp.h"

#define WIRE_MBUFS 20480
#define OUR_ADDRESS 0x0a000001
#define PEER_ADDRESS 0x0a000002
#define OUR_PORT 8080
#define PEER_PORT 7000

extern struct wire {
	struct rte_mempool *pool;
	char error[512];
	/* Of the test that runs. */
	struct xdp_program *program;
	struct port *port;
	pid_t peer;
	int peer_socket;
	bool long_packets; /* what the next port is opened with */
} wire;

/* Once, in the namespace that the ports are to be in. 0, or what main() is to return. */
int wire_init(void);
/* Before and after every test, however it went: loads the program; frees all that is left, and fails when an mbuf is. */
int wire_set_up(void **state);
int wire_tear_down(void **state);

void wire_make(unsigned int queues);
/* From here on the caller is in the peer's namespace; and back. */
void wire_enter_peer(void);
void wire_leave_peer(void);
/* UDP to OUR_PORT of the address is Weir's. */
void wire_serve(const char *address);
void wire_open(const struct port_config *config, unsigned int workers);

/* Packet `number`: UDP, of a length and with bytes that the number says. */
void wire_peer_sends(uint32_t number, uint16_t from_port);
uint32_t wire_number(const struct rte_mbuf *m);
void wire_assert_as_sent(const struct rte_mbuf *m, uint16_t from_port);
/* Up to `max` packets, until none has come for 20 ms. */
uint32_t wire_receive(uint16_t queue, struct rte_mbuf **out, uint32_t max);

/* Headers as a stack would leave them: checksums to be filled. */
struct rte_mbuf *wire_packet(struct rte_mempool *from, uint32_t number);
/* How many arrived at the peer, each as it was built, in order of their numbers from `first` on. */
uint32_t wire_peer_receives(uint32_t first);

uint64_t wire_counter(enum port_counter which);
/* A millisecond. */
void wire_nap(void);

#define WIRE_TEST(name) cmocka_unit_test_setup_teardown(name, wire_set_up, wire_tear_down)

#endif
