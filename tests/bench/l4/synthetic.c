#include "synthetic.h"

#include <netinet/in.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "packet/checksum.h"

#define FRAME_MIN 60
#define CLIENT_PORT_FIRST 1024
/* Low bits of a client's number are its address, the others its port. */
#define CLIENT_ADDRESS_BITS 16
#define NOTE_BITS 24

enum {
	TYPE_AT = 12,
	L3_AT = 14,
	V4_SOURCE_AT = L3_AT + 12,
	V4_DESTINATION_AT = L3_AT + 16,
	V4_PORTS_AT = L3_AT + 20,
	V6_SOURCE_AT = L3_AT + 8,
	V6_DESTINATION_AT = L3_AT + 24,
	V6_PORTS_AT = L3_AT + 40,
};

/* ---- addresses ---- */

static struct ip_address
address_of(const char *v4, const char *v6, bool ipv6, uint32_t number)
{
	const char *text = ipv6 ? v6 : v4;
	struct ip_address ip;

	ip_address_parse(bytes_of_string(text), &ip);
	ip.words_be[3] = htonl(ntohl(ip.words_be[3]) + number);
	return ip;
}

struct ip_address
synthetic_server(bool ipv6, uint32_t number)
{
	return address_of("10.0.2.0", "fd00:2::", ipv6, number);
}

struct ip_address
synthetic_local(bool ipv6)
{
	return address_of("10.0.2.254", "fd00:2::fe", ipv6, 0);
}

struct ip_address
synthetic_service(bool ipv6)
{
	return address_of("10.0.1.1", "fd00:1::1", ipv6, 0);
}

/* The word of the address that differs, and the port, both as they lie in the packet. */
static inline uint32_t
client_word(uint32_t number)
{
	return htonl(0x0b000000u + (number & ((1u << CLIENT_ADDRESS_BITS) - 1)));
}

static inline uint16_t
client_port(uint32_t number)
{
	return htons((uint16_t)(CLIENT_PORT_FIRST + (number >> CLIENT_ADDRESS_BITS)));
}

static inline uint32_t
client_number(uint32_t word_be, uint16_t port_be)
{
	return (ntohl(word_be) - 0x0b000000u) | (uint32_t)(ntohs(port_be) - CLIENT_PORT_FIRST) << CLIENT_ADDRESS_BITS;
}

/* ---- receiving ---- */

static inline void
store_32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
}

static inline void
store_16(uint8_t *at, uint16_t value)
{
	memcpy(at, &value, sizeof(value));
}

/* `offsets` in the frame: constants where this is called. */
static inline __attribute__((always_inline)) void
write_packet(struct synthetic_port *s, uint8_t *at, uint32_t number, enum synthetic_traffic traffic, bool ipv6)
{
	/* The last word of each address. */
	uint8_t *source = at + (ipv6 ? V6_SOURCE_AT + 12 : V4_SOURCE_AT);
	uint8_t *destination = at + (ipv6 ? V6_DESTINATION_AT + 12 : V4_DESTINATION_AT);
	uint8_t *ports = at + (ipv6 ? V6_PORTS_AT : V4_PORTS_AT);
	uint32_t note;

	memcpy(at, s->frame, ipv6 ? 80 : 64);
	if (traffic == SYNTHETIC_CLIENTS) {
		store_32(source, client_word(number));
		store_16(ports, client_port(number));
		return;
	}
	note = s->notes[number];
	at[(ipv6 ? V6_SOURCE_AT + 15 : V4_SOURCE_AT + 3)] = (uint8_t)(note >> NOTE_BITS);
	note &= (1u << NOTE_BITS) - 1;
	if (traffic == SYNTHETIC_ANSWERS_BY_PORT) {
		store_16(ports + 2, (uint16_t)note);
	} else {
		store_32(destination, client_word(note));
		store_16(ports + 2, client_port(note));
	}
}

static inline __attribute__((always_inline)) void
write_packets(struct synthetic_port *s, struct rte_mbuf **m, uint16_t count, enum synthetic_traffic traffic, bool ipv6)
{
	uint32_t next = s->next;

	for (uint16_t i = 0; i < count; i++) {
		memcpy(&m[i]->rearm_data, &s->rearm, sizeof(s->rearm));
		write_packet(s, rte_pktmbuf_mtod(m[i], uint8_t *), next, traffic, ipv6);
		next = next + 1 == s->end ? s->first : next + 1;
		m[i]->data_len = s->frame_len;
		m[i]->pkt_len = s->frame_len;
		m[i]->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	}
	s->next = next;
}

#define WRITER(name, traffic, ipv6)                                                                                    \
	static void name(struct synthetic_port *s, struct rte_mbuf **m, uint16_t count)                                \
	{                                                                                                              \
		write_packets(s, m, count, traffic, ipv6);                                                             \
	}
