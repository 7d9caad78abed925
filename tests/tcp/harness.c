#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "packet/build.h"
#include "packet/checksum.h"
#include "packet/parse.h"
#include "packet/segment.h"
#include "support/dpdk.h"

#define OPTIONS_TEXT_MAX 160

/* A segment as text says it. */
struct script {
	char flags[8];
	uint32_t start, end;
	bool has_ack, has_win, has_ecn, has_options;
	uint32_t ack, win, ecn;
	char options[OPTIONS_TEXT_MAX];
};

uint8_t
harness_pattern(uint32_t offset)
{
	return (uint8_t)(offset * 31 + (offset >> 8) * 7 + (offset >> 16));
}

/* ---- text ---- */

static void
script_parse(const char *text, struct script *out)
{
	int used = 0;
	char word[16];

	*out = (struct script){ 0 };
	if (sscanf(text, "%7s %u:%u%n", out->flags, &out->start, &out->end, &used) != 3)
		fail_msg("not a segment: %s", text);
	for (text += used; *text;) {
		if (*text == ' ') {
			text++;
		} else if (*text == '<') {
			out->has_options = true;
			snprintf(out->options, sizeof(out->options), "%.*s", (int)strcspn(text + 1, ">"), text + 1);
			return;
		} else if (sscanf(text, "%15[a-z]%n", word, &used) == 1) {
			bool ack = strcmp(word, "ack") == 0, win = strcmp(word, "win") == 0;
			uint32_t *value = ack ? &out->ack : win ? &out->win : &out->ecn;
			bool *has = ack ? &out->has_ack : win ? &out->has_win : &out->has_ecn;

			text += used;
			if (sscanf(text, " %u%n", value, &used) != 1)
				fail_msg("no number: %s", text);
			*has = true;
			text += used;
		} else {
			fail_msg("not understood: %s", text);
		}
	}
}

static uint8_t
flags_of(const char *text)
{
	uint8_t flags = 0;

	for (; *text; text++) {
		switch (*text) {
		case 'S':
			flags |= RTE_TCP_SYN_FLAG;
			break;
		case 'F':
			flags |= RTE_TCP_FIN_FLAG;
			break;
		case 'R':
			flags |= RTE_TCP_RST_FLAG;
			break;
		case 'P':
			flags |= RTE_TCP_PSH_FLAG;
			break;
		case '.':
			flags |= RTE_TCP_ACK_FLAG;
			break;
		case 'E':
			flags |= RTE_TCP_ECE_FLAG;
			break;
		case 'W':
			flags |= RTE_TCP_CWR_FLAG;
			break;
		case '-':
			break;
		default:
			fail_msg("no such flag: %c", *text);
		}
	}
	return flags;
}

static uint8_t *
put32(uint8_t *out, uint32_t value)
{
	value = htonl(value);
	memcpy(out, &value, 4);
	return out + 4;
}

/* Writes the options that the text names, padded; returns their length. */
static uint32_t
options_build(struct harness *h, const char *text, uint8_t *out)
{
	uint8_t *at = out, *sack = NULL;
	uint32_t a, b;
	int used = 0;

	while (*text) {
		if (*text == ',' || *text == ' ') {
			text++;
			continue;
		}
		if (sscanf(text, "mss %u%n", &a, &used) == 1) {
			*at++ = 2;
			*at++ = 4;
			*at++ = (uint8_t)(a >> 8);
			*at++ = (uint8_t)a;
		} else if (sscanf(text, "wscale %u%n", &a, &used) == 1) {
			*at++ = 3;
			*at++ = 3;
			*at++ = (uint8_t)a;
		} else if (strncmp(text, "sackOK", 6) == 0) {
			*at++ = 4;
			*at++ = 2;
			used = 6;
		} else if (sscanf(text, "ts %u:%u%n", &a, &b, &used) == 2) {
			*at++ = 8;
			*at++ = 10;
			at = put32(put32(at, a), b ? b + h->timestamp_base : 0);
		} else if (sscanf(text, "sack %u:%u%n", &a, &b, &used) == 2) {
			if (!sack) {
				sack = at;
				*at++ = 5;
				*at++ = 2;
			}
			at = put32(put32(at, a + h->local_isn), b + h->local_isn);
			sack[1] += 8;
		} else {
			fail_msg("no such option: %s", text);
		}
		text += used;
	}
	while ((at - out) % 4)
		*at++ = 0;
	return (uint32_t)(at - out);
}

