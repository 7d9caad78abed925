#include "tcp/path_mtu.h"

#include "base/clock.h"
#include "tcp/options.h"
#include "tcp/stack.h"

/* Nothing less is believed: Linux's min_pmtu, and RFC 8200 section 5. */
#define MTU_MIN_V4 552
#define MTU_MIN_V6 1280

/* After so many timeouts in a row for what is longer, it may be the length: first what every tunnel bears (and IPv6 must), then
 * what every IPv4 host must take. Linux's tcp_retries1 is 3, too. */
#define BLACK_HOLE_RETRIES 3
#define BLACK_HOLE_MTU 1280
#define BLACK_HOLE_RETRIES_V4 5
#define BLACK_HOLE_MTU_V4 576

#define RAISE_AFTER_S 600

static uint16_t
now_s(const struct tcp_connection *c)
{
	return (uint16_t)(c->stack->now_ns / NS_PER_SECOND);
}

static void
lower(struct tcp_connection *c, uint32_t mtu)
{
	c->mtu = (uint16_t)mtu;
	c->mss = RTE_MIN(c->mss, tcp_mss_of_path(c, mtu));
	c->mtu_lowered = true;
	c->mtu_probing = false;
	c->mtu_lowered_s = now_s(c);
}

bool
tcp_path_mtu_told(struct tcp_connection *c, uint32_t mtu)
{
	uint32_t least = ip_address_is_v4(&c->remote.ip) ? MTU_MIN_V4 : MTU_MIN_V6;

	mtu = RTE_MAX(mtu, least);
	if (mtu >= c->mtu)
		return false;
	lower(c, mtu);
	TCP_COUNT(c->stack, icmp_mtu_lowered);
	return true;
}

void
tcp_path_mtu_timeout(struct tcp_connection *c)
{
	uint16_t before = c->mss;

	if (c->snd_max - c->snd_una < (uint32_t)c->mss - TCP_OPTIONS_MAX)
		return;
	if (c->retries == BLACK_HOLE_RETRIES && c->mtu > BLACK_HOLE_MTU)
		lower(c, BLACK_HOLE_MTU);
	else if (c->retries == BLACK_HOLE_RETRIES_V4 && c->mtu > BLACK_HOLE_MTU_V4 && ip_address_is_v4(&c->remote.ip))
		lower(c, BLACK_HOLE_MTU_V4);
	if (c->mss < before)
		TCP_COUNT(c->stack, mtu_black_holes);
}

/* Of the route. */
static uint16_t
mss_of_route(const struct tcp_connection *c, uint16_t *mtu)
{
	const struct tcp_env *env = &c->stack->env;
	struct ip_address ignored;

	if (!env->route(env->context, &c->remote.ip, &ignored, mtu))
		return c->mss;
	return RTE_MIN(c->peer_mss, tcp_mss_of_path(c, *mtu));
}

uint32_t
tcp_path_mtu_next(struct tcp_connection *c, uint32_t available)
{
	uint16_t mtu, mss;

	if (c->mtu_probing && !(c->flags & TCP_RTT_TIMED)) {
		c->mtu_probing = false;
		c->mtu_lowered_s = now_s(c);
	}
	if (c->flags & TCP_RTT_TIMED || c->board || c->snd_nxt != c->snd_max ||
	    (uint16_t)(now_s(c) - c->mtu_lowered_s) < RAISE_AFTER_S)
		return c->mss;
	mss = mss_of_route(c, &mtu);
	if (mss <= c->mss) {
		c->mtu_lowered = false;
		return c->mss;
	}
	if (available < mss)
		return c->mss;
	TCP_COUNT(c->stack, mtu_probes);
	c->mtu_probing = true;
	return mss;
}

void
tcp_path_mtu_probed(struct tcp_connection *c)
{
	uint16_t mtu, mss = mss_of_route(c, &mtu);

	c->mtu_probing = c->mtu_lowered = false;
	if (mss <= c->mss)
		return;
	c->mtu = mtu;
	c->mss = mss;
	TCP_COUNT(c->stack, mtu_raised);
}
