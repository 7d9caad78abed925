#include "l4/wire.h"

#include <netinet/in.h>
#include <rte_tcp.h>
#include <string.h>

#include "support/cmocka.h"
#include "support/dpdk.h"

#define FRAGMENT_HEADER 44
#define FRAME_MAX 2048

static const uint8_t ethernet[12] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1 };

static void
put_16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void
put_32(uint8_t *at, uint32_t value)
{
	put_16(at, value >> 16);
	put_16(at + 2, value);
}

static uint16_t
get_16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

uint16_t
wire_sum(const uint8_t *bytes, size_t len, uint32_t sum)
{
	for (size_t i = 0; i < len; i++) {
		sum += i & 1 ? bytes[i] : (uint32_t)bytes[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)sum;
}

struct endpoint
wire_endpoint(const char *text)
{
	struct endpoint e;

	assert_int_equal(endpoint_parse(bytes_of(text, strlen(text)), 0, &e), 0);
	return e;
}

struct wire
wire_default(bool v6, uint8_t ip_protocol)
{
	return (struct wire){
		.v6 = v6,
		.ip_protocol = ip_protocol,
		.ttl = 63,
		.tos = 0xb9,
		.tcp_flags = RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG,
		.identification = 0x1234,
		.sequence = 0x10203040,
		.acknowledgement = 0xfffffff0,
		.payload_len = 101,
		.source = wire_endpoint(v6 ? "[2001:db8::7]:40000" : "198.51.100.7:40000"),
		.destination = wire_endpoint(v6 ? "[fd00:1::1]:80" : "10.0.1.1:80"),
	};
}

bool
wire_next(struct wire *w, unsigned int *number)
{
	unsigned int n = (*number)++;

	*w = wire_default(n & 1, n & 2 ? IPPROTO_UDP : IPPROTO_TCP);
	w->dont_fragment = n & 4;
	w->padded = n & 8;
	w->segmented = n & 16;
	n >>= 5;
	if (n < WIRE_PARTS)
		w->part = (enum wire_part)n;
	else if (n == WIRE_PARTS)
		w->partial = true;
	else if (n == WIRE_PARTS + 1)
		w->no_sum = true;
	/* Who says that it must not be cut up does not cut it up. */
	if (w->part != WIRE_WHOLE)
		w->dont_fragment = false;
	if (w->no_sum && (w->v6 || w->ip_protocol != IPPROTO_UDP))
		w->no_sum = false;
	return n < WIRE_PARTS + 2;
}

static uint32_t
pseudo_sum(const uint8_t *ip, uint8_t ip_protocol, uint32_t len)
{
	bool v6 = ip[0] >> 4 == 6;

	return wire_sum(ip + (v6 ? 8 : 12), v6 ? 32 : 8, 0) + (uint32_t)ip_protocol + len;
}

static uint16_t
build_l4(const struct wire *w, uint8_t *out)
{
	uint16_t header_len = 8, len;

	put_16(out, ntohs(w->source.port_be));
	put_16(out + 2, ntohs(w->destination.port_be));
	if (w->ip_protocol == IPPROTO_TCP) {
		header_len = 20 + w->options_len;
		put_32(out + 4, w->sequence);
		put_32(out + 8, w->acknowledgement);
		put_32(out + 12, (uint32_t)header_len / 4 << 28 | (uint32_t)w->tcp_flags << 16 | 0x7210);
		put_32(out + 16, 0);
		memcpy(out + 20, w->options, w->options_len);
	}
	len = header_len + w->payload_len;
	for (uint32_t i = 0; i < w->payload_len; i++)
		out[header_len + i] = (uint8_t)(i * 7 + 3);
	if (w->ip_protocol == IPPROTO_UDP) {
		put_16(out + 4, len);
		put_16(out + 6, 0);
	}
	return len;
}

static void
sum_l4(const struct wire *w, const uint8_t *ip, uint8_t *l4, uint16_t len)
{
	uint16_t at = w->ip_protocol == IPPROTO_TCP ? 16 : 6, sum;
	uint32_t pseudo = pseudo_sum(ip, w->ip_protocol, len);

	if (w->no_sum)
		return;
	sum = (uint16_t)~wire_sum(l4, len, pseudo);
	if (sum == 0 && w->ip_protocol == IPPROTO_UDP)
		sum = 0xffff;
	put_16(l4 + at, w->partial ? wire_sum(l4, 0, (pseudo & 0xffff) + (pseudo >> 16)) : sum);
}

static uint16_t
build_ipv4(const struct wire *w, uint8_t *ip, uint16_t l4_offset, uint16_t l4_len)
{
	uint32_t fragment = w->part == WIRE_FIRST ? 0x2000 : l4_offset / 8;

	put_32(ip, 0x45u << 24 | (uint32_t)w->tos << 16 | (uint32_t)(20 + l4_len));
	put_16(ip + 4, w->identification);
	put_16(ip + 6, fragment | (w->dont_fragment ? 0x4000 : 0));
	ip[8] = w->ttl;
	ip[9] = w->ip_protocol;
	put_16(ip + 10, 0);
	memcpy(ip + 12, &w->source.ip.words_be[3], 4);
	memcpy(ip + 16, &w->destination.ip.words_be[3], 4);
	put_16(ip + 10, (uint16_t)~wire_sum(ip, 20, 0));
	return 20;
}

static uint16_t
build_ipv6(const struct wire *w, uint8_t *ip, uint16_t l4_offset, uint16_t l4_len)
{
	uint16_t chain = w->part == WIRE_WHOLE ? 0 : 8;

	put_32(ip, 6u << 28 | (uint32_t)w->tos << 20 | 0x54321);
	put_16(ip + 4, (uint32_t)l4_len + chain);
	ip[6] = chain ? FRAGMENT_HEADER : w->ip_protocol;
	ip[7] = w->ttl;
	memcpy(ip + 8, w->source.ip.bytes, 16);
	memcpy(ip + 24, w->destination.ip.bytes, 16);
	if (chain) {
		ip[40] = w->ip_protocol;
		ip[41] = 0;
		put_16(ip + 42, (uint32_t)l4_offset | (w->part == WIRE_FIRST ? 1 : 0));
		put_32(ip + 44, w->identification);
	}
	return 40 + chain;
}

uint16_t
wire_bytes(const struct wire *w, uint8_t *out)
{
	uint8_t l4[FRAME_MAX] = { 0 };
	uint16_t whole = build_l4(w, l4), from = 0, len = whole, header_len;

	/* The pseudo-header knows nothing of fragments. */
	if (w->v6)
		build_ipv6(w, out, 0, whole);
	else
		build_ipv4(w, out, 0, whole);
	sum_l4(w, out, l4, whole);
	if (w->part == WIRE_FIRST)
		len = WIRE_FIRST_LEN;
	else if (w->part == WIRE_LATER)
		from = WIRE_FIRST_LEN;
	len = w->part == WIRE_LATER ? whole - WIRE_FIRST_LEN : len;
	header_len = w->v6 ? build_ipv6(w, out, from, len) : build_ipv4(w, out, from, len);
	memcpy(out + header_len, l4 + from, len);
	return header_len + len;
}

void
wire_build(const struct wire *w, struct l4_packet *p)
{
	uint8_t frame[FRAME_MAX] = { 0 };
	uint16_t len = wire_bytes(w, frame + 14), cut, frame_len = 14 + len + (w->padded ? 8 : 0);

	memcpy(frame, ethernet, sizeof(ethernet));
	put_16(frame + 12, w->v6 ? 0x86dd : 0x0800);
	*p = (struct l4_packet){
		.l3_len = wire_l4_offset(frame + 14),
		.ip_len = len,
		.source_port_be = w->source.port_be,
		.destination_port_be = w->destination.port_be,
		.ip_protocol = w->ip_protocol,
		.tcp_flags = w->ip_protocol == IPPROTO_TCP && w->part != WIRE_LATER ? w->tcp_flags : 0,
		.ttl = w->ttl,
		.flags = (uint8_t)((w->v6 ? L4_PACKET_IPV6 : 0) | (w->partial ? L4_PACKET_PARTIAL : 0) |
				   (w->part != WIRE_WHOLE ? L4_PACKET_FRAGMENT : 0) |
				   (w->part == WIRE_LATER ? L4_PACKET_LATER_FRAGMENT : 0)),
	};
	cut = 14 + p->l3_len + 10;
	if (w->part != WIRE_LATER)
		cut += w->ip_protocol == IPPROTO_TCP ? 20 + w->options_len : 8;
	if (!w->segmented || cut >= frame_len)
		cut = frame_len;
	p->m = support_mbuf_from(frame, cut);
	if (cut < frame_len)
		support_mbuf_append(p->m, frame + cut, frame_len - cut);
	p->l3 = rte_pktmbuf_mtod_offset(p->m, uint8_t *, 14);
}

uint16_t
wire_read(const struct rte_mbuf *m, uint32_t offset, uint8_t *out)
{
	uint32_t len = m->pkt_len - offset;
	const void *at;

	assert_true(len <= FRAME_MAX);
	at = rte_pktmbuf_read(m, offset, len, out);
	assert_non_null(at);
	if (at != out)
		memcpy(out, at, len);
	return (uint16_t)len;
}

uint16_t
wire_l4_offset(const uint8_t *ip)
{
	if (ip[0] >> 4 == 4)
		return (uint16_t)((ip[0] & 0xf) * 4);
	return ip[6] == FRAGMENT_HEADER ? 48 : 40;
}

static struct endpoint
endpoint_at(const uint8_t *ip, unsigned int nth)
{
	const uint8_t *l4 = ip + wire_l4_offset(ip);
	struct endpoint e = { 0 };
	uint32_t v4_be;

	memcpy(&v4_be, ip + 12 + 4 * nth, sizeof(v4_be));
	e.ip = ip[0] >> 4 == 6 ? ip_address_from_v6(ip + 8 + 16 * nth) : ip_address_from_v4(v4_be);
	memcpy(&e.port_be, l4 + 2 * nth, 2);
	return e;
}

struct endpoint
wire_source(const uint8_t *ip)
{
	return endpoint_at(ip, 0);
}

struct endpoint
wire_destination(const uint8_t *ip)
{
	return endpoint_at(ip, 1);
}

static uint8_t
l4_protocol(const uint8_t *ip)
{
	if (ip[0] >> 4 == 4)
		return ip[9];
	return ip[6] == FRAGMENT_HEADER ? ip[40] : ip[6];
}

static bool
is_fragment(const uint8_t *ip)
{
	return ip[0] >> 4 == 4 ? get_16(ip + 6) & 0x3fff : ip[6] == FRAGMENT_HEADER;
}

static void
assert_l4_sum(const uint8_t *ip, const uint8_t *l4, uint16_t l4_len, bool partial)
{
	uint8_t ip_protocol = l4_protocol(ip);
	uint32_t pseudo = ip_protocol == IPPROTO_ICMP ? 0 : pseudo_sum(ip, ip_protocol, l4_len);

	if (ip_protocol == IPPROTO_UDP) {
		assert_int_equal(get_16(l4 + 4), l4_len);
		if (get_16(l4 + 6) == 0 && ip[0] >> 4 == 4)
			return;
		assert_int_not_equal(get_16(l4 + 6), 0);
	}
	pseudo = (pseudo & 0xffff) + (pseudo >> 16);
	if (partial)
		assert_int_equal(get_16(l4 + (ip_protocol == IPPROTO_TCP ? 16 : 6)), wire_sum(l4, 0, pseudo));
	else
		assert_int_equal(wire_sum(l4, l4_len, pseudo), 0xffff);
}

void
wire_assert_sums(const uint8_t *ip, uint16_t len, bool partial)
{
	uint16_t l4_offset = wire_l4_offset(ip);

	if (ip[0] >> 4 == 4) {
		assert_int_equal(get_16(ip + 2), len);
		assert_int_equal(wire_sum(ip, l4_offset, 0), 0xffff);
	} else {
		assert_int_equal(get_16(ip + 4) + 40, len);
	}
	if (!is_fragment(ip))
		assert_l4_sum(ip, ip + l4_offset, len - l4_offset, partial);
}

void
wire_assert_reassembled(const uint8_t *first, uint16_t first_len, const uint8_t *later, uint16_t later_len)
{
	uint16_t from = wire_l4_offset(first), later_from = wire_l4_offset(later);
	uint8_t l4[FRAME_MAX];

	assert_int_equal(first_len - from, WIRE_FIRST_LEN);
	memcpy(l4, first + from, WIRE_FIRST_LEN);
	memcpy(l4 + WIRE_FIRST_LEN, later + later_from, later_len - later_from);
	assert_l4_sum(first, l4, WIRE_FIRST_LEN + later_len - later_from, false);
}