__attribute__((format(printf, 2, 3))) static void
append(char *out, const char *format, ...)
{
	size_t len = strlen(out);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(out + len, OPTIONS_TEXT_MAX - len, format, arguments);
	va_end(arguments);
}

static uint32_t
get32(const uint8_t *data)
{
	uint32_t value;

	memcpy(&value, data, 4);
	return ntohl(value);
}

static void
options_format(const struct harness *h, const uint8_t *data, uint32_t len, char *out)
{
	*out = '\0';
	while (len > 0 && *data != 0) {
		const char *comma = *out ? "," : "";

		if (*data == 1) {
			data++;
			len--;
			continue;
		}
		assert_true(len >= 2 && data[1] >= 2 && data[1] <= len);
		if (data[0] == 2)
			append(out, "%smss %u", comma, data[2] << 8 | data[3]);
		else if (data[0] == 3)
			append(out, "%swscale %u", comma, data[2]);
		else if (data[0] == 4)
			append(out, "%ssackOK", comma);
		else if (data[0] == 8)
			append(out, "%sts %u:%u", comma, get32(data + 2) - h->timestamp_base, get32(data + 6));
		else if (data[0] == 5)
			for (uint32_t i = 2; i + 8 <= data[1]; i += 8, comma = ",")
				append(out, "%ssack %u:%u", comma, get32(data + i) - h->remote_isn,
				       get32(data + i + 4) - h->remote_isn);
		else
			fail_msg("the stack sent option %u", data[0]);
		len -= data[1];
		data += data[1];
	}
}

/* ---- segments in ---- */

void
inject(struct harness *h, const char *text)
{
	struct script script;
	uint8_t tcp[20 + 40 + 1960] = { 0 }, more[1448];
	uint32_t options_len, payload_len, header_len, done;
	struct rte_tcp_hdr *header = (struct rte_tcp_hdr *)tcp;
	struct rte_mbuf *m;
	const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };

	script_parse(text, &script);
	options_len = options_build(h, script.options, tcp + 20);
	header_len = 20 + options_len;
	payload_len = script.end - script.start;
	done = RTE_MIN(payload_len, 1960u);
	*header = (struct rte_tcp_hdr){
		.src_port = h->remote.port_be,
		.dst_port = h->local.port_be,
		.sent_seq = htonl(h->remote_isn + script.start),
		.recv_ack = htonl(script.has_ack ? h->local_isn + script.ack : 0),
		.data_off = (uint8_t)(header_len << 2),
		.tcp_flags = flags_of(script.flags),
		.rx_win = htons((uint16_t)(script.has_win ? script.win : 65535)),
	};
	for (uint32_t i = 0; i < done; i++)
		tcp[header_len + i] = harness_pattern(script.start - 1 + i);
	m = support_mbuf_from(tcp, header_len + done);
	/* What a kernel has not cut up comes as a chain. */
	for (uint32_t len; done < payload_len; done += len) {
		len = RTE_MIN(payload_len - done, (uint32_t)sizeof(more));
		for (uint32_t i = 0; i < len; i++)
			more[i] = harness_pattern(script.start - 1 + done + i);
		support_mbuf_append(m, more, len);
	}
	assert_true(packet_build_ip(m, &h->remote.ip, &h->local.ip, IPPROTO_TCP, (uint8_t)script.ecn, 64));
	packet_checksum_fill(m, 0);
	assert_true(packet_build_ethernet(m, mac, mac, PACKET_VLAN_NONE));
	assert_int_equal(packet_parse(m), PACKET_OK);
	tcp_input(h->stack, m);
}

/* ---- segments out ---- */

void
harness_cut_up(struct rte_mbuf *m, void (*each)(void *context, struct rte_mbuf *m), void *context)
{
	struct packet_segmenter segmenter;

	if (!(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG)) {
		each(context, m);
		return;
	}
	assert_true(packet_segmenter_start(&segmenter, m));
	/* More than one, and no longer than IP can say. */
	assert_true(segmenter.left > m->tso_segsz && m->pkt_len <= UINT16_MAX);
	while (segmenter.left > 0) {
		struct rte_mbuf *segment = packet_segmenter_next(&segmenter, m->pool);

		/* Without mbufs the rest is lost. */
		if (!segment)
			break;
		each(context, segment);
	}
	rte_pktmbuf_free(m);
}

