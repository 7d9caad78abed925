#include "memory_port.h"

#include <net/if.h>
#include <stdio.h>
#include <string.h>

static void
keep(struct port *port, uint16_t queue, struct rte_mbuf **m, uint16_t count)
{
	struct memory_port *memory = (struct memory_port *)port;

	for (uint16_t i = 0; i < count; i++) {
		if (memory->count == MEMORY_PORT_PACKETS) {
			rte_pktmbuf_free(m[i]);
			continue;
		}
		memory->queues[memory->count] = queue;
		memory->packets[memory->count++] = m[i];
	}
}

static const struct port_ops ops = { .kind = "memory", .tx_burst = keep };

void
memory_port_init(struct memory_port *port, uint16_t index, const char *interface_name)
{
	memset(port, 0, sizeof(*port));
	port->port.ops = &ops;
	snprintf(port->port.name, sizeof(port->port.name), "%s", interface_name);
	snprintf(port->port.interface_name, sizeof(port->port.interface_name), "%s", interface_name);
	port->port.index = index;
	port->port.ifindex = (int)if_nametoindex(interface_name);
	port->port.mtu = 1500;
	port->port.queues = 1;
	port->port.features = PORT_TX_CHECKSUM | PORT_TX_SEGMENTS;
	port->port.counters = port->counters;
}

void
memory_port_clear(struct memory_port *port)
{
	rte_pktmbuf_free_bulk(port->packets, port->count);
	port->count = 0;
}
