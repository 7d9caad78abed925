/* What comes in and goes out through an AF_XDP port, and what becomes of it when a queue or the pool has no room. */
#include <stdio.h>
#include <string.h>

#include "support/cmocka.h"
#include "support/dpdk.h"
#include "support/namespace.h"
#include "xdp_wire.h"

static void
packets_come_in_as_they_were_sent(void **state)
{
	struct rte_mbuf *m[64];

	wire_make(1);
	wire_serve("10.0.0.1");
	wire_open(&(struct port_config){ .name = "w0" }, 1);
	assert_int_equal(wire.port->features & PORT_FLOW_STABLE, PORT_FLOW_STABLE);
	assert_int_equal(wire.port->mtu, 1500);
	for (uint32_t round = 0; round < 100; round++) {
		for (uint32_t i = 0; i < 50; i++)
			wire_peer_sends(round * 50 + i, PEER_PORT);
		assert_int_equal(wire_receive(0, m, 50), 50);
		for (uint32_t i = 0; i < 50; i++) {
			assert_int_equal(wire_number(m[i]), round * 50 + i);
			wire_assert_as_sent(m[i], PEER_PORT);
			assert_true(rte_pktmbuf_headroom(m[i]) >= RTE_PKTMBUF_HEADROOM);
		}
		rte_pktmbuf_free_bulk(m, 50);
	}
	assert_int_equal(wire_counter(PORT_RX_PACKETS), 5000);
}

static void
the_rest_stays_with_the_kernel(void **state)
{
	struct rte_mbuf *m[4];

	wire_make(1);
	wire_serve("10.0.0.1");
	wire_open(&(struct port_config){ .name = "w0" }, 1);
	namespace_run_in(wire.peer, "ping -q -c 3 -i 0.05 -W 1 10.0.0.1 >/dev/null");
	namespace_run("ping -q -c 3 -i 0.05 -W 1 10.0.0.2 >/dev/null");
	assert_int_equal(wire_receive(0, m, 4), 0);
}

static void
packets_leave_with_right_checksums(void **state)
{
	wire_make(1);
	wire_open(&(struct port_config){ .name = "w0" }, 1);
	for (uint32_t round = 0; round < 100; round++) {
		struct rte_mbuf *m[50];

		for (uint32_t i = 0; i < 50; i++)
			m[i] = wire_packet(wire.pool, round * 50 + i);
		port_tx_burst(wire.port, 0, m, 50);
	}
	assert_int_equal(wire_peer_receives(0), 5000);
	assert_int_equal(wire_counter(PORT_TX_PACKETS), 5000);
	assert_int_equal(wire_counter(PORT_TX_FULL), 0);
	assert_true(wire_counter(PORT_TX_CALLS) > 0);
}

/* Chains, clones, packets that somebody still holds, and packets of another pool. */
static void
whatever_the_mbuf_is_the_packet_leaves(void **state)
{
	struct rte_mbuf *m[5], *held, *tail;
	uint32_t len;

	wire_make(1);
	wire_open(&(struct port_config){ .name = "w0" }, 1);
	m[0] = wire_packet(support_pool(), 0);
	held = m[1] = wire_packet(wire.pool, 1);
	rte_mbuf_refcnt_update(held, 1);
	m[2] = wire_packet(wire.pool, 2);
	tail = rte_pktmbuf_alloc(wire.pool);
	len = m[2]->data_len - 50u;
	memcpy(rte_pktmbuf_append(tail, (uint16_t)len), rte_pktmbuf_mtod_offset(m[2], void *, 50), len);
	rte_pktmbuf_trim(m[2], (uint16_t)len);
	rte_pktmbuf_chain(m[2], tail);
	m[3] = wire_packet(wire.pool, 3);
	tail = m[3];
	m[3] = rte_pktmbuf_clone(tail, wire.pool);
	rte_pktmbuf_free(tail);
	m[4] = wire_packet(wire.pool, 4);
	port_tx_burst(wire.port, 0, m, 5);
	assert_int_equal(wire_peer_receives(0), 5);
	assert_int_equal(rte_mbuf_refcnt_read(held), 1);
	rte_pktmbuf_free(held);
}