static void
keep_sent(void *context, struct rte_mbuf *m)
{
	struct harness *h = context;

	assert_true(h->sent_count < HARNESS_SENT_MAX);
	h->sent[(h->sent_first + h->sent_count++) % HARNESS_SENT_MAX] = m;
}

static void
env_send(void *context, struct rte_mbuf *m)
{
	const struct harness *h = context;

	if (h->whole)
		keep_sent(context, m);
	else
		harness_cut_up(m, keep_sent, context);
}

static bool
env_route(void *context, const struct ip_address *remote, struct ip_address *local, uint16_t *mtu)
{
	const struct harness *h = context;

	*local = h->local.ip;
	*mtu = h->mtu;
	return !h->no_route;
}

static bool
env_lands_here(void *context, const struct endpoint *local, const struct endpoint *remote)
{
	const struct harness *h = context;

	return !h->lands_here || h->lands_here(local);
}

static void
env_port_used(void *context, uint16_t port_be, bool used)
{
	struct harness *h = context;

	h->port_uses += used ? 1 : -1;
}

static struct rte_mbuf *
take_sent(struct harness *h)
{
	struct rte_mbuf *m = h->sent[h->sent_first];

	if (h->sent_count == 0)
		return NULL;
	h->sent_first = (h->sent_first + 1) % HARNESS_SENT_MAX;
	h->sent_count--;
	return m;
}

struct rte_mbuf *
harness_take(struct harness *h)
{
	tcp_flush(h->stack);
	return take_sent(h);
}

/* What must hold for whatever the stack sends. Leaves the mbuf parsed, behind an Ethernet header. */
static const struct packet_view *
parse_sent(struct harness *h, struct rte_mbuf *m)
{
	const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
	const struct packet_view *view = packet_view(m);
	bool v4 = ip_address_is_v4(&h->local.ip);

	assert_int_equal(m->nb_segs, 1);
	assert_int_equal(m->l2_len, 0);
	assert_int_equal(m->l3_len, v4 ? 20 : 40);
	assert_true(m->l4_len >= 20);
	assert_true(m->ol_flags & RTE_MBUF_F_TX_TCP_CKSUM);
	assert_true(m->ol_flags & (v4 ? RTE_MBUF_F_TX_IP_CKSUM : RTE_MBUF_F_TX_IPV6));
	assert_true(rte_pktmbuf_headroom(m) >= RTE_PKTMBUF_HEADROOM);
	assert_true(m->pkt_len <= h->mtu);
	m->ol_flags = 0;
	packet_checksum_fill(m, 0);
	assert_true(packet_build_ethernet(m, mac, mac, PACKET_VLAN_NONE));
	assert_int_equal(packet_parse(m), PACKET_OK);
	assert_true(ip_address_equal(&view->source, &h->local.ip));
	assert_true(ip_address_equal(&view->destination, &h->remote.ip));
	assert_int_equal(view->destination_port_be, h->remote.port_be);
	return view;
}

static void
describe(struct harness *h, struct rte_mbuf *m, struct script *out)
{
	const struct packet_view *view = parse_sent(h, m);
	const struct rte_tcp_hdr *tcp = rte_pktmbuf_mtod_offset(m, struct rte_tcp_hdr *, view->l4_offset);
	const uint8_t *payload = rte_pktmbuf_mtod_offset(m, uint8_t *, view->payload_offset);
	uint8_t flags = view->tcp_flags;

	*out = (struct script){ .has_win = true, .has_ecn = true, .has_options = true, .ecn = view->tos & 3 };
	if (flags & RTE_TCP_SYN_FLAG && !h->have_local_isn) {
		h->local_isn = ntohl(tcp->sent_seq);
		h->local.port_be = view->source_port_be;
		h->have_local_isn = true;
		for (const uint8_t *o = (const uint8_t *)(tcp + 1); o + 10 <= payload; o++)
			if (o[0] == 8 && o[1] == 10)
				h->timestamp_base = get32(o + 2) - (uint32_t)((h->now_ns - h->start_ns) / NS_PER_MS);
	}
	snprintf(out->flags, sizeof(out->flags), "%s%s%s%s%s%s%s", flags & RTE_TCP_SYN_FLAG ? "S" : "",
		 flags & RTE_TCP_FIN_FLAG ? "F" : "", flags & RTE_TCP_RST_FLAG ? "R" : "",
		 flags & RTE_TCP_PSH_FLAG ? "P" : "", flags & RTE_TCP_ECE_FLAG ? "E" : "",
		 flags & RTE_TCP_CWR_FLAG ? "W" : "", flags & RTE_TCP_ACK_FLAG ? "." : "");
	out->start = ntohl(tcp->sent_seq) - h->local_isn;
	out->end = out->start + view->payload_len;
	out->has_ack = flags & RTE_TCP_ACK_FLAG;
	out->ack = out->has_ack ? ntohl(tcp->recv_ack) - h->remote_isn : 0;
	out->win = ntohs(tcp->rx_win);
	options_format(h, (const uint8_t *)(tcp + 1), (uint32_t)(payload - (const uint8_t *)(tcp + 1)), out->options);
	for (uint32_t i = 0; i < view->payload_len; i++)
		if (payload[i] != harness_pattern(out->start - 1 + i))
			fail_msg("wrong payload at %u", out->start + i);
}

