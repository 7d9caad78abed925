#include "weir-replay/output_port.h"

#include <stdio.h>
#include <string.h>

static void
write_frames(struct port *port, uint16_t queue, struct rte_mbuf **m, uint16_t count)
{
	struct output_port *output = (struct output_port *)port;

	for (uint16_t i = 0; i < count; i++) {
		capture_writer_add(output->writer, output->time_ns, m[i]);
		output->counters.values[PORT_TX_BYTES] += m[i]->pkt_len;
	}
	output->counters.values[PORT_TX_PACKETS] += count;
	output->frames += count;
	rte_pktmbuf_free_bulk(m, count);
}

static uint16_t
receive_nothing(struct port *port, uint16_t queue, struct rte_mbuf **out, uint16_t max)
{
	return 0;
}

static int
wait_fd(struct port *port, uint16_t queue)
{
	return -1;
}

static bool
link_up(struct port *port)
{
	return true;
}

static const struct port_ops ops = {
	.kind = "capture",
	.rx_burst = receive_nothing,
	.tx_burst = write_frames,
	.wait_fd = wait_fd,
	.link_up = link_up,
};

void
output_port_init(struct output_port *output, const char *name, uint16_t mtu, struct capture_writer *writer)
{
	memset(output, 0, sizeof(*output));
	output->port.ops = &ops;
	snprintf(output->port.name, sizeof(output->port.name), "%s", name);
	snprintf(output->port.interface_name, sizeof(output->port.interface_name), "%.15s", name);
	output->port.ifindex = 1;
	output->port.mac = (struct rte_ether_addr){ { 0x02, 0, 0, 0, 0, 0x01 } };
	output->port.mtu = mtu;
	output->port.queues = 1;
	/* Without PORT_TX_CHECKSUM, so that the file shows what a receiver would see. */
	output->port.features = PORT_TX_SEGMENTS;
	output->port.counters = &output->counters;
	output->writer = writer;
}
