/*
 * A stack under segments, times and users that do anything. The input is a list of steps of a few bytes; numbers in
 * segments are near those of the connection, so that they get past the first check, and SACK blocks near its segments. After every round each connection
 * must be consistent (tests/tcp/check.h), and at the end no mbuf may be missing.
 */
#include <rte_ether.h>
#include <rte_tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "check.h"
#include "packet/build.h"
#include "packet/checksum.h"
#include "packet/parse.h"
#include "support/dpdk.h"
#include "tcp/stack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HELD_MAX 8
#define STEPS_MAX 400

struct fuzz {
	const uint8_t *data;
	size_t left;
	struct tcp_stack *stack;
	uint64_t now_ns;
	struct endpoint local, remote;
	uint32_t sequence; /* the peer's, as it thinks */
	struct tcp_connection *held[HELD_MAX];
	unsigned int held_count;
};

static uint32_t
take(struct fuzz *fuzz, unsigned int bytes)
{
	uint32_t value = 0;

	while (bytes-- > 0) {
		value = value << 8 | (fuzz->left ? *fuzz->data : 0);
		fuzz->data += fuzz->left > 0;
		fuzz->left -= fuzz->left > 0;
	}
	return value;
}

static void
env_send(void *context, struct rte_mbuf *m)
{
	if (m->nb_segs != 1 || rte_pktmbuf_headroom(m) < RTE_PKTMBUF_HEADROOM || m->pkt_len > 1500)
		abort();
	m->ol_flags = 0;
	packet_checksum_fill(m, 0);
	if (!packet_build_ethernet(m, (const uint8_t[6]){ 2 }, (const uint8_t[6]){ 2 }, PACKET_VLAN_NONE) ||
	    packet_parse(m) != PACKET_OK)
		abort();
	rte_pktmbuf_free(m);
}

static bool
env_route(void *context, const struct ip_address *remote, struct ip_address *local, uint16_t *mtu)
{
	const struct fuzz *fuzz = context;

	*local = fuzz->local.ip;
	*mtu = 1500;
	return true;
}

static struct tcp_connection *
connection_of(struct fuzz *fuzz)
{
	struct tcp_time_wait *record;

	return tcp_stack_find(fuzz->stack, tcp_table_hash(&fuzz->stack->table, &fuzz->local, &fuzz->remote),
			      &fuzz->local, &fuzz->remote, &record);
}

/* Near what the connection expects, most of the time. */
static uint32_t
near(struct fuzz *fuzz, uint32_t value)
{
	uint32_t how = take(fuzz, 1);

	if (how < 128)
		return value;
	if (how < 224)
		return value + (uint32_t)(int8_t)take(fuzz, 1);
	return how < 250 ? value + (uint32_t)(int16_t)take(fuzz, 2) : take(fuzz, 4);
}

/* Hands a segment in; its options and payload are behind the header. */
static void
segment_input(struct fuzz *fuzz, uint8_t *tcp, uint32_t len)
{
	struct rte_mbuf *m = support_mbuf_from(tcp, len);

	packet_build_ip(m, &fuzz->remote.ip, &fuzz->local.ip, IPPROTO_TCP, (uint8_t)take(fuzz, 1) & 3, 64);
	packet_checksum_fill(m, 0);
	packet_build_ethernet(m, (const uint8_t[6]){ 2 }, (const uint8_t[6]){ 2 }, PACKET_VLAN_NONE);
	if (packet_parse(m) == PACKET_OK)
		tcp_input(fuzz->stack, m);
	else
		rte_pktmbuf_free(m);
}

static uint8_t *
put32(uint8_t *out, uint32_t value)
{
	value = htonl(value);
	memcpy(out, &value, 4);
	return out + 4;
}

/* An acceptable ACK with up to three SACK blocks within what is in flight, mostly at the ends of segments, and with the
 * timestamp that a peer would send. */