void
expect(struct harness *h, const char *text)
{
	struct script wanted, got;
	struct rte_mbuf *m;

	tcp_flush(h->stack);
	m = take_sent(h);
	if (!m)
		fail_msg("nothing was sent, not: %s", text);
	script_parse(text, &wanted);
	describe(h, m, &got);
	rte_pktmbuf_free(m);
	/* P says nothing that a test here is about, unless it is asked for. */
	if (flags_of(wanted.flags) != (flags_of(got.flags) & ~RTE_TCP_PSH_FLAG) &&
	    flags_of(wanted.flags) != flags_of(got.flags))
		goto differs;
	if (wanted.start != got.start || wanted.end != got.end || wanted.has_ack != got.has_ack ||
	    wanted.ack != got.ack)
		goto differs;
	if ((wanted.has_win && wanted.win != got.win) || (wanted.has_ecn && wanted.ecn != got.ecn))
		goto differs;
	if (wanted.has_options && strcmp(wanted.options, got.options) != 0)
		goto differs;
	return;
differs:
	fail_msg("wanted %s\n      got    %s %u:%u %s %u win %u ecn %u <%s>", text, got.flags, got.start, got.end,
		 got.has_ack ? "ack" : "no ack", got.ack, got.win, got.ecn, got.options);
}

void
expect_nothing(struct harness *h)
{
	struct script got;

	tcp_flush(h->stack);
	if (h->sent_count == 0)
		return;
	describe(h, take_sent(h), &got);
	fail_msg("nothing was wanted\n      got    %s %u:%u ack %u win %u <%s>", got.flags, got.start, got.end, got.ack,
		 got.win, got.options);
}

uint32_t
harness_discard(struct harness *h)
{
	struct script ignored;
	struct rte_mbuf *m;
	uint32_t count = 0;

	tcp_flush(h->stack);
	while ((m = take_sent(h))) {
		describe(h, m, &ignored);
		rte_pktmbuf_free(m);
		count++;
	}
	return count;
}

/* ---- life ---- */

void
harness_init(struct harness *h)
{
	*h = (struct harness){
		.start_ns = 1000 * NS_PER_SECOND,
		.remote_isn = 1000000,
		.mtu = 1500,
		.config = {
			.pool = support_pool(),
			.connections_max = 64,
			.time_wait_max = 64,
			.receive_buffer = 65535,
			.send_buffer = 65536,
			.syn_backlog = 16,
			.large_segments = true,
			.port_first = 32768,
			.port_last = 60999,
			.port_modulus = 1,
			.secret = { 0x0123456789abcdef, 0xfedcba9876543210 },
		},
	};
	assert_int_equal(endpoint_parse(bytes_of_string("192.0.2.1:80"), 0, &h->local), 0);
	assert_int_equal(endpoint_parse(bytes_of_string("198.51.100.7:40000"), 0, &h->remote), 0);
}

void
harness_start(struct harness *h)
{
	struct tcp_env env = { h, env_send, env_route, env_port_used, env_lands_here };
	const char *error;

	h->pool_available = support_pool_available();
	h->now_ns = h->start_ns;
	h->stack = tcp_stack_new(&h->config, &env, h->now_ns, &error);
	if (!h->stack)
		fail_msg("%s", error);
	h->listener = (struct tcp_listener){ h->local, h };
	tcp_listen(h->stack, &h->listener, 1);
}

