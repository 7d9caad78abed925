#include "l4/fragment.h"

#include <assert.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/random.h"

#define NONE UINT16_MAX

static_assert(L4_FRAGMENTED_PACKETS_MAX < NONE && L4_FRAGMENTS_WAITING_MAX < NONE, "16-bit numbers");
static_assert((L4_FRAGMENTED_PACKETS_MAX & (L4_FRAGMENTED_PACKETS_MAX - 1)) == 0, "slots are chosen by a mask");
/* So that a place for one more is always found among those whose first fragment has come. */
static_assert(L4_FRAGMENTS_WAITING_MAX < L4_FRAGMENTED_PACKETS_MAX, "every waiting packet has a fragment");

struct fragmented {
	struct list by_age; /* in `unused`, `known` or `orphaned` */
	struct l4_fragment_key key;
	uint64_t since_ns;
	uint16_t source_port_be, destination_port_be;
	uint16_t next; /* in its slot */
	uint16_t slot;
	uint16_t waiting_first, waiting_last;
	uint16_t waiting_count; /* above 0: orphaned, that is, its first fragment has not come */
};

struct waiting {
	struct rte_mbuf *m;
	uint16_t next;
};

struct l4_fragments {
	uint64_t hash_key[2];
	struct list unused, known, orphaned; /* the latter two: oldest first */
	uint16_t waiting_unused, waiting_count;
	uint16_t slots[L4_FRAGMENTED_PACKETS_MAX];
	struct waiting waiting[L4_FRAGMENTS_WAITING_MAX];
	struct fragmented packets[L4_FRAGMENTED_PACKETS_MAX];
};

struct l4_fragments *
l4_fragments_new(void)
{
	struct l4_fragments *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	random_fill(f->hash_key, sizeof(f->hash_key));
	list_init(&f->unused);
	list_init(&f->known);
	list_init(&f->orphaned);
	for (unsigned int i = 0; i < L4_FRAGMENTED_PACKETS_MAX; i++) {
		f->slots[i] = NONE;
		list_append(&f->unused, &f->packets[i].by_age);
	}
	for (uint16_t i = 0; i < L4_FRAGMENTS_WAITING_MAX; i++)
		f->waiting[i].next = i + 1u < L4_FRAGMENTS_WAITING_MAX ? i + 1u : NONE;
	return f;
}

static struct fragmented *
oldest(const struct list *head)
{
	struct list *node = list_first(head);

	return node ? container_of(node, struct fragmented, by_age) : NULL;
}

/* ---- fragments that wait ---- */

static bool
waiting_add(struct l4_fragments *f, struct fragmented *packet, struct rte_mbuf *m)
{
	uint16_t place = f->waiting_unused;

	if (place == NONE || packet->waiting_count == L4_FRAGMENTS_WAITING)
		return false;
	f->waiting_unused = f->waiting[place].next;
	f->waiting[place] = (struct waiting){ .m = m, .next = NONE };
	if (packet->waiting_count++ == 0)
		packet->waiting_first = place;
	else
		f->waiting[packet->waiting_last].next = place;
	packet->waiting_last = place;
	f->waiting_count++;
	return true;
}

static uint16_t
waiting_take(struct l4_fragments *f, struct fragmented *packet, struct rte_mbuf *m[L4_FRAGMENTS_WAITING])
{
	uint16_t count = packet->waiting_count;
	uint16_t place = packet->waiting_first;

	if (count == 0)
		return 0;
	for (unsigned int i = 0; i < count; i++) {
		m[i] = f->waiting[place].m;
		place = f->waiting[place].next;
	}
	f->waiting[packet->waiting_last].next = f->waiting_unused;
	f->waiting_unused = packet->waiting_first;
	packet->waiting_count = 0;
	f->waiting_count -= count;
	return count;
}

/* ---- packets ---- */

/* Identifications are chosen by senders: without a secret they could choose them for one slot. */
static uint16_t
slot_of(const struct l4_fragments *f, const struct l4_fragment_key *key)
{
	uint64_t words[5] = { key->source.halves[0], key->source.halves[1], key->destination.halves[0],
			      key->destination.halves[1], key->identification };

	if (ip_address_is_v4(&key->source))
		words[4] |= (uint64_t)key->ip_protocol << 32;
	return siphash(f->hash_key, words, sizeof(words)) & (L4_FRAGMENTED_PACKETS_MAX - 1);
}

static bool
same_packet(const struct l4_fragment_key *a, const struct l4_fragment_key *b)
{
	return a->identification == b->identification && ip_address_equal(&a->source, &b->source) &&
	       ip_address_equal(&a->destination, &b->destination) &&
	       (a->ip_protocol == b->ip_protocol || !ip_address_is_v4(&a->source));
}

