/*
 * The one port of a replay: what is sent through it goes into a capture file, stamped with the time that the replay has
 * set. Nothing is received from it; the replay makes the packets itself.
 */
#ifndef WEIR_REPLAY_OUTPUT_PORT_H
#define WEIR_REPLAY_OUTPUT_PORT_H

#include "port/port.h"
#include "weir-replay/capture.h"

struct output_port {
	struct port port;
	struct port_queue_counters counters;
	struct capture_writer *writer;
	uint64_t time_ns; /* of what is being replayed */
	uint64_t frames;  /* written */
};

/* `name` as the configuration has it. The writer stays the caller's. */
void output_port_init(struct output_port *output, const char *name, uint16_t mtu, struct capture_writer *writer);

#endif
