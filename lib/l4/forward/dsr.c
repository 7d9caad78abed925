/* Direct server return: the frame goes to the server, which has the service's address itself and answers the client. */
#include "l4/forward/forwarders.h"
#include "l4/rewrite_inline.h"

static uint16_t
dsr_growth(const struct l4_target *target, bool ipv6_client)
{
	return 0;
}

static inline enum l4_verdict
leave_as_it_is(struct l4_packet *packet, const struct l4_target *target, struct l4_flow *flow)
{
	return L4_FORWARDED;
}

L4_PLAIN_FUNCTIONS(dsr_plain, leave_as_it_is)

static enum l4_verdict
dsr_to_server(struct l4_packet *packet, const struct l4_target *target, struct l4_flow *flow)
{
	l4_strip(packet);
	return L4_FORWARDED;
}

const struct l4_forwarder l4_dsr = {
	.name = "dsr",
	.properties = L4_ON_LINK | L4_KEEPS_PORT,
	.growth = dsr_growth,
	.to_server = dsr_to_server,
	.plain_to_server = { dsr_plain_v4, dsr_plain_v6 },
};
