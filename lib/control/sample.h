/*
 * Numbers of a second ago, so that the control thread can say how fast they grow. Control thread only.
 */
#ifndef CONTROL_SAMPLE_H
#define CONTROL_SAMPLE_H

#include "control/control.h"

#define CONTROL_COUNTERS_MAX 512

struct control_rate {
	uint64_t value;
	uint64_t per_second; /* over the last sample's span */
};

enum control_port_rate {
	CONTROL_RX_PACKETS,
	CONTROL_RX_BYTES,
	CONTROL_TX_PACKETS,
	CONTROL_TX_BYTES,
	CONTROL_PORT_RATES
};

struct control_sample {
	uint64_t start_ns; /* when Weir began */
	uint64_t time_ns;  /* of the last sample; 0: none yet */
	struct {
		uint64_t busy_ns;
		double share;
	} workers[CONTROL_WORKERS_MAX];
	struct {
		const char *room, *name;
		struct control_rate rate;
	} counters[CONTROL_COUNTERS_MAX];
	uint32_t counter_count;
	struct control_rate ports[PORTS_MAX][CONTROL_PORT_RATES];
	struct control_target_sample {
		struct control_rate packets, bytes;
	} * targets; /* L4_TARGETS_MAX; NULL until there are services */
};

void control_sample_take(struct control_sample *sample, const struct control_host *host, uint64_t now_ns);
void control_sample_free(struct control_sample *sample);

/* A target's numbers now, summed over the workers. */
struct l4_target_use control_target_use(const struct control_facts *facts, uint32_t target);
/* A port's counter now, summed over its queues. */
uint64_t control_port_counter(const struct port *port, enum port_counter counter);

#endif