WRITER(write_clients_v4, SYNTHETIC_CLIENTS, false)
WRITER(write_clients_v6, SYNTHETIC_CLIENTS, true)
WRITER(write_ports_v4, SYNTHETIC_ANSWERS_BY_PORT, false)
WRITER(write_ports_v6, SYNTHETIC_ANSWERS_BY_PORT, true)
WRITER(write_answers_v4, SYNTHETIC_ANSWERS_BY_CLIENT, false)
WRITER(write_answers_v6, SYNTHETIC_ANSWERS_BY_CLIENT, true)

static uint16_t
receive(struct port *port, uint16_t queue, struct rte_mbuf **out, uint16_t max)
{
	static void (*const writers[SYNTHETIC_TRAFFIC_COUNT][2])(struct synthetic_port *, struct rte_mbuf **,
								 uint16_t) = {
		[SYNTHETIC_CLIENTS] = { write_clients_v4, write_clients_v6 },
		[SYNTHETIC_ANSWERS_BY_PORT] = { write_ports_v4, write_ports_v6 },
		[SYNTHETIC_ANSWERS_BY_CLIENT] = { write_answers_v4, write_answers_v6 },
	};
	struct synthetic_port *s = (struct synthetic_port *)port;

	/* As a driver of a NIC has it: buffers are given back as they were, so that one word makes them ready again. */
	if (rte_mempool_get_bulk(s->pool, (void **)out, max) < 0) {
		s->counters.values[PORT_RX_NO_MBUF]++;
		return 0;
	}
	writers[s->traffic][s->ipv6](s, out, max);
	return max;
}

/* ---- sending ---- */

/* A frame to a server, whose IP version is the clients': tunnels are not noted. */
static void
note(struct synthetic_port *s, const uint8_t *frame)
{
	const uint8_t *source = frame + (s->ipv6 ? V6_SOURCE_AT + 12 : V4_SOURCE_AT);
	uint8_t server = frame[s->ipv6 ? V6_DESTINATION_AT + 15 : V4_DESTINATION_AT + 3];
	uint32_t word_be;
	uint16_t port_be;

	if (s->notes_count == s->notes_max)
		return;
	memcpy(&word_be, source, sizeof(word_be));
	memcpy(&port_be, frame + (s->ipv6 ? V6_PORTS_AT : V4_PORTS_AT), sizeof(port_be));
	s->notes[s->notes_count++] =
		(uint32_t)server << NOTE_BITS | (s->notes_ports ? port_be : client_number(word_be, port_be));
}

static void
forget(struct port *port, uint16_t queue, struct rte_mbuf **m, uint16_t count)
{
	struct synthetic_port *s = (struct synthetic_port *)port;

	if (unlikely(s->notes && s->traffic == SYNTHETIC_CLIENTS))
		for (uint16_t i = 0; i < count; i++)
			note(s, rte_pktmbuf_mtod(m[i], const uint8_t *));
	s->counters.values[PORT_TX_PACKETS] += count;
	rte_mempool_put_bulk(s->pool, (void **)m, count);
}

static int
wait_fd(struct port *port, uint16_t queue)
{
	return -1;
}

static bool
link_up(struct port *port)
{
	return true;
}

/* ---- what is sent ---- */

static void
frame_start(struct synthetic_port *s, const struct ip_address *source, const struct ip_address *destination)
{
	uint8_t ip_protocol = s->ipv6 ? s->frame[L3_AT + 6] : s->frame[L3_AT + 9];
	uint16_t l4_len = ip_protocol == IPPROTO_TCP ? sizeof(struct rte_tcp_hdr) : sizeof(struct rte_udp_hdr);
	struct rte_ipv6_hdr v6 = {
		.vtc_flow = RTE_BE32(6u << 28), .payload_len = htons(l4_len), .proto = ip_protocol, .hop_limits = 64
	};
	struct rte_ipv4_hdr v4 = { .version_ihl = RTE_IPV4_VHL_DEF,
				   .total_length = htons((uint16_t)(sizeof(v4) + l4_len)),
				   .fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG),
				   .time_to_live = 64,
				   .next_proto_id = ip_protocol,
				   .src_addr = ip_address_v4_be(source),
				   .dst_addr = ip_address_v4_be(destination) };

	store_16(s->frame + TYPE_AT, s->ipv6 ? RTE_BE16(RTE_ETHER_TYPE_IPV6) : RTE_BE16(RTE_ETHER_TYPE_IPV4));
	if (s->ipv6) {
		memcpy(v6.src_addr, source->bytes, 16);
		memcpy(v6.dst_addr, destination->bytes, 16);
		memcpy(s->frame + L3_AT, &v6, sizeof(v6));
	} else {
		memcpy(s->frame + L3_AT, &v4, sizeof(v4));
	}
}

