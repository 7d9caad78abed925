/* Source address selection. */
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include "net/table.h"

/* ---- IPv4, as Linux' inet_select_addr() does ---- */

static bool
same_subnet_v4(const struct table_address *a, const struct ip_address *other)
{
	return lpm_key_matches(lpm_key_from(&a->address), lpm_key_from(other), 96u + a->prefix_len);
}

/* Primary addresses only; one in the gateway's subnet, else the interface's first of fitting scope, else any
 * interface's that is more than a link's. */
static const struct table_address *
select_v4(const struct table *table, const struct route_row *row)
{
	const struct table_address *first = NULL, *elsewhere = NULL;

	for (uint32_t i = 0; i < table->address_count; i++) {
		const struct table_address *a = &table->addresses[i];

		if (!ip_address_is_v4(&a->address) || a->flags & IFA_F_SECONDARY || a->scope > row->scope)
			continue;
		if (a->ifindex == row->ifindex) {
			if (!(row->flags & ROUTE_HAS_GATEWAY) || same_subnet_v4(a, &row->gateway))
				return a;
			if (!first)
				first = a;
		} else if (!elsewhere && a->scope != RT_SCOPE_LINK) {
			elsewhere = a;
		}
	}
	return first ? first : elsewhere;
}

/* ---- IPv6, RFC 6724 section 5 ---- */

struct label {
	struct ip_address prefix;
	uint8_t prefix_len, label;
};

/* RFC 6724 section 2.1; only equality of labels counts here. The longest prefix comes first. */
static const struct label labels[] = {
	{ { .bytes = { [15] = 1 } }, 128, 0 },
	{ { .bytes = { [10] = 0xff, [11] = 0xff } }, 96, 4 },
	{ { .bytes = { 0 } }, 96, 3 },
	{ { .bytes = { 0x20, 0x01 } }, 32, 5 },
	{ { .bytes = { 0x20, 0x02 } }, 16, 2 },
	{ { .bytes = { 0x3f, 0xfe } }, 16, 12 },
	{ { .bytes = { 0xfe, 0xc0 } }, 10, 11 },
	{ { .bytes = { 0xfc } }, 7, 13 },
	{ { .bytes = { 0 } }, 0, 1 },
};

static uint8_t
label_of(const struct ip_address *address)
{
	const struct label *label = labels;

	while (!lpm_key_matches(lpm_key_from(address), lpm_key_from(&label->prefix), label->prefix_len))
		label++;
	return label->label;
}

/* RFC 4291 section 2.7 values, so that multicast and unicast compare. */
static int
scope_of(const struct ip_address *address)
{
	const uint8_t *b = address->bytes;

	if (b[0] == 0xff)
		return b[1] & 0xf;
	if ((b[0] == 0xfe && (b[1] & 0xc0) == 0x80) || ip_address_is_loopback(address))
		return 2;
	if (b[0] == 0xfe && (b[1] & 0xc0) == 0xc0)
		return 5;
	return 14;
}

static unsigned int
common_prefix(const struct ip_address *a, const struct ip_address *b, unsigned int max)
{
	struct lpm_key x = lpm_key_from(a), y = lpm_key_from(b);
	unsigned int bits = 0;

	while (bits < max && lpm_key_bit(x, bits) == lpm_key_bit(y, bits))
		bits++;
	return bits;
}

/* > 0: a is the better source; rules 1, 2, 3, 5, 6, 7 (public addresses preferred, as Linux does by default) and 8. */
static int
compare_v6(const struct table_address *a, const struct table_address *b, const struct ip_address *destination,
	   int32_t ifindex)
{
	int scope_a = scope_of(&a->address), scope_b = scope_of(&b->address), scope = scope_of(destination);
	int same_a = ip_address_equal(&a->address, destination), same_b = ip_address_equal(&b->address, destination);
	int flag_a, flag_b;

	if (same_a != same_b)
		return same_a - same_b;
	if (scope_a != scope_b) {
		if (scope_a < scope_b)
			return scope_a < scope ? -1 : 1;
		return scope_b < scope ? 1 : -1;
	}
	flag_a = !(a->flags & IFA_F_DEPRECATED), flag_b = !(b->flags & IFA_F_DEPRECATED);
	if (flag_a != flag_b)
		return flag_a - flag_b;
	flag_a = a->ifindex == ifindex, flag_b = b->ifindex == ifindex;
	if (flag_a != flag_b)
		return flag_a - flag_b;
	flag_a = label_of(&a->address) == label_of(destination),
	flag_b = label_of(&b->address) == label_of(destination);
	if (flag_a != flag_b)
		return flag_a - flag_b;
	flag_a = !(a->flags & IFA_F_TEMPORARY), flag_b = !(b->flags & IFA_F_TEMPORARY);
	if (flag_a != flag_b)
		return flag_a - flag_b;
	return (int)common_prefix(&a->address, destination, a->prefix_len) -
	       (int)common_prefix(&b->address, destination, b->prefix_len);
}

static const struct table_address *
select_v6(const struct table *table, const struct ip_address *destination, int32_t ifindex)
{
	const struct table_address *best = NULL;
	bool this_link_only = scope_of(destination) <= 2;

	for (uint32_t i = 0; i < table->address_count; i++) {
		const struct table_address *a = &table->addresses[i];

		if (ip_address_is_v4(&a->address) || (this_link_only && a->ifindex != ifindex))
			continue;
		/* Tentative ones may yet turn out to be another host's. */
		if ((a->flags & IFA_F_TENTATIVE && !(a->flags & IFA_F_OPTIMISTIC)) || a->flags & IFA_F_DADFAILED)
			continue;
		if (!best || compare_v6(a, best, destination, ifindex) > 0)
			best = a;
	}
	return best;
}

bool
table_source_find(const struct table *table, const struct ip_address *destination, struct ip_address *source)
{
	const struct route_set *set = table_route_find(table, destination);
	const struct table_address *found;
	const struct route_row *row;

	if (!set)
		return false;
	row = &set->rows[0];
	if (row->flags & ROUTE_HAS_SOURCE) {
		*source = row->source;
		return true;
	}
	if (row->type == RTN_LOCAL) {
		*source = *destination;
		return true;
	}
	found = ip_address_is_v4(destination) ? select_v4(table, row) : select_v6(table, destination, row->ifindex);
	if (found)
		*source = found->address;
	return found != NULL;
}
