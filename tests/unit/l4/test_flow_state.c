/* What packets make of a flow. */
#include <rte_tcp.h>

#include "l4/flow.h"
#include "support/cmocka.h"

#define SYN RTE_TCP_SYN_FLAG
#define ACK RTE_TCP_ACK_FLAG
#define FIN RTE_TCP_FIN_FLAG
#define RST RTE_TCP_RST_FLAG

static void
check_track(struct l4_flow *flow, uint8_t tcp_flags, bool from_client, enum l4_flow_state expected)
{
	static uint16_t now_s = 65530;

	l4_flow_track(flow, tcp_flags, from_client, ++now_s);
	assert_int_equal(l4_flow_state(flow), expected);
	assert_int_equal(flow->seen_s, now_s);
}

static void
a_connection_opens_and_closes(void **state)
{
	struct l4_flow flow = { .target = 1, .bits = L4_FLOW_OPENING | L4_FLOW_SPILLED | L4_FLOW_PREFIXED };

	check_track(&flow, SYN, true, L4_FLOW_OPENING);
	check_track(&flow, SYN | ACK, false, L4_FLOW_OPENING);
	check_track(&flow, ACK, true, L4_FLOW_ESTABLISHED);
	check_track(&flow, ACK, false, L4_FLOW_ESTABLISHED);
	check_track(&flow, FIN | ACK, true, L4_FLOW_CLOSING);
	check_track(&flow, ACK, false, L4_FLOW_CLOSING);
	check_track(&flow, FIN | ACK, true, L4_FLOW_CLOSING);
	check_track(&flow, FIN | ACK, false, L4_FLOW_CLOSED);
	check_track(&flow, ACK, true, L4_FLOW_CLOSED);
	check_track(&flow, SYN, true, L4_FLOW_CLOSED);
	assert_int_equal(flow.bits,
			 L4_FLOW_CLOSED | L4_FLOW_SPILLED | L4_FLOW_PREFIXED | L4_FLOW_CLIENT_FIN | L4_FLOW_SERVER_FIN);
	assert_int_equal(flow.target, 1);
}

static void
a_reset_closes_from_any_state(void **state)
{
	for (unsigned int s = L4_FLOW_OPENING; s < L4_FLOW_STATES; s++) {
		for (int from_client = 0; from_client < 2; from_client++) {
			struct l4_flow flow = { .bits = s & 7 };

			check_track(&flow, RST | ACK, from_client, L4_FLOW_CLOSED);
		}
	}
}

static void
one_way_the_clients_half_is_enough(void **state)
{
	struct l4_flow flow = { .bits = L4_FLOW_OPENING };

	check_track(&flow, ACK, true, L4_FLOW_ESTABLISHED);
	check_track(&flow, FIN | ACK, true, L4_FLOW_CLOSING);
	check_track(&flow, ACK, true, L4_FLOW_CLOSING);
}

static void
udp_knows_no_flags(void **state)
{
	struct l4_flow flow = { .bits = L4_FLOW_UDP };

	check_track(&flow, 0, true, L4_FLOW_UDP);
	check_track(&flow, 0, false, L4_FLOW_UDP);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_opens_and_closes),
		cmocka_unit_test(a_reset_closes_from_any_state),
		cmocka_unit_test(one_way_the_clients_half_is_enough),
		cmocka_unit_test(udp_knows_no_flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
