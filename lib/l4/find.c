#include "l4/find.h"

#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"
#include "l4/generation.h"

#define CACHE_LINE 64
#define SLOTS_MIN 16

static const struct l4_service *
range_find(const struct l4_find *find, const struct l4_find_slot *slot, uint16_t port)
{
	const struct l4_find_range *ranges = find->ranges + slot->first;
	uint32_t low = 0, high = slot->count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (port > ranges[middle].port_last)
			low = middle + 1;
		else
			high = middle;
	}
	return low < slot->count && port >= ranges[low].port_first ? &find->services[ranges[low].service] : NULL;
}

const struct l4_service *
l4_service_find(const struct l4_generation *generation, const struct ip_address *ip, uint16_t port_be,
		uint8_t ip_protocol)
{
	return l4_find_service(&generation->find, ip, port_be, ip_protocol);
}

const struct l4_service *
l4_find_range_service(const struct l4_find *find, const struct ip_address *ip, uint16_t port_be, uint8_t ip_protocol)
{
	const struct l4_find_slot *slot = l4_find_slot_of(find, ip, 0, ip_protocol);

	return slot ? range_find(find, slot, ntohs(port_be)) : NULL;
}

bool
l4_is_server(const struct l4_generation *generation, const struct ip_address *ip, uint16_t port_be, uint8_t ip_protocol)
{
	return l4_find_is_server(&generation->find, ip, port_be, ip_protocol);
}

bool
l4_concerns(const struct l4_generation *generation, const struct ip_address *destination,
	    const struct ip_address *source, uint8_t ip_protocol)
{
	const struct l4_find *find = &generation->find;

	return l4_find_has(find, destination, 0, ip_protocol, L4_FIND_SERVICE) ||
	       l4_find_has(find, source, 0, ip_protocol, L4_FIND_SERVER);
}

bool
l4_is_local_end(const struct l4_generation *generation, const struct ip_address *ip, uint8_t ip_protocol)
{
	return l4_find_has(&generation->find, ip, 0, ip_protocol, L4_FIND_LOCAL);
}

bool
l4_is_no_service(const struct l4_generation *generation, const struct ip_address *ip, uint8_t ip_protocol)
{
	return !l4_find_has(&generation->find, ip, 0, ip_protocol, L4_FIND_SERVICE);
}

/* ---- building ---- */

static void *
alloc_aligned(struct arena *arena, size_t size)
{
	uintptr_t memory = (uintptr_t)arena_alloc(arena, size + CACHE_LINE);

	return (void *)((memory + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
}

/* Places for a table of `count` entries at most. */
static uint64_t
places_for(uint64_t count)
{
	uint64_t places = SLOTS_MIN;

	while (places < 4 * count)
		places *= 2;
	return places;
}

static void
slot_add(struct l4_find *find, const struct l4_find_slot *slot)
{
	uint64_t i = l4_find_hash(&slot->ip, slot->port_be, slot->ip_protocol) & find->slot_mask;

	while (find->slots[i].ip_protocol)
		i = (i + 1) & find->slot_mask;
	find->slots[i] = *slot;
}

static void
filter_add(struct l4_find *find, const struct ip_address *ip, uint16_t port_be, uint8_t ip_protocol,
	   enum l4_find_what what)
{
	uint64_t hash = l4_find_print(ip, port_be, ip_protocol, what), i = hash & find->filter_mask;

	if (l4_find_has(find, ip, port_be, ip_protocol, what))
		return;
	while (find->filter[i])
		i = (i + 1) & find->filter_mask;
	find->filter[i] = (uint32_t)(hash >> 32) | 1;
}

static void
filter_add_ours(struct l4_find *find, const struct ip_address *ip, uint8_t ip_protocol, enum l4_find_what what)
{
	filter_add(find, ip, 0, ip_protocol, what);
	filter_add(find, ip, 0, ip_protocol, L4_FIND_OURS);
}

static int
compare_by_range(const void *left, const void *right)
{
	const struct l4_service *a = *(const struct l4_service *const *)left;
	const struct l4_service *b = *(const struct l4_service *const *)right;
	int order = memcmp(a->ip.bytes, b->ip.bytes, sizeof(a->ip.bytes));

	if (order == 0)
		order = (int)a->ip_protocol - (int)b->ip_protocol;
	return order ? order : (int)a->port_first - (int)b->port_first;
}

static bool
same_address(const struct l4_service *a, const struct l4_service *b)
{
	return ip_address_equal(&a->ip, &b->ip) && a->ip_protocol == b->ip_protocol;
}

static void
ranges_build(struct l4_find *find, struct arena *arena, const struct l4_service **sorted, uint32_t count)
{
	struct l4_find_slot slot = { 0 };

	qsort(sorted, count, sizeof(struct l4_service *), compare_by_range);
	find->ranges = arena_alloc(arena, count * sizeof(*find->ranges));
	for (uint32_t i = 0; i < count; i++) {
		const struct l4_service *s = sorted[i];

		find->ranges[i] = (struct l4_find_range){ s->port_first, s->port_last, (uint32_t)(s - find->services) };
		if (i == 0 || !same_address(s, sorted[i - 1]))
			slot = (struct l4_find_slot){ .ip = s->ip, .ip_protocol = s->ip_protocol, .first = i };
		slot.count++;
		if (i + 1 == count || !same_address(s, sorted[i + 1]))
			slot_add(find, &slot);
	}
}

static void
services_build(struct l4_find *find, struct arena *arena, uint32_t count)
{
	const struct l4_service **several = arena_alloc(arena, (count + 1) * sizeof(struct l4_service *));
	uint32_t several_count = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct l4_service *s = &find->services[i];

		if (s->port_first != s->port_last)
			several[several_count++] = s;
		else
			slot_add(find, &(struct l4_find_slot){ .ip = s->ip,
							       .port_be = htons(s->port_first),
							       .ip_protocol = s->ip_protocol,
							       .first = i });
	}
	if (several_count)
		ranges_build(find, arena, several, several_count);
}

void
l4_find_build(struct l4_find *find, struct arena *arena, const struct l4_service *services, uint32_t service_count,
	      const struct l4_target *const *answering, uint32_t answering_count)
{
	uint64_t slots = places_for(service_count), places = places_for(2ull * service_count + 4ull * answering_count);

	static_assert(sizeof(struct l4_find_slot) == 32, "two slots per cache line");
	*find = (struct l4_find){ .services = services, .slot_mask = slots - 1, .filter_mask = places - 1 };
	find->slots = alloc_aligned(arena, slots * sizeof(*find->slots));
	find->filter = alloc_aligned(arena, places * sizeof(*find->filter));
	services_build(find, arena, service_count);
	for (uint32_t i = 0; i < service_count; i++)
		filter_add_ours(find, &services[i].ip, services[i].ip_protocol, L4_FIND_SERVICE);
	for (uint32_t i = 0; i < answering_count; i++) {
		const struct l4_target *t = answering[i];

		filter_add(find, &t->server.ip, t->server.port_be, t->ip_protocol, L4_FIND_SERVER_AND_PORT);
		filter_add(find, &t->server.ip, 0, t->ip_protocol, L4_FIND_SERVER);
		if (t->forwarder->properties & L4_NEEDS_LOCAL_PORT)
			filter_add_ours(find, &t->local, t->ip_protocol, L4_FIND_LOCAL);
		find->has_answers_of_any_port |= t->server.port_be == 0;
	}
}