static void
packet_forget(struct l4_fragments *f, struct fragmented *packet)
{
	uint16_t index = (uint16_t)(packet - f->packets), *link = &f->slots[packet->slot];

	while (*link != index)
		link = &f->packets[*link].next;
	*link = packet->next;
	list_remove(&packet->by_age);
	list_append(&f->unused, &packet->by_age);
}

static bool
packet_is_old(const struct fragmented *packet, uint64_t now_ns)
{
	uint64_t lifetime_ns = packet->waiting_count ? L4_FRAGMENT_WAIT_NS : L4_FRAGMENT_KNOWN_NS;

	return now_ns >= packet->since_ns + lifetime_ns;
}

/* A packet whose first fragment came long ago is none any more; fragments that still wait are good until they are
 * freed. */
static struct fragmented *
packet_find(struct l4_fragments *f, const struct l4_fragment_key *key, uint16_t slot, uint64_t now_ns)
{
	for (uint16_t i = f->slots[slot]; i != NONE; i = f->packets[i].next) {
		struct fragmented *packet = &f->packets[i];

		if (!same_packet(&packet->key, key))
			continue;
		if (packet->waiting_count || !packet_is_old(packet, now_ns))
			return packet;
		packet_forget(f, packet);
		return NULL;
	}
	return NULL;
}

/* In no list by age yet. */
static struct fragmented *
packet_add(struct l4_fragments *f, const struct l4_fragment_key *key, uint16_t slot)
{
	struct fragmented *packet = oldest(&f->unused);

	if (!packet) {
		packet = oldest(&f->known);
		packet_forget(f, packet);
	}
	list_remove(&packet->by_age);
	packet->key = *key;
	packet->slot = slot;
	packet->next = f->slots[slot];
	f->slots[slot] = (uint16_t)(packet - f->packets);
	return packet;
}

static void
packet_place(struct fragmented *packet, struct list *by_age, uint64_t now_ns)
{
	list_remove(&packet->by_age);
	list_append(by_age, &packet->by_age);
	packet->since_ns = now_ns;
}

uint16_t
l4_fragment_first(struct l4_fragments *f, const struct l4_fragment_key *key, uint16_t source_port_be,
		  uint16_t destination_port_be, uint64_t now_ns, struct rte_mbuf *waiting[L4_FRAGMENTS_WAITING])
{
	uint16_t slot = slot_of(f, key);
	struct fragmented *packet = packet_find(f, key, slot, now_ns);

	if (!packet)
		packet = packet_add(f, key, slot);
	packet->source_port_be = source_port_be;
	packet->destination_port_be = destination_port_be;
	packet_place(packet, &f->known, now_ns);
	return waiting_take(f, packet, waiting);
}

enum l4_fragment_fate
l4_fragment_later(struct l4_fragments *f, const struct l4_fragment_key *key, struct rte_mbuf *m, uint64_t now_ns,
		  uint16_t *source_port_be, uint16_t *destination_port_be)
{
	uint16_t slot = slot_of(f, key);
	struct fragmented *packet = packet_find(f, key, slot, now_ns);

	if (packet && !packet->waiting_count) {
		*source_port_be = packet->source_port_be;
		*destination_port_be = packet->destination_port_be;
		return L4_FRAGMENT_KNOWN;
	}
	if (f->waiting_unused == NONE)
		return L4_FRAGMENT_FULL;
	if (!packet) {
		packet = packet_add(f, key, slot);
		packet_place(packet, &f->orphaned, now_ns);
	}
	return waiting_add(f, packet, m) ? L4_FRAGMENT_WAITS : L4_FRAGMENT_FULL;
}

/* ---- time ---- */

static uint16_t
orphan_drop(struct l4_fragments *f, struct fragmented *packet)
{
	struct rte_mbuf *m[L4_FRAGMENTS_WAITING];
	uint16_t count = waiting_take(f, packet, m);

	rte_pktmbuf_free_bulk(m, count);
	packet_forget(f, packet);
	return count;
}

uint32_t
l4_fragments_expire(struct l4_fragments *f, uint64_t now_ns)
{
	struct fragmented *packet;
	uint32_t count = 0;

	while ((packet = oldest(&f->orphaned)) && packet_is_old(packet, now_ns))
		count += orphan_drop(f, packet);
	while ((packet = oldest(&f->known)) && packet_is_old(packet, now_ns))
		packet_forget(f, packet);
	return count;
}

uint64_t
l4_fragments_next_ns(const struct l4_fragments *f)
{
	const struct fragmented *packet = oldest(&f->orphaned);

	return packet ? packet->since_ns + L4_FRAGMENT_WAIT_NS : UINT64_MAX;
}

uint32_t
l4_fragments_waiting(const struct l4_fragments *f)
{
	return f->waiting_count;
}

void
l4_fragments_free(struct l4_fragments *f)
{
	struct fragmented *packet;

	if (!f)
		return;
	while ((packet = oldest(&f->orphaned)))
		orphan_drop(f, packet);
	free(f);
}
