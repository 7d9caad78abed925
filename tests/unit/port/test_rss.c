/* Against the vectors that devices are verified with (Microsoft, "Verifying the RSS hash calculation"), and DPDK's null device. */
#include "port/rss.h"

#include <netinet/in.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <string.h>

#include "support/cmocka.h"
#include "support/dpdk.h"

#define TABLE 128
#define WITH_PORTS (RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP)
#define ADDRESSES (RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6)

static const uint8_t key[40] = { 0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
				 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
				 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa };

static const struct {
	const char *source, *destination;
	uint32_t with_ports, addresses;
} vectors[] = {
	{ "66.9.149.187:2794", "161.142.100.80:1766", 0x51ccc178, 0x323e8fc2 },
	{ "199.92.111.2:14230", "65.69.140.83:4739", 0xc626b0ea, 0xd718262a },
	{ "24.19.198.95:12898", "12.22.207.184:38024", 0x5c2b394a, 0xd2d0a5de },
	{ "[3ffe:2501:200:1fff::7]:2794", "[3ffe:2501:200:3::1]:1766", 0x40207d3d, 0x2cc18cd5 },
	{ "[3ffe:501:8::260:97ff:fe40:efab]:14230", "[ff02::1]:4739", 0xdde51bbf, 0x0f0c461c },
};

static struct endpoint
endpoint(const char *text)
{
	struct endpoint e;

	assert_int_equal(endpoint_parse(bytes_of_string(text), 0, &e), 0);
	return e;
}

static struct port_rss
rss_of(uint64_t types, unsigned int queues)
{
	struct port_rss rss = { .types = types, .table_size = TABLE };

	memcpy(rss.key, key, sizeof(key));
	for (unsigned int i = 0; i < TABLE; i++)
		rss.table[i] = (uint16_t)(i % queues);
	return rss;
}

static void
packets_go_where_devices_put_them(void **state)
{
	for (unsigned int queues = 1; queues <= 64; queues++) {
		const struct port_rss by_ports = rss_of(WITH_PORTS | ADDRESSES, queues),
				      by_addresses = rss_of(ADDRESSES, queues), of_tcp = rss_of(WITH_PORTS, queues);

		for (unsigned int i = 0; i < RTE_DIM(vectors); i++) {
			struct endpoint source = endpoint(vectors[i].source);
			struct endpoint destination = endpoint(vectors[i].destination);
			int with_ports = (int)(vectors[i].with_ports % TABLE % queues);
			int addresses = (int)(vectors[i].addresses % TABLE % queues);

			assert_int_equal(port_rss_queue(&by_ports, &source, &destination, IPPROTO_TCP), with_ports);
			assert_int_equal(port_rss_queue(&by_ports, &source, &destination, IPPROTO_UDP), addresses);
			assert_int_equal(port_rss_queue(&by_addresses, &source, &destination, IPPROTO_TCP), addresses);
			assert_int_equal(port_rss_queue(&of_tcp, &source, &destination, IPPROTO_UDP), -1);
			assert_int_equal(port_rss_queue(&port_rss_one_queue, &source, &destination, IPPROTO_UDP), 0);
		}
	}
}

static void
a_device_says_its_key_and_table(void **state)
{
	const struct rte_eth_conf conf = { .rxmode.mq_mode = RTE_ETH_MQ_RX_RSS,
					   .rx_adv_conf.rss_conf = { .rss_key = (uint8_t *)(uintptr_t)key,
								     .rss_key_len = sizeof(key),
								     .rss_hf = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP } };
	struct endpoint source = endpoint(vectors[0].source), destination = endpoint(vectors[0].destination);
	struct rte_eth_rss_reta_entry64 table[TABLE / RTE_ETH_RETA_GROUP_SIZE];
	struct port_rss rss;
	uint16_t device;

	assert_int_equal(rte_eal_hotplug_add("vdev", "net_null_rss", ""), 0);
	assert_int_equal(rte_eth_dev_get_port_by_name("net_null_rss", &device), 0);
	assert_int_equal(rte_eth_dev_configure(device, 4, 4, &conf), 0);
	for (unsigned int i = 0; i < TABLE; i++) {
		table[i / RTE_ETH_RETA_GROUP_SIZE].mask = UINT64_MAX;
		table[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] = (uint16_t)(i / 32);
	}
	assert_int_equal(rte_eth_dev_rss_reta_update(device, table, TABLE), 0);
	assert_int_equal(port_rss_read(&rss, device), 0);
	assert_int_equal(rss.table_size, TABLE);
	assert_int_equal(rss.table[127], 3);
	/* The null device has a key of its own, whatever it is told. */
	assert_true(port_rss_queue(&rss, &source, &destination, IPPROTO_TCP) >= 0);
	assert_int_equal(rte_eal_hotplug_remove("vdev", "net_null_rss"), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_go_where_devices_put_them),
		cmocka_unit_test(a_device_says_its_key_and_table),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
