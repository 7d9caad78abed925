/*
 * Packets longer than a packet buffer on an AF_XDP port: jumbo frames, and TCP packets that the peer's kernel has not cut
 * up. Wherever packets of several frames are not to be had (before Linux 6.6) there is nothing to test.
 */
#include <bpf/libbpf.h>
#include <net/if.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "packet/checksum.h"
#include "packet/parse.h"
#include "port/large.h"
#include "support/cmocka.h"
#include "support/dpdk.h"
#include "support/namespace.h"
#include "xdp_wire.h"

#define JUMBO 9000
#define TCP_PAYLOAD 60000
#define SEGMENT 1448
#define HEADERS (14 + 20 + 20)

static uint8_t
pattern(uint32_t i)
{
	return (uint8_t)(i * 7 + i / 251);
}

/* Headers in the first mbuf, the payload behind it in as many as it takes. */
static struct rte_mbuf *
packet(uint8_t protocol, uint32_t from, uint32_t to, uint16_t l4_len, uint32_t payload)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(wire.pool), *last = m;
	uint8_t *frame = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(34 + l4_len));
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(void *)(frame + 14);

	memset(frame, 0, 34u + l4_len);
	memcpy(frame, "\x02\x11\x11\x11\x11\x11\x02\x22\x22\x22\x22\x22\x08\x00", 14);
	*ip = (struct rte_ipv4_hdr){ .version_ihl = 0x45,
				     .total_length = htons((uint16_t)(20 + l4_len + payload)),
				     .time_to_live = 64,
				     .next_proto_id = protocol,
				     .src_addr = htonl(from),
				     .dst_addr = htonl(to) };
	for (uint32_t i = 0; i < payload; i++) {
		char *byte = rte_pktmbuf_append(m, 1);

		if (!byte) {
			last = rte_pktmbuf_alloc(wire.pool);
			rte_pktmbuf_chain(m, last);
			byte = rte_pktmbuf_append(m, 1);
		}
		*byte = (char)pattern(i);
	}
	m->l2_len = 14;
	m->l3_len = 20;
	m->l4_len = l4_len & 0xff;
	m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
	return m;
}

static struct rte_mbuf *
udp_packet(uint32_t payload)
{
	struct rte_mbuf *m = packet(IPPROTO_UDP, OUR_ADDRESS, PEER_ADDRESS, 8, payload);
	struct rte_udp_hdr *udp = rte_pktmbuf_mtod_offset(m, struct rte_udp_hdr *, 34);

	*udp = (struct rte_udp_hdr){ .src_port = htons(OUR_PORT),
				     .dst_port = htons(PEER_PORT),
				     .dgram_len = htons((uint16_t)(8 + payload)) };
	m->ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM;
	return m;
}

/* From the peer, for its device to cut up. */
static struct rte_mbuf *
tcp_packet(void)
{
	struct rte_mbuf *m = packet(IPPROTO_TCP, PEER_ADDRESS, OUR_ADDRESS, 20, TCP_PAYLOAD);
	struct rte_tcp_hdr *tcp = rte_pktmbuf_mtod_offset(m, struct rte_tcp_hdr *, 34);

	*tcp = (struct rte_tcp_hdr){ .src_port = htons(PEER_PORT),
				     .dst_port = htons(OUR_PORT),
				     .data_off = 20 << 2,
				     .tcp_flags = RTE_TCP_ACK_FLAG };
	m->tso_segsz = SEGMENT;
	m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM;
	return m;
}

static void
serve_tcp(void)
{
	struct xdp_service service = { .ip_protocol = IPPROTO_TCP };

	assert_int_equal(endpoint_parse(bytes_of_string("10.0.0.1"), OUR_PORT, &service.endpoint), 0);
	assert_int_equal(xdp_program_serve(wire.program, &service, 1, NULL, 0, NULL, 0), 0);
}

static void
peer_sends_tcp(uint32_t count)
{
	struct rte_mbuf *m = tcp_packet();
	int fd;

	wire_enter_peer();
	fd = port_large_open((int)if_nametoindex("w1"));
	for (uint32_t i = 0; i < count; i++)
		assert_true(port_large_send(fd, m));
	wire_leave_peer();
	close(fd);
	rte_pktmbuf_free(m);
}

