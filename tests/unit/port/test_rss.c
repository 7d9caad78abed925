/* Against the vectors that devices are verified with (Microsoft, "Verifying the RSS hash calculation"), and DPDK's null device. */
#include "port/rss.h"

#include <errno.h>
#include <linux/ethtool.h>
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

/* ---- what the kernel says of an interface ---- */

#define TWO (RXH_IP_SRC | RXH_IP_DST)
#define FOUR (TWO | RXH_L4_B_0_1 | RXH_L4_B_2_3)

static const uint64_t fields_tcp[PORT_RSS_FLOWS] = { FOUR, TWO, FOUR, TWO };

/* As a little-endian kernel answers ETHTOOL_GRSSH for a device of four queues: 128 entries, the key above. */
struct answer {
	_Alignas(8) uint8_t bytes[24 + 4 * TABLE + sizeof(key)];
};

static const uint8_t answer_head[24] = {
	0x46, 0, 0, 0, /* ETHTOOL_GRSSH */
	0,    0, 0, 0, /* rss_context: the default one */
	0x80, 0, 0, 0, /* indir_size */
	0x28, 0, 0, 0, /* key_size */
	0x01, 0, 0, 0, /* hfunc: Toeplitz; input_xfrm; reserved */
	0,    0, 0, 0, /* reserved */
};

static struct answer
answer_of(uint8_t queues)
{
	struct answer a = { { 0 } };

	memcpy(a.bytes, answer_head, sizeof(answer_head));
	for (unsigned int i = 0; i < TABLE; i++)
		a.bytes[24 + 4 * i] = (uint8_t)(i % queues);
	memcpy(a.bytes + 24 + 4 * TABLE, key, sizeof(key));
	return a;
}

static int
decode(struct port_rss *rss, const struct answer *a, size_t len, const uint64_t fields[PORT_RSS_FLOWS], uint16_t queues)
{
	return port_rss_decode(rss, (const struct ethtool_rxfh *)(const void *)a->bytes, len, fields, queues);
}

static void
an_interface_says_its_key_and_table(void **state)
{
	struct answer a = answer_of(4);
	struct port_rss rss;

	for (uint16_t queues = 1; queues <= 4; queues++) {
		assert_int_equal(decode(&rss, &a, sizeof(a), fields_tcp, queues), 0);
		for (unsigned int i = 0; i < RTE_DIM(vectors); i++) {
			struct endpoint source = endpoint(vectors[i].source);
			struct endpoint destination = endpoint(vectors[i].destination);

			assert_int_equal(port_rss_queue(&rss, &source, &destination, IPPROTO_TCP),
					 vectors[i].with_ports % TABLE % 4 % queues);
			assert_int_equal(port_rss_queue(&rss, &source, &destination, IPPROTO_UDP),
					 vectors[i].addresses % TABLE % 4 % queues);
		}
	}
}

static void
what_is_not_understood_of_an_interface_is_not_believed(void **state)
{
	static const struct {
		uint8_t at, value;
		int rc;
	} changes[] = {
		{ 16, 2, -ENOTSUP },   /* XOR instead of Toeplitz */
		{ 16, 3, -ENOTSUP },   /* more than one function */
		{ 17, 1, -ENOTSUP },   /* source and destination are made one */
		{ 8, 0, -ENOTSUP },    /* no table */
		{ 8, 96, -ENOTSUP },   /* a table that no mask goes with */
		{ 9, 0x10, -ENOTSUP }, /* 4,224 entries */
		{ 12, 16, -ENOTSUP },  /* a key too short for IPv6 */
		{ 12, 65, -ENOTSUP },  /* a key longer than we have room for */
		{ 12, 52, -EINVAL },   /* a key longer than the answer */
	};
	static const uint64_t odd_fields[][PORT_RSS_FLOWS] = {
		{ 0, 0, 0, 0 },                      /* nothing is hashed */
		{ FOUR, FOUR, RXH_IP_SRC, TWO },     /* by half of the addresses */
		{ FOUR | RXH_VLAN, TWO, FOUR, TWO }, /* by more than we know of */
		{ TWO, 0, FOUR, FOUR },              /* UDP would be taken for hashed as TCP is */
	};
	struct port_rss rss;

	for (unsigned int i = 0; i < RTE_DIM(changes); i++) {
		struct answer a = answer_of(4);

		a.bytes[changes[i].at] = changes[i].value;
		assert_int_equal(decode(&rss, &a, sizeof(a), fields_tcp, 4), changes[i].rc);
	}
	for (unsigned int i = 0; i < RTE_DIM(odd_fields); i++) {
		struct answer a = answer_of(4);

		assert_int_equal(decode(&rss, &a, sizeof(a), odd_fields[i], 4), -ENOTSUP);
	}
	for (size_t len = 0; len < sizeof(struct answer); len++) {
		struct answer a = answer_of(4);

		assert_int_equal(decode(&rss, &a, len, fields_tcp, 4), -EINVAL);
	}
	{
		struct answer a = answer_of(4);

		memset(a.bytes + 24 + 4 * TABLE, 0, sizeof(key));
		assert_int_equal(decode(&rss, &a, sizeof(a), fields_tcp, 4), -ENOTSUP);
	}
}

static void
lo_does_not_say_how_it_spreads(void **state)
{
	struct port_rss rss;

	assert_int_equal(port_rss_read_interface(&rss, "lo", 2), -EOPNOTSUPP);
	assert_int_equal(port_rss_read_interface(&rss, "no-such", 2), -ENODEV);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_go_where_devices_put_them),
		cmocka_unit_test(a_device_says_its_key_and_table),
		cmocka_unit_test(an_interface_says_its_key_and_table),
		cmocka_unit_test(what_is_not_understood_of_an_interface_is_not_believed),
		cmocka_unit_test(lo_does_not_say_how_it_spreads),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