static void
frame_l4(struct synthetic_port *s, uint16_t source_port, uint16_t destination_port, uint8_t tcp_flags)
{
	uint8_t *at = s->frame + (s->ipv6 ? V6_PORTS_AT : V4_PORTS_AT);
	uint8_t ip_protocol = s->ipv6 ? s->frame[L3_AT + 6] : s->frame[L3_AT + 9];
	struct rte_tcp_hdr tcp = { .src_port = htons(source_port),
				   .dst_port = htons(destination_port),
				   .data_off = sizeof(tcp) / 4 << 4,
				   .tcp_flags = tcp_flags,
				   .rx_win = RTE_BE16(65535),
				   .cksum = RTE_BE16(0x1234) };
	struct rte_udp_hdr udp = { .src_port = tcp.src_port,
				   .dst_port = tcp.dst_port,
				   .dgram_len = RTE_BE16(sizeof(udp)),
				   .dgram_cksum = tcp.cksum };

	if (ip_protocol == IPPROTO_TCP)
		memcpy(at, &tcp, sizeof(tcp));
	else
		memcpy(at, &udp, sizeof(udp));
}

void
synthetic_port_clients(struct synthetic_port *s, uint32_t first, uint32_t end, uint8_t tcp_flags)
{
	struct ip_address service = synthetic_service(s->ipv6);
	struct ip_address client = address_of("11.0.0.0", "fd00:3::", s->ipv6, 0);

	s->traffic = SYNTHETIC_CLIENTS;
	s->first = s->next = first;
	s->end = end;
	frame_start(s, &client, &service);
	frame_l4(s, CLIENT_PORT_FIRST, SYNTHETIC_PORT, tcp_flags);
}

void
synthetic_port_answers(struct synthetic_port *s)
{
	struct ip_address server = synthetic_server(s->ipv6, 1), local = synthetic_local(s->ipv6);
	struct ip_address client = address_of("11.0.0.0", "fd00:3::", s->ipv6, 0);

	s->traffic = s->notes_ports ? SYNTHETIC_ANSWERS_BY_PORT : SYNTHETIC_ANSWERS_BY_CLIENT;
	s->first = s->next = 0;
	s->end = s->notes_count;
	frame_start(s, &server, s->notes_ports ? &local : &client);
	frame_l4(s, SYNTHETIC_PORT, 0, RTE_TCP_ACK_FLAG);
}

bool
synthetic_port_note(struct synthetic_port *s, uint32_t max, bool ports)
{
	free(s->notes);
	s->notes = malloc(max * sizeof(*s->notes));
	s->notes_count = 0;
	s->notes_max = max;
	s->notes_ports = ports;
	return s->notes != NULL;
}

/* data_off, refcnt, nb_segs and port of a buffer that nobody has touched. */
static uint64_t
rearm_word(struct rte_mempool *pool)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	uint64_t word = 0;

	if (!m)
		return 0;
	memcpy(&word, &m->rearm_data, sizeof(word));
	rte_pktmbuf_free(m);
	return word;
}

static const struct port_ops ops = {
	.kind = "synthetic",
	.rx_burst = receive,
	.tx_burst = forget,
	.wait_fd = wait_fd,
	.link_up = link_up,
};

void
synthetic_port_init(struct synthetic_port *s, struct rte_mempool *pool, bool ipv6, uint8_t ip_protocol)
{
	static const struct rte_ether_addr own = { { 0x02, 0, 0, 0, 0, 0x01 } };
	uint16_t len = (uint16_t)((ipv6 ? V6_PORTS_AT : V4_PORTS_AT) + (ip_protocol == IPPROTO_TCP ? 20 : 8));

	memset(s, 0, sizeof(*s));
	s->port.ops = &ops;
	snprintf(s->port.name, sizeof(s->port.name), "synthetic");
	snprintf(s->port.interface_name, sizeof(s->port.interface_name), "synthetic");
	s->port.ifindex = 1;
	s->port.mac = own;
	s->port.mtu = RTE_ETHER_MTU;
	s->port.queues = 1;
	/* As a NIC has them; the balancer asks for sums only where it cannot keep them. */
	s->port.features = PORT_TX_SEGMENTS | PORT_TX_CHECKSUM | PORT_RX_CHECKSUM;
	s->port.counters = &s->counters;
	s->pool = pool;
	s->rearm = rearm_word(pool);
	s->ipv6 = ipv6;
	s->frame_len = RTE_MAX(len, FRAME_MIN);
	memcpy(s->frame, own.addr_bytes, RTE_ETHER_ADDR_LEN);
	s->frame[6] = 0x02;
	s->frame[11] = 0x02;
	s->frame[ipv6 ? L3_AT + 6 : L3_AT + 9] = ip_protocol;
	synthetic_port_clients(s, 0, 1, RTE_TCP_ACK_FLAG);
}

void
synthetic_port_fini(struct synthetic_port *s)
{
	free(s->notes);
	s->notes = NULL;
}
