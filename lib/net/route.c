#include "net/route.h"

#include <errno.h>
#include <stdlib.h>

#include "base/hash.h"

/* ---- interning ---- */

int
route_intern_init(struct route_intern *intern)
{
	*intern = (struct route_intern){ .bucket_count = 256 };
	intern->buckets = calloc(intern->bucket_count, sizeof(*intern->buckets));
	return intern->buckets ? 0 : -ENOMEM;
}

void
route_intern_fini(struct route_intern *intern)
{
	free(intern->buckets);
}

static uint64_t
rows_hash(const struct route_row *rows, uint32_t count)
{
	static const uint64_t key[2] = { 0x736f757263657321, 0x6e657874686f7073 };

	return siphash(key, rows, count * sizeof(*rows));
}

static void
intern_grow(struct route_intern *intern)
{
	size_t count = intern->bucket_count * 2;
	struct route_set **buckets = calloc(count, sizeof(*buckets));

	/* Without memory for more buckets, chains grow longer. */
	if (!buckets)
		return;
	for (size_t i = 0; i < intern->bucket_count; i++) {
		struct route_set *set, *next;

		for (set = intern->buckets[i]; set; set = next) {
			next = set->next;
			set->next = buckets[set->hash & (count - 1)];
			buckets[set->hash & (count - 1)] = set;
		}
	}
	free(intern->buckets);
	intern->buckets = buckets;
	intern->bucket_count = count;
}

struct route_set *
route_set_get(struct route_intern *intern, const struct route_row *rows, uint32_t count)
{
	uint64_t hash = rows_hash(rows, count);
	struct route_set *set;

	for (set = intern->buckets[hash & (intern->bucket_count - 1)]; set; set = set->next) {
		if (set->hash == hash && set->count == count && memcmp(set->rows, rows, count * sizeof(*rows)) == 0) {
			set->references++;
			return set;
		}
	}
	if (intern->count >= intern->bucket_count)
		intern_grow(intern);
	set = malloc(sizeof(*set) + count * sizeof(*rows));
	if (!set)
		return NULL;
	set->hash = hash;
	set->references = 1;
	set->count = count;
	memcpy(set->rows, rows, count * sizeof(*rows));
	set->next = intern->buckets[hash & (intern->bucket_count - 1)];
	intern->buckets[hash & (intern->bucket_count - 1)] = set;
	intern->count++;
	return set;
}

void
route_set_hold(void *set)
{
	((struct route_set *)set)->references++;
}

void
route_set_drop(void *value, void *context)
{
	struct route_set *set = value, **link;
	struct route_intern *intern = context;

	if (--set->references)
		return;
	link = &intern->buckets[set->hash & (intern->bucket_count - 1)];
	while (*link != set)
		link = &(*link)->next;
	*link = set->next;
	intern->count--;
	free(set);
}

/* ---- changes ---- */

static bool
hop_equal(const struct route_row *a, const struct route_row *b)
{
	return a->ifindex == b->ifindex && ip_address_equal(&a->gateway, &b->gateway) &&
	       !((a->flags ^ b->flags) & ROUTE_HAS_GATEWAY);
}

static bool
route_equal(const struct route_row *a, const struct route_row *b)
{
	return a->metric == b->metric && a->type == b->type && hop_equal(a, b) &&
	       ip_address_equal(&a->source, &b->source);
}

/* End of the member that starts at `start`. */
static uint32_t
member_end(const struct route_row *rows, uint32_t count, uint32_t start)
{
	uint32_t end = start + 1;

	while (end < count && rows[end].member == rows[start].member)
		end++;
	return end;
}

static uint32_t
cut(struct route_row *rows, uint32_t count, uint32_t start, uint32_t end)
{
	memmove(rows + start, rows + end, (count - end) * sizeof(*rows));
	return count - (end - start);
}

static bool
member_is(const struct route_row *rows, uint32_t start, uint32_t end, const struct route_message *message)
{
	if (end - start != message->count)
		return false;
	for (uint32_t i = start; i < end; i++)
		if (!route_equal(&rows[i], &message->rows[i - start]))
			return false;
	return true;
}

