/*
 * A port that keeps what it is given to send, for tests of what comes before ports, and a wait for what a mirror's thread
 * does in its own time.
 */
#ifndef TEST_MEMORY_PORT_H
#define TEST_MEMORY_PORT_H

#include "port/port.h"

#define MEMORY_PORT_PACKETS 1024

struct memory_port {
	struct port port;
	struct port_queue_counters counters[PORT_QUEUES_MAX];
	uint32_t count;
	struct rte_mbuf *packets[MEMORY_PORT_PACKETS];
	uint16_t queues[MEMORY_PORT_PACKETS]; /* where each was sent */
};

/* As a port of the interface of this name in the test's namespace. */
void memory_port_init(struct memory_port *port, uint16_t index, const char *interface_name);
/* Frees what was kept. */
void memory_port_clear(struct memory_port *port);

/* True as soon as the condition holds, looking every 200 us for at most 3 s. */
#define await(condition)                                                                                               \
	({                                                                                                             \
		bool holds_ = false;                                                                                   \
		for (int i_ = 0; i_ < 15000 && !(holds_ = (condition)); i_++)                                          \
			usleep(200);                                                                                   \
		holds_;                                                                                                \
	})

#endif