static void
step_sack(struct fuzz *fuzz)
{
	const struct tcp_connection *c = connection_of(fuzz);
	uint8_t tcp[60] = { 0 }, *at = tcp + 20;
	uint32_t blocks = take(fuzz, 1) % 4, flight;

	if (!c)
		return;
	flight = c->snd_max - c->snd_una;
	*(struct rte_tcp_hdr *)tcp = (struct rte_tcp_hdr){
		.src_port = fuzz->remote.port_be,
		.dst_port = fuzz->local.port_be,
		.sent_seq = htonl(c->rcv_nxt),
		.recv_ack = htonl(c->snd_una + (flight ? take(fuzz, 1) * c->mss % (flight + 1) : 0)),
		.tcp_flags = RTE_TCP_ACK_FLAG,
		.rx_win = htons(0x8000),
	};
	if (c->flags & TCP_TIMESTAMPS) {
		memcpy(at, "\x01\x01\x08\x0a", 4);
		at = put32(put32(at + 4, c->ts_recent + take(fuzz, 1) % 2),
			   c->stack->now_ms + c->ts_offset - take(fuzz, 1));
	}
	if (blocks > 0) {
		memcpy(at, "\x01\x01\x05", 3);
		at[3] = (uint8_t)(2 + 8 * blocks);
		at += 4;
		for (uint32_t i = 0; i < blocks; i++) {
			uint32_t from = take(fuzz, 1) * c->mss, len = take(fuzz, 1) % 4 * c->mss;

			at = put32(put32(at, c->snd_una + from),
				   c->snd_una + from + len + (uint32_t)(int8_t)take(fuzz, 1) / 16);
		}
	}
	((struct rte_tcp_hdr *)tcp)->data_off = (uint8_t)((at - tcp) << 2);
	segment_input(fuzz, tcp, (uint32_t)(at - tcp));
}

static void
step_segment(struct fuzz *fuzz)
{
	const struct tcp_connection *c = connection_of(fuzz);
	uint8_t frame[60 + 1400] = { 0 };
	uint32_t options_len = take(fuzz, 1) % 11 * 4;
	uint32_t payload_len = take(fuzz, 1) * 5;
	uint32_t sequence = near(fuzz, c ? c->rcv_nxt : fuzz->sequence);
	uint32_t acknowledgement = near(fuzz, c ? c->snd_max : 0);
	uint8_t flags = (uint8_t)take(fuzz, 1) & 0xdf; /* all but URG */

	*(struct rte_tcp_hdr *)frame = (struct rte_tcp_hdr){
		.src_port = fuzz->remote.port_be,
		.dst_port = fuzz->local.port_be,
		.sent_seq = htonl(sequence),
		.recv_ack = htonl(acknowledgement),
		.data_off = (uint8_t)((20 + options_len) << 2),
		.tcp_flags = flags,
		.rx_win = htons((uint16_t)take(fuzz, 2)),
	};
	for (uint32_t i = 0; i < options_len; i++)
		frame[20 + i] = (uint8_t)take(fuzz, 1);
	segment_input(fuzz, frame, 20 + options_len + payload_len);
}

static void
step_round(struct fuzz *fuzz)
{
	struct tcp_connection *c;
	uint32_t events;

	while ((c = tcp_ready(fuzz->stack, &events)))
		if (events & TCP_ACCEPTED) {
			if (fuzz->held_count < HELD_MAX)
				fuzz->held[fuzz->held_count++] = c;
			else
				tcp_abort(c);
		}
	tcp_flush(fuzz->stack);
	tcp_check_stack(fuzz->stack);
}

static void
step_time(struct fuzz *fuzz)
{
	static const uint64_t scales_ns[] = { NS_PER_US, NS_PER_MS, 50 * NS_PER_MS, NS_PER_SECOND,
					      3600 * NS_PER_SECOND };
	uint32_t how = take(fuzz, 1);

	fuzz->now_ns += (how >> 3) * scales_ns[how % RTE_DIM(scales_ns)];
	tcp_stack_time(fuzz->stack, fuzz->now_ns);
	tcp_timers(fuzz->stack);
	step_round(fuzz);
}

static void
release(struct fuzz *fuzz, unsigned int which, bool abortively)
{
	struct tcp_connection *c = fuzz->held[which];

	fuzz->held[which] = fuzz->held[--fuzz->held_count];
	if (abortively)
		tcp_abort(c);
	else
		tcp_close(c);
}