void
harness_stop(struct harness *h)
{
	harness_feed(h);
	harness_discard(h);
	tcp_stack_free(h->stack);
	assert_int_equal(support_pool_available(), h->pool_available);
}

void
advance(struct harness *h, uint64_t ms)
{
	uint64_t until_ns = h->now_ns + ms * NS_PER_MS;

	tcp_flush(h->stack);
	while (h->now_ns < until_ns) {
		uint64_t next_ns = tcp_next_timer_ns(h->stack);

		if (next_ns <= h->now_ns)
			next_ns = h->now_ns + NS_PER_MS;
		h->now_ns = next_ns < until_ns ? next_ns : until_ns;
		tcp_stack_time(h->stack, h->now_ns);
		tcp_timers(h->stack);
		tcp_flush(h->stack);
	}
}

uint32_t
harness_events(struct harness *h)
{
	struct tcp_connection *c;
	uint32_t events;

	while ((c = tcp_ready(h->stack, &events))) {
		if (!h->c)
			h->c = c;
		assert_ptr_equal(c, h->c);
		h->events |= events;
	}
	events = h->events;
	h->events = 0;
	return events;
}

void
harness_accept(struct harness *h, const char *options, uint32_t win)
{
	char text[256];
	const char *timestamp = strstr(options, "ts ");
	char answer[32] = "";

	snprintf(text, sizeof(text), "S 0:0 win 65535 <%s>", options);
	inject(h, text);
	expect(h, "S. 0:0 ack 1");
	if (timestamp)
		snprintf(answer, sizeof(answer), "ts %lu:1", strtoul(timestamp + 3, NULL, 10));
	snprintf(text, sizeof(text), ". 1:1 ack 1 win %u <%s>", win, answer);
	inject(h, text);
	assert_int_equal(harness_events(h), TCP_ACCEPTED);
	assert_non_null(h->c);
	assert_ptr_equal(tcp_user(h->c), h);
	expect_nothing(h);
}

void
harness_dial(struct harness *h)
{
	int error = 1;

	h->c = tcp_connect(h->stack, &h->remote, h, &error);
	assert_non_null(h->c);
	assert_int_equal(error, 0);
	h->local = *tcp_local(h->c);
}

void
harness_connect(struct harness *h, const char *options, uint32_t win)
{
	char text[256];

	harness_dial(h);
	expect(h, "S 0:0");
	snprintf(text, sizeof(text), "S. 0:0 ack 1 win %u <%s>", win, options);
	inject(h, text);
	assert_int_equal(harness_events(h), TCP_CONNECTED);
	expect(h, ". 1:1 ack 1");
}

uint32_t
harness_write(struct harness *h, uint32_t len)
{
	static uint8_t buffer[1 << 20];
	uint32_t taken;

	assert_true(len <= sizeof(buffer));
	for (uint32_t i = 0; i < len; i++)
		buffer[i] = harness_pattern(h->written + i);
	taken = tcp_write(h->c, buffer, len);
	h->written += taken;
	return taken;
}

void
harness_read(struct harness *h, uint32_t len)
{
	while (len > 0) {
		struct bytes run = tcp_peek(h->c);

		assert_true(run.len > 0);
		if (run.len > len)
			run.len = len;
		for (size_t i = 0; i < run.len; i++)
			if (run.data[i] != harness_pattern(h->read + (uint32_t)i))
				fail_msg("wrong byte at %zu", h->read + i);
		tcp_consume(h->c, (uint32_t)run.len);
		h->read += (uint32_t)run.len;
		len -= (uint32_t)run.len;
	}
}

void
harness_starve(struct harness *h, uint32_t left)
{
	while (support_pool_available() > left) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(support_pool());

		m->next = h->hoard;
		h->hoard = m;
	}
}

void
harness_feed(struct harness *h)
{
	while (h->hoard) {
		struct rte_mbuf *m = h->hoard;

		h->hoard = m->next;
		m->next = NULL;
		rte_pktmbuf_free_seg(m);
	}
}

uint64_t
harness_count(const struct harness *h, const char *counter)
{
	for (size_t i = 0; i < tcp_counter_count; i++)
		if (strcmp(tcp_counter_names[i], counter) == 0)
			return tcp_counters(h->stack)[i];
	fail_msg("no counter %s", counter);
	return 0;
}
