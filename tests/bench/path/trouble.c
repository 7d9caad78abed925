#include "trouble.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define ETHERNET_LEN 14
#define ECN_CE 3

/* Bursts are of time: what is sent again after a timeout meets another. */
#define BURST_NS (10 * NS_PER_MS)

bool
trouble_init(struct trouble *trouble, const struct trouble_config *config)
{
	uint8_t *buffers = malloc((size_t)TROUBLE_HELD_MAX * TROUBLE_FRAME_MAX);

	if (!buffers)
		return false;
	memset(trouble, 0, sizeof(*trouble));
	trouble->config = *config;
	trouble->random = config->seed * 0x9e3779b97f4a7c15ull + 1;
	for (uint32_t i = 0; i < TROUBLE_HELD_MAX; i++)
		trouble->held[i].bytes = buffers + (size_t)i * TROUBLE_FRAME_MAX;
	return true;
}

/* ---- chance ---- */

static uint32_t
chance(struct trouble *trouble)
{
	/* xorshift64* (Vigna) */
	trouble->random ^= trouble->random >> 12;
	trouble->random ^= trouble->random << 25;
	trouble->random ^= trouble->random >> 27;
	return (uint32_t)((trouble->random * 2685821657736338717ull) >> 33);
}

static bool
happens(struct trouble *trouble, uint32_t of_1000)
{
	return of_1000 > 0 && chance(trouble) % 1000 < of_1000;
}

static bool
is_lost(struct trouble *trouble, uint64_t now_ns)
{
	if (trouble->burst_left > 0 && now_ns - trouble->burst_ns < BURST_NS) {
		trouble->burst_left--;
		return true;
	}
	if (!happens(trouble, trouble->config.loss))
		return false;
	trouble->burst_left = trouble->config.burst > 0 ? trouble->config.burst - 1 : 0;
	trouble->burst_ns = now_ns;
	return true;
}

/* ---- the heap ---- */

static bool
is_before(const struct trouble_frame *a, const struct trouble_frame *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void
swap(struct trouble_frame *a, struct trouble_frame *b)
{
	struct trouble_frame c = *a;

	*a = *b;
	*b = c;
}

/* The copy, for the caller to change; NULL when no more can be held. */
static uint8_t *
hold(struct trouble *trouble, const uint8_t *frame, uint32_t len, uint64_t at_ns)
{
	struct trouble_frame *held = trouble->held;
	uint32_t i = trouble->count;
	uint8_t *copy = held[i].bytes;

	if (trouble->count == TROUBLE_HELD_MAX - 1) {
		trouble->full++;
		return NULL;
	}
	memcpy(copy, frame, len);
	held[i].at_ns = at_ns;
	held[i].order = trouble->order++;
	held[i].len = len;
	trouble->count++;
	for (; i > 0 && is_before(&held[i], &held[(i - 1) / 2]); i = (i - 1) / 2)
		swap(&held[i], &held[(i - 1) / 2]);
	return copy;
}

uint64_t
trouble_next_ns(const struct trouble *trouble)
{
	return trouble->count > 0 ? trouble->held[0].at_ns : UINT64_MAX;
}

const struct trouble_frame *
trouble_give(struct trouble *trouble)
{
	struct trouble_frame *held = trouble->held;
	uint32_t last = --trouble->count, i = 0;

	swap(&held[0], &held[last]);
	for (;;) {
		uint32_t least = i;

		for (uint32_t child = 2 * i + 1; child <= 2 * i + 2; child++)
			if (child < last && is_before(&held[child], &held[least]))
				least = child;
		if (least == i)
			return &held[last];
		swap(&held[i], &held[least]);
		i = least;
	}
}

/* ---- what happens to a frame ---- */

static bool
is_tcp(const uint8_t *frame, uint32_t len)
{
	return len >= ETHERNET_LEN + 40 && frame[12] == 8 && frame[13] == 0 && frame[ETHERNET_LEN + 9] == IPPROTO_TCP;
}

/* Congestion Experienced, with the header's checksum as it must be then (RFC 1624). */
static void
mark(struct trouble *trouble, uint8_t *frame)
{
	uint8_t *ip = frame + ETHERNET_LEN;
	uint32_t before = ip[0] << 8 | ip[1], after, sum;

	if (!(ip[1] & ECN_CE) || !happens(trouble, trouble->config.marking))
		return;
	ip[1] |= ECN_CE;
	after = ip[0] << 8 | ip[1];
	sum = (~(uint32_t)(ip[10] << 8 | ip[11]) & 0xffff) + (~before & 0xffff) + after;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~(sum + (sum >> 16)) & 0xffff;
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
	trouble->marked++;
}

/* When the bottleneck has passed it on; 0: its queue is full. */
static uint64_t
through_bottleneck(struct trouble *trouble, uint32_t len, uint64_t now_ns)
{
	const struct trouble_config *config = &trouble->config;
	uint64_t from_ns = trouble->free_ns > now_ns ? trouble->free_ns : now_ns;

	if (config->rate_kbit == 0)
		return now_ns;
	if ((from_ns - now_ns) * config->rate_kbit / NS_PER_MS >= (uint64_t)config->queue * 1514 * 8)
		return 0;
	trouble->free_ns = from_ns + (uint64_t)len * 8 * NS_PER_MS / config->rate_kbit;
	return trouble->free_ns;
}

static void
take_tcp(struct trouble *trouble, const uint8_t *frame, uint32_t len, uint64_t now_ns)
{
	const struct trouble_config *config = &trouble->config;
	uint64_t delay_ns = config->delay_us * NS_PER_US, at_ns;
	uint8_t *copy;

	trouble->frames++;
	at_ns = is_lost(trouble, now_ns) ? 0 : through_bottleneck(trouble, len, now_ns);
	if (at_ns == 0) {
		trouble->lost++;
		return;
	}
	if (happens(trouble, config->duplication)) {
		hold(trouble, frame, len, at_ns + delay_ns + chance(trouble) % NS_PER_MS);
		trouble->doubled++;
	}
	if (happens(trouble, config->reordering)) {
		delay_ns = 0;
		trouble->reordered++;
	}
	copy = hold(trouble, frame, len, at_ns + delay_ns);
	if (!copy)
		return;
	mark(trouble, copy);
	if (happens(trouble, config->corruption)) {
		copy[ETHERNET_LEN + 20 + chance(trouble) % (len - ETHERNET_LEN - 20)] ^=
			(uint8_t)(1 << chance(trouble) % 8);
		trouble->damaged++;
	}
}

void
trouble_take(struct trouble *trouble, const uint8_t *frame, uint32_t len, uint64_t now_ns)
{
	if (is_tcp(frame, len))
		take_tcp(trouble, frame, len, now_ns);
	else
		hold(trouble, frame, len, now_ns + trouble->config.delay_us * NS_PER_US);
}