static bool
is_generic(void)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	assert_int_equal(bpf_xdp_query((int)if_nametoindex("w0"), 0, &query), 0);
	return query.skb_prog_id != 0;
}

static void
make_jumbo(void)
{
	wire_make(1);
	namespace_run("ip link set w0 mtu %d", JUMBO);
	namespace_run_in(wire.peer, "ip link set w1 mtu %d", JUMBO);
}

static bool
no_multi_buffer(void)
{
	if (xdp_program_multi_buffer(wire.program))
		return false;
	print_message("this kernel has no packets of several frames\n");
	return true;
}

/* As it is on the wire. */
static uint32_t
wire_bytes(struct rte_mbuf *m, uint8_t out[JUMBO + 14])
{
	uint32_t len = m->pkt_len;
	const uint8_t *bytes;

	packet_checksum_fill(m, 14);
	bytes = rte_pktmbuf_read(m, 0, len, out);
	if (bytes != out)
		memcpy(out, bytes, len);
	return len;
}

static void
check_jumbo_received(int mode)
{
	static uint8_t sent[JUMBO + 14], copy[JUMBO + 14];
	struct rte_mbuf *m[8];

	make_jumbo();
	wire_serve("10.0.0.1");
	wire_open(&(struct port_config){ .name = "w0", .xdp_mode = mode }, 1);
	assert_int_equal(wire.port->mtu, JUMBO);
	for (uint32_t payload = 1000; payload <= JUMBO - 28; payload += 1000 - 17) {
		struct rte_mbuf *given = packet(IPPROTO_UDP, PEER_ADDRESS, OUR_ADDRESS, 8, payload);
		uint32_t len;

		*rte_pktmbuf_mtod_offset(given, struct rte_udp_hdr *, 34) =
			(struct rte_udp_hdr){ .src_port = htons(PEER_PORT),
					      .dst_port = htons(OUR_PORT),
					      .dgram_len = htons((uint16_t)(8 + payload)) };
		len = wire_bytes(given, sent);
		rte_pktmbuf_free(given);
		assert_int_equal(send(wire.peer_socket, sent, len, 0), len);
		assert_int_equal(wire_receive(0, m, 8), 1);
		assert_int_equal(m[0]->pkt_len, len);
		assert_int_equal(rte_mbuf_check(m[0], 1, &(const char *){ NULL }), 0);
		assert_memory_equal(rte_pktmbuf_read(m[0], 0, len, copy), sent, len);
		assert_int_equal(packet_parse(m[0]), PACKET_OK);
		rte_pktmbuf_free(m[0]);
	}
	port_refresh(wire.port);
	assert_int_equal(wire_counter(PORT_RX_OVERSIZE), 0);
}

static void
jumbo_frames_come_in_natively(void **state)
{
	if (!no_multi_buffer())
		check_jumbo_received(PORT_XDP_NATIVE);
}

static void
jumbo_frames_come_in_generically(void **state)
{
	if (!no_multi_buffer())
		check_jumbo_received(PORT_XDP_GENERIC);
}

static uint32_t
peer_gets(uint8_t *out, size_t size)
{
	ssize_t len = -1;

	for (int idle = 0; idle < 200 && len < 0; idle++) {
		len = recv(wire.peer_socket, out, size, 0);
		if (len < 0)
			wire_nap();
	}
	assert_true(len > 0);
	return (uint32_t)len;
}

/* Chains of the pool's own mbufs, of ones that somebody else refers to, and of another pool. */
static void
jumbo_frames_leave_whole(void **state)
{
	static uint8_t got[16384], sent[JUMBO + 14];

	if (no_multi_buffer())
		return;
	make_jumbo();
	wire_open(&(struct port_config){ .name = "w0" }, 1);
	for (uint32_t i = 0; i < 300; i++) {
		struct rte_mbuf *m = udp_packet(i < 3 ? 1000 + i * 3000 : JUMBO - 28), *other;
		uint32_t len = wire_bytes(m, sent);

		other = i % 3 == 1   ? rte_pktmbuf_clone(m, wire.pool)
			: i % 3 == 2 ? rte_pktmbuf_copy(m, support_pool(), 0, len)
				     : m;
		if (other != m)
			rte_pktmbuf_free(m);
		port_tx_burst(wire.port, 0, &other, 1);
		assert_int_equal(peer_gets(got, sizeof(got)), len);
		assert_memory_equal(got, sent, len);
	}
	assert_int_equal(wire_counter(PORT_TX_PACKETS), 300);
	assert_int_equal(wire_counter(PORT_TX_FULL), 0);
	/* So that the last come back from the kernel. */
	port_rx_burst(wire.port, 0, NULL, 0);
}

