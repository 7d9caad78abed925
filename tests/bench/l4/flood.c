#include "flood.h"

#include <rte_tcp.h>

#include "base/clock.h"

#define SECONDS 60
/* From a client's request to its next packet: long, as it may be that its server is far away. */
#define ANSWER_NS (200 * NS_PER_MS)
/* After that it ends. */
#define LIFE_NS (5 * NS_PER_SECOND)
/* The real clients' numbers are below. */
#define FORGED_FIRST (SYNTHETIC_CLIENTS_MAX / 2)

static uint64_t
forwarded(const struct world *w)
{
	const uint64_t *counters = l4_worker_counters(w->worker);

	return counters[L4_FORWARDED] + counters[L4_STARTED] + counters[L4_STATELESS];
}

/* Bursts of clients from `first` on. Returns the packets that went on to a server. */
static uint64_t
send_bursts(struct world *w, uint32_t first, uint32_t bursts, uint8_t tcp_flags)
{
	uint64_t before = forwarded(w);

	synthetic_port_clients(&w->port, first, first + bursts * PORT_BURST, tcp_flags);
	world_run(w, (uint64_t)bursts * PORT_BURST);
	return forwarded(w) - before;
}

void
flood_run(struct world *w, uint32_t rate, struct flood_result *out)
{
	const uint64_t step_ns = PORT_BURST * NS_PER_SECOND / rate;
	const uint32_t steps = (uint32_t)(SECONDS * NS_PER_SECOND / step_ns),
		       delay = (uint32_t)(ANSWER_NS / step_ns) + 1, life = (uint32_t)(LIFE_NS / step_ns) + 1;
	const uint32_t forged_room = (SYNTHETIC_CLIENTS_MAX - FORGED_FIRST) / PORT_BURST / FLOOD_FORGED_PER_REAL;

	*out = (struct flood_result){ 0 };
	for (uint32_t step = 0; step < steps; step++) {
		uint32_t forged = FORGED_FIRST + step % forged_room * PORT_BURST * FLOOD_FORGED_PER_REAL;

		w->now_ns += step_ns;
		send_bursts(w, step * PORT_BURST, 1, RTE_TCP_SYN_FLAG);
		send_bursts(w, forged, FLOOD_FORGED_PER_REAL, RTE_TCP_SYN_FLAG);
		if (step < delay)
			continue;
		out->connections += PORT_BURST;
		out->lost += PORT_BURST - send_bursts(w, (step - delay) * PORT_BURST, 1, RTE_TCP_ACK_FLAG);
		if (step >= life)
			send_bursts(w, (step - life) * PORT_BURST, 1, RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG);
	}
}