enum match { MATCH_EXACT, MATCH_SIBLINGS, MATCH_METRIC };

/* The first member that the message is about, by ever weaker likeness; false when there is none. */
static bool
member_find(const struct route_row *rows, uint32_t count, const struct route_message *message, enum match match,
	    uint32_t *start, uint32_t *end)
{
	for (*start = 0; *start < count; *start = *end) {
		const struct route_row *row = &rows[*start];

		*end = member_end(rows, count, *start);
		if (match == MATCH_EXACT && member_is(rows, *start, *end, message))
			return true;
		if (row->metric != message->rows[0].metric)
			continue;
		if (match == MATCH_METRIC)
			return true;
		if (match == MATCH_SIBLINGS && row->flags & message->rows[0].flags & ROUTE_SIBLINGS)
			return true;
	}
	return false;
}

static bool
goes_before(const struct route_row *new, const struct route_row *old, bool append)
{
	if (new->metric != old->metric)
		return new->metric < old->metric;
	if (new->preference != old->preference)
		return new->preference > old->preference;
	return !append;
}

static void
renumber(struct route_row *rows, uint32_t count)
{
	uint16_t number = 0;

	for (uint32_t start = 0, end; start < count; start = end, number++) {
		end = member_end(rows, count, start);
		for (uint32_t i = start; i < end; i++)
			rows[i].member = number;
	}
}

static uint32_t
rows_insert(struct route_row *rows, uint32_t count, const struct route_message *message)
{
	uint32_t start = 0, added = message->count;

	while (start < count && !goes_before(&message->rows[0], &rows[start], message->append))
		start = member_end(rows, count, start);
	if (count + added > ROUTE_ROWS_MAX)
		return count;
	memmove(rows + start + added, rows + start, (count - start) * sizeof(*rows));
	for (uint32_t i = 0; i < added; i++) {
		rows[start + i] = message->rows[i];
		rows[start + i].member = UINT16_MAX;
	}
	renumber(rows, count + added);
	return count + added;
}

/* IPv6 tells of a removed hop of a multipath route by itself. */
static uint32_t
siblings_remove(struct route_row *rows, uint32_t count, const struct route_message *message, uint32_t start,
		uint32_t end)
{
	for (uint32_t i = end; i-- > start;) {
		for (uint32_t j = 0; j < message->count; j++) {
			if (hop_equal(&rows[i], &message->rows[j])) {
				count = cut(rows, count, i, i + 1);
				break;
			}
		}
	}
	return count;
}

static uint32_t
rows_remove(struct route_row *rows, uint32_t count, const struct route_message *message)
{
	uint32_t start, end;

	if (member_find(rows, count, message, MATCH_EXACT, &start, &end))
		count = cut(rows, count, start, end);
	else if (member_find(rows, count, message, MATCH_SIBLINGS, &start, &end))
		count = siblings_remove(rows, count, message, start, end);
	else if (!message->ipv6 && member_find(rows, count, message, MATCH_METRIC, &start, &end))
		/* Linux has changed what we remember (a dead hop, say); IPv4 names a route by its metric. */
		count = cut(rows, count, start, end);
	renumber(rows, count);
	return count;
}

uint32_t
route_rows_apply(struct route_row rows[ROUTE_ROWS_MAX], uint32_t count, const struct route_message *message)
{
	uint32_t start, end;

	if (message->remove)
		return rows_remove(rows, count, message);
	if (member_find(rows, count, message, MATCH_EXACT, &start, &end)) {
		/* The same route with, perhaps, another MTU or weight. */
		for (uint32_t i = start; i < end; i++) {
			uint16_t member = rows[i].member;

			rows[i] = message->rows[i - start];
			rows[i].member = member;
		}
		return count;
	}
	if (member_find(rows, count, message, MATCH_SIBLINGS, &start, &end) ||
	    (message->replace && member_find(rows, count, message, MATCH_METRIC, &start, &end)))
		count = cut(rows, count, start, end);
	return rows_insert(rows, count, message);
}