static void
a_packet_of_more_frames_than_the_kernel_takes_is_counted(void **state)
{
	struct rte_mbuf *m;

	if (no_multi_buffer())
		return;
	wire_make(1);
	wire_open(&(struct port_config){ .name = "w0" }, 1);
	m = udp_packet(30000);
	port_tx_burst(wire.port, 0, &m, 1);
	assert_int_equal(wire_counter(PORT_TX_PACKETS), 0);
	assert_int_equal(wire_counter(PORT_TX_FULL), 1);
}

static void
assert_is_tcp_packet(struct rte_mbuf *m)
{
	static uint8_t copy[TCP_PAYLOAD];
	const uint8_t *payload;

	assert_int_equal(m->pkt_len, HEADERS + TCP_PAYLOAD);
	assert_int_equal(rte_mbuf_check(m, 1, &(const char *){ NULL }), 0);
	assert_int_equal(packet_parse(m), PACKET_OK);
	assert_true(packet_view(m)->flags & PACKET_L4_CHECKSUM_PARTIAL);
	assert_int_equal(packet_view(m)->payload_len, TCP_PAYLOAD);
	payload = rte_pktmbuf_read(m, HEADERS, TCP_PAYLOAD, copy);
	for (uint32_t i = 0; i < TCP_PAYLOAD; i++)
		if (payload[i] != pattern(i))
			fail_msg("wrong byte at %u", i);
	rte_pktmbuf_free(m);
}

/* One by one and by the burst: a packet is never given out in parts. */
static void
tcp_packets_come_whole_where_they_are_welcome(void **state)
{
	struct rte_mbuf *m[PORT_BURST];

	if (no_multi_buffer())
		return;
	wire_make(1);
	serve_tcp();
	wire.long_packets = true;
	wire_open(&(struct port_config){ .name = "w0" }, 1);
	assert_true(is_generic());
	peer_sends_tcp(20);
	for (uint32_t i = 0; i < 5; i++) {
		assert_int_equal(wire_receive(0, m, 1), 1);
		assert_is_tcp_packet(m[0]);
	}
	assert_int_equal(wire_receive(0, m, PORT_BURST), 15);
	for (uint32_t i = 0; i < 15; i++)
		assert_is_tcp_packet(m[i]);
	/* And what nobody fetches goes back with the port. */
	peer_sends_tcp(3);
}

static void
tcp_packets_come_cut_up_where_they_are_not(void **state)
{
	struct rte_mbuf *m[PORT_BURST];

	wire_make(1);
	serve_tcp();
	wire_open(&(struct port_config){ .name = "w0" }, 1);
	assert_false(is_generic());
	peer_sends_tcp(1);
	assert_int_equal(wire_receive(0, m, PORT_BURST), (TCP_PAYLOAD + SEGMENT - 1) / SEGMENT);
	for (uint32_t i = 0; i < (TCP_PAYLOAD + SEGMENT - 1) / SEGMENT; i++) {
		assert_true(m[i]->pkt_len <= HEADERS + SEGMENT);
		rte_pktmbuf_free(m[i]);
	}
}

static void
a_mode_that_is_configured_is_taken(void **state)
{
	wire_make(1);
	wire.long_packets = true;
	wire_open(&(struct port_config){ .name = "w0", .xdp_mode = PORT_XDP_NATIVE }, 1);
	assert_false(is_generic());
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WIRE_TEST(jumbo_frames_come_in_natively),
		WIRE_TEST(jumbo_frames_come_in_generically),
		WIRE_TEST(jumbo_frames_leave_whole),
		WIRE_TEST(a_packet_of_more_frames_than_the_kernel_takes_is_counted),
		WIRE_TEST(tcp_packets_come_whole_where_they_are_welcome),
		WIRE_TEST(tcp_packets_come_cut_up_where_they_are_not),
		WIRE_TEST(a_mode_that_is_configured_is_taken),
	};

	namespace_enter();
	if (wire_init() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