static void
no_queue_of_the_device_is_missed(void **state)
{
	static struct rte_mbuf *m[2][1000];
	bool seen[1000] = { false };
	uint32_t n[2];

	wire_make(4);
	wire_serve("10.0.0.1");
	wire_open(&(struct port_config){ .name = "w0" }, 2);
	assert_int_equal(wire.port->queues, 2);
	assert_int_equal(wire.port->features & PORT_FLOW_STABLE, 0);
	for (uint32_t i = 0; i < 1000; i++)
		wire_peer_sends(i, (uint16_t)(1000 + i));
	n[0] = wire_receive(0, m[0], 1000);
	n[1] = wire_receive(1, m[1], 1000);
	assert_true(n[0] > 0 && n[1] > 0);
	assert_int_equal(n[0] + n[1], 1000);
	for (int queue = 0; queue < 2; queue++) {
		for (uint32_t i = 0; i < n[queue]; i++) {
			uint32_t number = wire_number(m[queue][i]);

			assert_true(number < 1000 && !seen[number]);
			seen[number] = true;
			wire_assert_as_sent(m[queue][i], (uint16_t)(1000 + number));
		}
		rte_pktmbuf_free_bulk(m[queue], n[queue]);
	}
}

static void
a_full_receive_queue_loses_nothing_uncounted(void **state)
{
	static struct rte_mbuf *m[1000];
	uint32_t n;

	wire_make(1);
	wire_serve("10.0.0.1");
	wire_open(&(struct port_config){ .name = "w0", .rx_descriptors = 64 }, 1);
	for (uint32_t i = 0; i < 1000; i++)
		wire_peer_sends(i, PEER_PORT);
	n = wire_receive(0, m, 1000);
	assert_int_equal(n, 64);
	rte_pktmbuf_free_bulk(m, n);
	port_refresh(wire.port);
	assert_int_equal(wire_counter(PORT_RX_MISSED) + n, 1000);
	assert_int_equal(wire_counter(PORT_RX_OVERSIZE), 0);
	wire_peer_sends(7, PEER_PORT);
	assert_int_equal(wire_receive(0, m, 1), 1);
	wire_assert_as_sent(m[0], PEER_PORT);
	rte_pktmbuf_free(m[0]);
}

static void
a_full_send_queue_loses_nothing_uncounted(void **state)
{
	static struct rte_mbuf *m[2000];
	uint32_t arrived;

	wire_make(1);
	wire_open(&(struct port_config){ .name = "w0", .tx_descriptors = 64 }, 1);
	for (uint32_t i = 0; i < 2000; i++)
		m[i] = wire_packet(wire.pool, i);
	port_tx_burst(wire.port, 0, m, 2000);
	arrived = wire_peer_receives(0);
	assert_true(arrived >= 64);
	assert_int_equal(wire_counter(PORT_TX_PACKETS), arrived);
	assert_int_equal(wire_counter(PORT_TX_FULL), 2000 - arrived);
}

/* The worker holds every mbuf there is; when some come back, packets come in again. */
static void
an_empty_pool_is_survived(void **state)
{
	static struct rte_mbuf *hoard[WIRE_MBUFS];
	struct rte_mbuf *m[64];
	uint32_t hoarded = 0;

	wire_make(1);
	wire_serve("10.0.0.1");
	wire_open(&(struct port_config){ .name = "w0", .rx_descriptors = 64 }, 1);
	while ((hoard[hoarded] = rte_pktmbuf_alloc(wire.pool)))
		hoarded++;
	for (uint32_t i = 0; i < 100; i++)
		wire_peer_sends(i, PEER_PORT);
	assert_int_equal(wire_receive(0, m, 64), 64);
	assert_int_equal(wire_counter(PORT_RX_NO_MBUF), 64);
	wire_peer_sends(1, PEER_PORT);
	port_refresh(wire.port);
	assert_int_equal(wire_counter(PORT_RX_MISSED), 37);
	assert_false(wire.port->ops->arm(wire.port, 0));
	rte_pktmbuf_free_bulk(hoard, hoarded);
	assert_true(wire.port->ops->arm(wire.port, 0));
	wire_peer_sends(2, PEER_PORT);
	rte_pktmbuf_free_bulk(m, 64);
	assert_int_equal(wire_receive(0, m, 1), 1);
	assert_int_equal(wire_number(m[0]), 2);
	rte_pktmbuf_free(m[0]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WIRE_TEST(packets_come_in_as_they_were_sent),
		WIRE_TEST(the_rest_stays_with_the_kernel),
		WIRE_TEST(packets_leave_with_right_checksums),
		WIRE_TEST(whatever_the_mbuf_is_the_packet_leaves),
		WIRE_TEST(no_queue_of_the_device_is_missed),
		WIRE_TEST(a_full_receive_queue_loses_nothing_uncounted),
		WIRE_TEST(a_full_send_queue_loses_nothing_uncounted),
		WIRE_TEST(an_empty_pool_is_survived),
	};

	namespace_enter();
	if (wire_init() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
