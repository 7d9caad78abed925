/*
 * For tests of sending: this host with two links, v0 (10.1.0.1/24, 2001:db8:1::1/64) and w0 (10.2.0.1/24), whose other ends
 * are a real Linux host in a namespace of its own, which answers ARP and NDP; a started mirror of it, memory ports, and the
 * output of worker 0, which the test is.
 */
#ifndef TEST_HOSTS_H
#define TEST_HOSTS_H

#include <sys/types.h>

#include "memory_port.h"
#include "net/net.h"

#define MAC_V0 "02:00:00:00:00:01"
#define MAC_W0 "02:00:00:00:00:02"
#define MAC_PEER "02:00:00:00:01:01"
#define MAC_PEER_W "02:00:00:00:01:02"

extern struct net_mirror *mirror;
extern struct net_output *output;
extern struct memory_port *v0, *w0, *lo;
/* Has 10.1.0.2, 10.1.0.3, 2001:db8:1::2 and fe80::99 on v1, 10.2.0.2 on w1. */
extern pid_t peer;

/* First in main(). */
void hosts_init(void);
/* Around each test; the end finds packets that were lost or kept. */
int hosts_setup(void **state);
int hosts_teardown(void **state);

struct ip_address hosts_address(const char *text);
/* A packet with so many bytes behind its IP header. */
struct rte_mbuf *packet_to(const char *destination, uint16_t payload);
void send_to(const char *destination);
void flush(void);
uint64_t counter(enum net_counter which);
/* Flushes; true when the port has been given so many packets. */
bool received(struct memory_port *port, uint32_t count);
/* Good until the second call after this. */
const char *mac_text(const struct rte_ether_addr *mac);
void assert_frame(const struct rte_mbuf *m, const char *destination, const char *source, uint16_t type);

#endif
