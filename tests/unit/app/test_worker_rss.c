/*
 * What a worker believes of a device's RSS: what the packets that come in say too.
 */
#include "support/cmocka.h"

#include <arpa/inet.h>
#include <rte_ethdev.h>
#include <rte_tcp.h>

#include "packet/build.h"
#include "packet/checksum.h"
#include "packet/parse.h"
#include "port/rss.h"
#include "support/dpdk.h"
#include "weir/worker_internal.h"

#define CLIENT "198.51.100.7:1"
#define SERVICE "192.0.2.1:80"

/* RSS of two queues, whose table has them by turns. */
static struct port_rss rss = { .types = RTE_ETH_RSS_NONFRAG_IPV4_TCP, .table_size = 4, .table = { 0, 1, 0, 1 } };
static const struct port_ops ops; /* no way to the kernel */
static struct port port = { .ops = &ops, .features = PORT_FLOW_STABLE, .rss = &rss };
static struct worker_shared shared = { .roles = { .count = 2, .io = 2 } };
static struct worker worker;
static struct endpoint client, service;

static void
forget(void *context, struct rte_mbuf *m)
{
	rte_pktmbuf_free(m);
}

static bool
no_route(void *context, const struct ip_address *remote, struct ip_address *local, uint16_t *mtu)
{
	return false;
}

static int
set_up(void **state)
{
	const struct tcp_config config = { .pool = support_pool(),
					   .connections_max = 8,
					   .time_wait_max = 8,
					   .receive_buffer = 8192,
					   .send_buffer = 8192,
					   .syn_backlog = 8,
					   .port_first = 1,
					   .port_last = 2,
					   .port_modulus = 1 };
	const struct tcp_env env = { .send = forget, .route = no_route };
	const char *error;

	for (size_t i = 0; i < sizeof(rss.key); i++)
		rss.key[i] = (uint8_t)(i * 37 + 11);
	assert_int_equal(endpoint_parse(bytes_of_string(CLIENT), 0, &client), 0);
	assert_int_equal(endpoint_parse(bytes_of_string(SERVICE), 0, &service), 0);
	worker = (struct worker){ .shared = &shared, .ports[0].port = &port };
	worker.tcp = tcp_stack_new(&config, &env, 0, &error);
	worker.steering = steering_new(shared.roles, 42, 10240, 32767, NULL, 0);
	assert_true(worker.tcp && worker.steering);
	worker_rss_renew(&worker);
	assert_ptr_equal(worker.rss, &rss);
	return 0;
}

static int
tear_down(void **state)
{
	tcp_stack_free(worker.tcp);
	steering_free((struct steering *)(uintptr_t)worker.steering);
	return 0;
}

/* The next of the client's ports whose packets RSS puts on `queue`: one of them comes in on this worker's, 0. */
static void
receive_of(int queue)
{
	struct rte_tcp_hdr tcp = { .dst_port = service.port_be, .data_off = 5 << 4, .tcp_flags = RTE_TCP_ACK_FLAG };
	struct rte_mbuf *m;

	do
		client.port_be = htons((uint16_t)(ntohs(client.port_be) + 1));
	while (port_rss_queue(&rss, &client, &service, IPPROTO_TCP) != queue);
	tcp.src_port = client.port_be;
	m = support_mbuf_from(&tcp, sizeof(tcp));
	packet_build_ip(m, &client.ip, &service.ip, IPPROTO_TCP, 0, 64);
	packet_checksum_fill(m, 0);
	packet_build_ethernet(m, (const uint8_t[6]){ 2 }, (const uint8_t[6]){ 2 }, PACKET_VLAN_NONE);
	assert_int_equal(packet_parse(m), PACKET_OK);
	packet_view(m)->port_index = 0;
	worker_packet(&worker, m, false);
}

static void
what_many_packets_agree_with_is_believed_for_good(void **state)
{
	uint32_t checks = worker.rss_checks;

	assert_true(checks > 0);
	while (checks-- > 0) {
		assert_true(worker.rss_checks > 0);
		receive_of(0);
	}
	assert_int_equal(worker.rss_checks, 0);
	receive_of(1);
	assert_ptr_equal(worker.rss, &rss);
	assert_int_equal(worker.counters[WORKER_RSS_DISPROVED], 0);
}

static void
what_one_packet_disproves_is_believed_no_more(void **state)
{
	receive_of(0);
	receive_of(1);
	assert_null(worker.rss);
	assert_int_equal(worker.counters[WORKER_RSS_DISPROVED], 1);
	/* Nor when there is another port. */
	worker_rss_renew(&worker);
	assert_null(worker.rss);
	receive_of(1);
	assert_int_equal(worker.counters[WORKER_RSS_DISPROVED], 1);
}

static void
ports_that_spread_differently_are_not_believed(void **state)
{
	static struct port_rss turned = { .types = RTE_ETH_RSS_NONFRAG_IPV4_TCP,
					  .table_size = 4,
					  .table = { 1, 0, 1, 0 } };
	struct port other = { .ops = &ops, .features = PORT_FLOW_STABLE, .rss = &turned };

	memcpy(turned.key, rss.key, sizeof(rss.key));
	worker.ports[1].port = &other;
	worker_rss_renew(&worker);
	assert_null(worker.rss);
	other.rss = &rss;
	worker_rss_renew(&worker);
	assert_ptr_equal(worker.rss, &rss);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_many_packets_agree_with_is_believed_for_good, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_one_packet_disproves_is_believed_no_more, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ports_that_spread_differently_are_not_believed, set_up, tear_down),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