static void
step_user(struct fuzz *fuzz)
{
	static const uint8_t data[60000];
	unsigned int which = fuzz->held_count ? take(fuzz, 1) % fuzz->held_count : 0;
	struct tcp_connection *c = fuzz->held_count ? fuzz->held[which] : NULL;
	uint32_t what = take(fuzz, 1) % 9, len = take(fuzz, 2);
	int error;

	if (what == 0 && fuzz->held_count < HELD_MAX) {
		c = tcp_connect(fuzz->stack, &fuzz->remote, NULL, &error);
		if (c)
			fuzz->held[fuzz->held_count++] = c;
	} else if (what == 1) {
		/* The peer talks to one of ours, or to the listener. */
		fuzz->local.port_be = c ? tcp_local(c)->port_be : htons(80);
		fuzz->remote.port_be = c ? tcp_remote(c)->port_be : htons((uint16_t)len);
	} else if (!c) {
		return;
	} else if (what == 2) {
		tcp_write(c, data, RTE_MIN(len, sizeof(data)));
	} else if (what == 3) {
		tcp_consume(c, RTE_MIN(len, tcp_readable(c)));
	} else if (what == 4) {
		tcp_move(fuzz->held[len % fuzz->held_count], c, len);
	} else if (what == 5) {
		tcp_shutdown(c);
	} else if (what == 6) {
		tcp_want_sent(c);
	} else {
		release(fuzz, which, what == 8);
	}
}

static void
step_icmp(struct fuzz *fuzz)
{
	const struct tcp_connection *c = connection_of(fuzz);
	struct packet_quote quote = {
		.source = fuzz->local.ip,
		.destination = fuzz->remote.ip,
		.source_port_be = fuzz->local.port_be,
		.destination_port_be = fuzz->remote.port_be,
		.tcp_sequence = near(fuzz, c ? c->snd_una : 0),
		.mtu = take(fuzz, 2),
		.ip_protocol = 6,
		.icmp_type = 3,
		.icmp_code = (uint8_t)take(fuzz, 1) % 16,
	};

	tcp_icmp_error(fuzz->stack, &quote);
}

static void
start(struct fuzz *fuzz)
{
	struct tcp_env env = { fuzz, env_send, env_route, NULL };
	uint32_t small = take(fuzz, 1) % 2, more = take(fuzz, 1);
	struct tcp_config config = {
		.pool = support_pool(),
		.connections_max = 6,
		.time_wait_max = 3,
		.receive_buffer = small ? 8192 : 200000,
		.send_buffer = 16384,
		.syn_backlog = 3,
		.port_first = 1000,
		.port_last = 1003,
		.port_modulus = 1,
		.secret = { 1, 2 },
		.keepalive_idle_s = more % 2 * 60,
		.syn_cookies = (uint8_t)(more / 2 % 3),
		.ecn = (uint8_t)(more / 6 % 3),
	};
	const char *error;

	fuzz->now_ns = NS_PER_SECOND;
	endpoint_parse(bytes_of_string("192.0.2.1:80"), 0, &fuzz->local);
	endpoint_parse(bytes_of_string("192.0.2.2:4000"), 0, &fuzz->remote);
	fuzz->stack = tcp_stack_new(&config, &env, fuzz->now_ns, &error);
	if (!fuzz->stack)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz fuzz = { .data = data, .left = size, .sequence = 1000 };
	struct tcp_listener listener;
	unsigned int before;

	support_dpdk_init();
	before = support_pool_available();
	start(&fuzz);
	listener = (struct tcp_listener){ fuzz.local, NULL };
	tcp_listen(fuzz.stack, &listener, 1);
	for (int steps = 0; fuzz.left > 0 && steps < STEPS_MAX; steps++) {
		uint32_t what = take(&fuzz, 1) % 20;

		if (what < 8)
			step_segment(&fuzz);
		else if (what >= 16)
			step_sack(&fuzz);
		else if (what < 10)
			step_time(&fuzz);
		else if (what < 12)
			step_round(&fuzz);
		else if (what < 15)
			step_user(&fuzz);
		else
			step_icmp(&fuzz);
	}
	step_round(&fuzz);
	tcp_stack_free(fuzz.stack);
	if (support_pool_available() != before)
		abort();
	return 0;
}
