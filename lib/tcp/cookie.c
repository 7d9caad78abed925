#include "tcp/cookie.h"

#include "base/clock.h"
#include "tcp/ecn.h"
#include "tcp/segment.h"
#include "tcp/stack.h"

#define PERIOD_NS (64 * NS_PER_SECOND)

#define DATA_BITS 8
#define DATA_MASK ((1u << DATA_BITS) - 1)

/* What the low bits say: 3 for the MSS, 4 for the window scale, 1 for SACK. */
#define SCALE_SHIFT 3
#define SCALE_NONE 15
#define SACK_BIT (1u << 7)

/* Common ones: PPPoE, tunnels, Ethernet, jumbo frames, with and without timestamps. The next lower one is taken. */
static const uint16_t mss_table[8] = { 216, 536, 1220, 1360, 1400, 1440, 1460, 8940 };

static void
keys_derive(struct tcp_stack *stack, uint32_t period)
{
	uint64_t *key = stack->cookies.keys[period & 1];

	for (uint32_t i = 0; i < 2; i++) {
		uint32_t input[2] = { period, i };

		key[i] = siphash(stack->config.cookie_secret, input, sizeof(input));
	}
}

/* The period now, with its keys and the last one's in place. */
static uint32_t
period_now(struct tcp_stack *stack)
{
	struct tcp_cookies *cookies = &stack->cookies;
	uint32_t period = (uint32_t)(stack->now_ns / PERIOD_NS);

	if (cookies->ready && cookies->period == period)
		return period;
	keys_derive(stack, period);
	keys_derive(stack, period - 1);
	cookies->period = period;
	cookies->ready = true;
	return period;
}

static uint32_t
cookie(const struct tcp_stack *stack, const struct tcp_segment *segment, uint32_t sequence, uint32_t data,
       uint32_t period)
{
	struct {
		struct ip_address local, remote;
		uint16_t local_port_be, remote_port_be;
		uint32_t sequence, data, period;
	} input = { segment->local.ip,
		    segment->remote.ip,
		    segment->local.port_be,
		    segment->remote.port_be,
		    sequence,
		    data,
		    period };

	return (uint32_t)siphash(stack->cookies.keys[period & 1], &input, sizeof(input)) << DATA_BITS | data;
}

static uint32_t
data_of(const struct tcp_options *options, uint32_t mss)
{
	uint32_t index = 0, scale = SCALE_NONE;

	while (index + 1 < RTE_DIM(mss_table) && mss_table[index + 1] <= mss)
		index++;
	if (options->flags & TCP_OPTION_WINDOW_SCALE)
		scale = options->window_scale;
	return index | scale << SCALE_SHIFT | (options->flags & TCP_OPTION_SACK_PERMITTED ? SACK_BIT : 0);
}

bool
tcp_cookies_are_out(const struct tcp_stack *stack)
{
	const struct tcp_cookies *cookies = &stack->cookies;

	if (stack->config.syn_cookies != TCP_COOKIES_WHEN_FULL)
		return stack->config.syn_cookies == TCP_COOKIES_ALWAYS;
	/* A flow keeps its lcore, so its cookie is this stack's. */
	return cookies->ready && stack->now_ns - cookies->sent_ns < 2 * PERIOD_NS;
}

uint32_t
tcp_cookie_make(struct tcp_stack *stack, const struct tcp_segment *segment)
{
	const struct tcp_options *options = &segment->options;
	uint32_t mss = options->flags & TCP_OPTION_MSS ? options->mss : tcp_mss_default(&segment->remote.ip);

	stack->cookies.sent_ns = stack->now_ns;
	return cookie(stack, segment, segment->sequence, data_of(options, mss), period_now(stack));
}

uint32_t
tcp_cookie_timestamp(const struct tcp_stack *stack, const struct tcp_segment *segment, bool ecn)
{
	uint64_t secret = tcp_pair_secret(stack, &segment->local, &segment->remote);
	uint32_t timestamp = stack->now_ms + tcp_timestamp_offset(secret);

	return timestamp - ((timestamp & 1) != ecn);
}

static bool
says_ecn(const struct tcp_options *ack)
{
	return ack->flags & TCP_OPTION_TIMESTAMP && ack->timestamp_echo & 1;
}

static void
options_of(uint32_t data, const struct tcp_options *ack, struct tcp_options *out)
{
	uint32_t scale = data >> SCALE_SHIFT & 15;

	*out = (struct tcp_options){ .flags = TCP_OPTION_MSS, .mss = mss_table[data & 7] };
	if (scale != SCALE_NONE) {
		out->flags |= TCP_OPTION_WINDOW_SCALE;
		out->window_scale = (uint8_t)scale;
	}
	if (data & SACK_BIT)
		out->flags |= TCP_OPTION_SACK_PERMITTED;
	if (ack->flags & TCP_OPTION_TIMESTAMP) {
		out->flags |= TCP_OPTION_TIMESTAMP;
		out->timestamp = ack->timestamp;
	}
}

bool
tcp_cookie_read(struct tcp_stack *stack, const struct tcp_segment *segment, struct tcp_segment *syn)
{
	uint32_t value = segment->acknowledgement - 1, sequence = segment->sequence - 1, period = period_now(stack);

	for (uint32_t age = 0; age < 2; age++) {
		if (value != cookie(stack, segment, sequence, value & DATA_MASK, period - age))
			continue;
		*syn = (struct tcp_segment){
			.local = segment->local,
			.remote = segment->remote,
			.sequence = sequence,
			.window = segment->window,
			.flags = RTE_TCP_SYN_FLAG | (says_ecn(&segment->options) ? TCP_ECN_FLAGS : 0),
		};
		options_of(value & DATA_MASK, &segment->options, &syn->options);
		return true;
	}
	return false;
}
