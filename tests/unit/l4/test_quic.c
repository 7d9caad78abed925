/* Every octet is an outsider's: datagrams at the very end of memory that is theirs, so that a sanitizer sees one too many. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "l4/quic.h"
#include "support/cmocka.h"

#define HEADERS_LEN 28
#define ID_LEN 3
#define PAYLOAD_MAX 40

static struct upstream_server servers[] = {
	{ .quic_id = 0xffeedd, .quic_id_len = ID_LEN },
	{ .quic_id = 0x000001, .quic_id_len = ID_LEN },
	{ .quic_id = 0x0a0b0c, .quic_id_len = ID_LEN, .down = true },
	{ .quic_id = 0x0a0b0d, .quic_id_len = ID_LEN, .weight = 0 },
};
static const struct upstream_group group = { .servers = servers, .primary_count = 3, .backup_count = 1 };

static const uint8_t long_header[PAYLOAD_MAX] = { 0xc0, 0, 0, 0, 1, 1 + ID_LEN, 0x40, 0x0a, 0x0b, 0x0d };
static const uint8_t short_header[PAYLOAD_MAX] = { 0x40, 0x40, 0x0a, 0x0b, 0x0d };

/* Of the datagram `present` octets of payload are there, the IP header says `ip`, the UDP header `udp`. */
static int
ask(const uint8_t *payload, uint16_t present, uint16_t ip, uint16_t udp, uint8_t flags)
{
	struct arena *arena = arena_new();
	uint8_t *data = malloc(HEADERS_LEN + present);
	struct rte_mbuf m = { .buf_addr = data, .data_len = HEADERS_LEN + present };
	struct l4_packet p = { .m = &m,
			       .l3 = data,
			       .l3_len = 20,
			       .ip_len = HEADERS_LEN + ip,
			       .ip_protocol = IPPROTO_UDP,
			       .flags = flags };
	uint16_t length_be = htons(udp);
	int server;

	assert_non_null(data);
	memset(data, 0, HEADERS_LEN);
	memcpy(data + 24, &length_be, sizeof(length_be));
	memcpy(data + HEADERS_LEN, payload, present);
	server = l4_quic_server(l4_quic_ids_build(arena, &group), &p);
	free(data);
	arena_free(arena);
	return server;
}

static int
ask_whole(const uint8_t *payload)
{
	return ask(payload, PAYLOAD_MAX, PAYLOAD_MAX, PAYLOAD_MAX + 8, 0);
}

static void
nothing_behind_any_end_is_read(void **state)
{
	for (uint16_t len = 0; len <= PAYLOAD_MAX; len++) {
		int by_long = len >= 10 ? 3 : -1, by_short = len >= 5 ? 3 : -1;

		assert_int_equal(ask(long_header, len, UINT16_MAX - HEADERS_LEN, UINT16_MAX, 0), by_long);
		assert_int_equal(ask(long_header, PAYLOAD_MAX, len, UINT16_MAX, 0), by_long);
		assert_int_equal(ask(long_header, PAYLOAD_MAX, PAYLOAD_MAX, (uint16_t)(8 + len), 0), by_long);
		assert_int_equal(ask(short_header, len, UINT16_MAX - HEADERS_LEN, UINT16_MAX, 0), by_short);
		assert_int_equal(ask(short_header, PAYLOAD_MAX, len, UINT16_MAX, 0), by_short);
		assert_int_equal(ask(short_header, PAYLOAD_MAX, PAYLOAD_MAX, (uint16_t)(8 + len), 0), by_short);
	}
	for (uint16_t udp = 0; udp < 8; udp++)
		assert_int_equal(ask(short_header, PAYLOAD_MAX, PAYLOAD_MAX, udp, 0), -1);
}

static void
every_length_that_an_id_may_claim(void **state)
{
	uint8_t payload[PAYLOAD_MAX];

	memcpy(payload, long_header, sizeof(payload));
	for (unsigned int len = 0; len <= UINT8_MAX; len++) {
		payload[5] = (uint8_t)len;
		assert_int_equal(ask_whole(payload), len >= 1 + ID_LEN && len <= PAYLOAD_MAX - 6 ? 3 : -1);
	}
}

static void
ids_of_the_servers_that_are_up(void **state)
{
	uint8_t payload[PAYLOAD_MAX];

	memcpy(payload, short_header, sizeof(payload));
	for (uint32_t i = 0; i < 4; i++) {
		for (uint32_t octet = 0; octet < ID_LEN; octet++)
			payload[2 + octet] = (uint8_t)(servers[i].quic_id >> 8 * (ID_LEN - 1 - octet));
		assert_int_equal(ask_whole(payload), servers[i].down ? -1 : (int)i);
		payload[4] ^= 0x80;
		assert_int_equal(ask_whole(payload), -1);
	}
}

static void
what_has_no_udp_header(void **state)
{
	uint8_t ip[40] = { 0 };
	const struct l4_packet imagined = { .l3 = ip, .ip_protocol = IPPROTO_UDP };
	struct arena *arena = arena_new();

	assert_int_equal(l4_quic_server(l4_quic_ids_build(arena, &group), &imagined), -1);
	arena_free(arena);
	assert_int_equal(ask(short_header, PAYLOAD_MAX, PAYLOAD_MAX, PAYLOAD_MAX + 8, L4_PACKET_FRAGMENT), 3);
	assert_int_equal(ask(short_header, PAYLOAD_MAX, PAYLOAD_MAX, PAYLOAD_MAX + 8,
			     L4_PACKET_FRAGMENT | L4_PACKET_LATER_FRAGMENT),
			 -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_behind_any_end_is_read),
		cmocka_unit_test(every_length_that_an_id_may_claim),
		cmocka_unit_test(ids_of_the_servers_that_are_up),
		cmocka_unit_test(what_has_no_udp_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
