/* AF_XDP ports that come, sleep, and go; and interfaces that do. */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "support/cmocka.h"
#include "support/namespace.h"
#include "xdp_wire.h"

static bool
readable(uint16_t queue, int timeout_ms)
{
	struct pollfd p = { .fd = wire.port->ops->wait_fd(wire.port, queue), .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

static void
check_sleep(unsigned int device_queues)
{
	struct rte_mbuf *m[4];
	uint16_t got;

	wire_make(device_queues);
	wire_serve("10.0.0.1");
	wire_open(&(struct port_config){ .name = "w0" }, 1);
	for (uint16_t from_port = 1; from_port < 10; from_port++) {
		assert_true(wire.port->ops->arm(wire.port, 0));
		assert_false(readable(0, 20));
		wire_peer_sends(1, from_port);
		assert_true(readable(0, 1000));
		assert_false(wire.port->ops->arm(wire.port, 0));
		got = port_rx_burst(wire.port, 0, m, 4);
		assert_int_equal(got, 1);
		rte_pktmbuf_free(m[0]);
	}
}

static void
a_sleeping_queue_is_woken(void **state)
{
	check_sleep(1);
}

static void
a_sleeping_queue_of_several_sockets_is_woken(void **state)
{
	check_sleep(4);
}

static void
ports_come_and_go_on_one_interface(void **state)
{
	struct rte_mbuf *m[1];

	wire_make(2);
	wire_serve("10.0.0.1");
	for (uint32_t i = 0; i < 10; i++) {
		wire_open(&(struct port_config){ .name = "w0" }, 1);
		wire_peer_sends(i, PEER_PORT);
		assert_int_equal(wire_receive(0, m, 1), 1);
		assert_int_equal(wire_number(m[0]), i);
		rte_pktmbuf_free(m[0]);
		/* What nobody fetches goes back with the port, too. */
		wire_peer_sends(i, PEER_PORT);
		port_free(wire.port);
		wire.port = NULL;
		assert_int_equal(rte_mempool_avail_count(wire.pool), WIRE_MBUFS);
	}
}

static void
a_second_port_on_an_interface_is_refused(void **state)
{
	struct port_environment environment = { .workers = 1, .pool = wire.pool };
	struct port *second;

	wire_make(1);
	wire_open(&(struct port_config){ .name = "w0" }, 1);
	assert_int_equal(xdp_program_load(&environment.program, NULL, wire.error, sizeof(wire.error)), 0);
	assert_int_equal(port_new(&(struct port_config){ .name = "w0" }, &environment, 1, &second, wire.error,
				  sizeof(wire.error)),
			 -EBUSY);
	assert_non_null(strstr(wire.error, "another Weir"));
	xdp_program_free(environment.program);
}

static void
more_queues_than_the_device_has_are_refused(void **state)
{
	struct port_environment environment = { .workers = 4, .pool = wire.pool, .program = wire.program };

	wire_make(2);
	assert_int_equal(port_new(&(struct port_config){ .name = "w0", .queues = 3 }, &environment, 0, &wire.port,
				  wire.error, sizeof(wire.error)),
			 -EINVAL);
	assert_non_null(strstr(wire.error, "3 queues are configured, the device has 2"));
	wire.port = NULL;
}

static void
send_a_few(uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct rte_mbuf *m = wire_packet(wire.pool, i);

		port_tx_burst(wire.port, 0, &m, 1);
	}
}

static void
a_link_that_is_down_is_no_harm(void **state)
{
	struct rte_mbuf *m[4];

	wire_make(1);
	wire_serve("10.0.0.1");
	wire_open(&(struct port_config){ .name = "w0" }, 1);
	assert_true(wire.port->ops->link_up(wire.port));
	namespace_run("ip link set w0 down");
	assert_false(wire.port->ops->link_up(wire.port));
	port_refresh(wire.port);
	send_a_few(3000);
	assert_int_equal(port_rx_burst(wire.port, 0, m, 4), 0);
	assert_true(wire_counter(PORT_TX_FULL) > 0);
	assert_true(wire.port->ops->arm(wire.port, 0));
	namespace_run("ip link set w0 up");
	while (!wire.port->ops->link_up(wire.port))
		wire_nap();
	port_refresh(wire.port);
	/* The neighbour's entry is not needed: these are frames. */
	wire_peer_sends(5, PEER_PORT);
	assert_int_equal(wire_receive(0, m, 1), 1);
	rte_pktmbuf_free(m[0]);
}

static void
an_interface_that_goes_away_is_no_harm(void **state)
{
	struct rte_mbuf *m[4];

	wire_make(2);
	wire_open(&(struct port_config){ .name = "w0" }, 1);
	send_a_few(10);
	namespace_run("ip link del w0");
	send_a_few(3000);
	assert_int_equal(port_rx_burst(wire.port, 0, m, 4), 0);
	assert_true(wire.port->ops->arm(wire.port, 0));
	assert_false(readable(0, 20));
	assert_false(wire.port->ops->link_up(wire.port));
	port_refresh(wire.port);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WIRE_TEST(a_sleeping_queue_is_woken),
		WIRE_TEST(a_sleeping_queue_of_several_sockets_is_woken),
		WIRE_TEST(ports_come_and_go_on_one_interface),
		WIRE_TEST(a_second_port_on_an_interface_is_refused),
		WIRE_TEST(more_queues_than_the_device_has_are_refused),
		WIRE_TEST(a_link_that_is_down_is_no_harm),
		WIRE_TEST(an_interface_that_goes_away_is_no_harm),
	};

	namespace_enter();
	if (wire_init() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
