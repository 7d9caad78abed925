#include "net/message.h"

#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

/* 12 bits; the highest is reserved (IEEE 802.1Q, table 9-2), and 0 is a tag without a VLAN. */
#define VLAN_IDS 4095

struct attributes {
	const struct nlattr **table;
	uint16_t max;
};

static int
attribute_take(const struct nlattr *attribute, void *data)
{
	struct attributes *attributes = data;
	uint16_t type = mnl_attr_get_type(attribute);

	if (type <= attributes->max)
		attributes->table[type] = attribute;
	return MNL_CB_OK;
}

/* False for a message that is too short for its fixed part. */
static bool
parse(const struct nlmsghdr *header, size_t fixed, const struct nlattr **table, uint16_t max)
{
	struct attributes attributes = { table, max };

	if (mnl_nlmsg_get_payload_len(header) < fixed)
		return false;
	mnl_attr_parse(header, (unsigned int)fixed, attribute_take, &attributes);
	return true;
}

static bool
get_u32(const struct nlattr *attribute, uint32_t *value)
{
	if (!attribute || mnl_attr_get_payload_len(attribute) < sizeof(uint32_t))
		return false;
	*value = mnl_attr_get_u32(attribute);
	return true;
}

static bool
get_u16(const struct nlattr *attribute, uint16_t *value)
{
	if (!attribute || mnl_attr_get_payload_len(attribute) < sizeof(uint16_t))
		return false;
	*value = mnl_attr_get_u16(attribute);
	return true;
}

static bool
get_address(const struct nlattr *attribute, int family, struct ip_address *address)
{
	uint32_t v4_be;

	if (!attribute)
		return false;
	if (family == AF_INET && mnl_attr_get_payload_len(attribute) >= 4) {
		memcpy(&v4_be, mnl_attr_get_payload(attribute), 4);
		*address = ip_address_from_v4(v4_be);
		return true;
	}
	if (family == AF_INET6 && mnl_attr_get_payload_len(attribute) >= 16) {
		*address = ip_address_from_v6(mnl_attr_get_payload(attribute));
		return true;
	}
	return false;
}

/* What table_link has of a VLAN interface. Of another kind of tag (802.1ad), or above a link in another namespace, it is an
 * interface like any other. */
static void
vlan_take(const struct nlattr **link_attributes, struct table_link *link)
{
	const struct nlattr *info[IFLA_INFO_MAX + 1] = { NULL }, *vlan[IFLA_VLAN_MAX + 1] = { NULL };
	struct attributes in_info = { info, IFLA_INFO_MAX }, in_vlan = { vlan, IFLA_VLAN_MAX };
	uint16_t protocol_be = htons(ETH_P_8021Q), id;
	uint32_t lower;

	if (!link_attributes[IFLA_LINKINFO] || link_attributes[IFLA_LINK_NETNSID])
		return;
	mnl_attr_parse_nested(link_attributes[IFLA_LINKINFO], attribute_take, &in_info);
	if (!info[IFLA_INFO_KIND] || mnl_attr_validate(info[IFLA_INFO_KIND], MNL_TYPE_NUL_STRING) < 0 ||
	    strcmp(mnl_attr_get_str(info[IFLA_INFO_KIND]), "vlan") != 0 || !info[IFLA_INFO_DATA])
		return;
	mnl_attr_parse_nested(info[IFLA_INFO_DATA], attribute_take, &in_vlan);
	get_u16(vlan[IFLA_VLAN_PROTOCOL], &protocol_be);
	if (protocol_be != htons(ETH_P_8021Q) || !get_u16(vlan[IFLA_VLAN_ID], &id) || id >= VLAN_IDS ||
	    !get_u32(link_attributes[IFLA_LINK], &lower))
		return;
	link->vlan_id = id;
	link->lower = (int32_t)lower;
}

bool
message_link(const struct nlmsghdr *header, struct table_link *link, bool *removed)
{
	const struct nlattr *attributes[IFLA_MAX + 1] = { NULL };
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(header);

	if (!parse(header, sizeof(*info), attributes, IFLA_MAX))
		return false;
	/* AF_BRIDGE tells of bridge ports, which come and go without the interface. */
	if (info->ifi_family != AF_UNSPEC || info->ifi_index <= 0)
		return false;
	*link = (struct table_link){ .ifindex = info->ifi_index, .flags = info->ifi_flags };
	link->ethernet = info->ifi_type == ARPHRD_ETHER || info->ifi_type == ARPHRD_LOOPBACK;
	get_u32(attributes[IFLA_MTU], &link->mtu);
	if (attributes[IFLA_IFNAME] && mnl_attr_validate(attributes[IFLA_IFNAME], MNL_TYPE_NUL_STRING) >= 0)
		strncpy(link->name, mnl_attr_get_str(attributes[IFLA_IFNAME]), sizeof(link->name) - 1);
	if (attributes[IFLA_ADDRESS] && mnl_attr_get_payload_len(attributes[IFLA_ADDRESS]) == ETH_ALEN)
		memcpy(link->mac, mnl_attr_get_payload(attributes[IFLA_ADDRESS]), ETH_ALEN);
	vlan_take(attributes, link);
	*removed = header->nlmsg_type == RTM_DELLINK;
	return true;
}

bool
message_address(const struct nlmsghdr *header, struct table_address *address)
{
	const struct nlattr *attributes[IFA_MAX + 1] = { NULL };
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(header);

	if (!parse(header, sizeof(*info), attributes, IFA_MAX))
		return false;
	*address = (struct table_address){ .ifindex = (int32_t)info->ifa_index,
					   .flags = info->ifa_flags,
					   .prefix_len = info->ifa_prefixlen,
					   .scope = info->ifa_scope };
	get_u32(attributes[IFA_FLAGS], &address->flags);
	if (address->prefix_len > (info->ifa_family == AF_INET ? 32 : 128))
		return false;
	/* On point-to-point links IFA_ADDRESS is the peer's. */
	return get_address(attributes[IFA_LOCAL], info->ifa_family, &address->address) ||
	       get_address(attributes[IFA_ADDRESS], info->ifa_family, &address->address);
}

bool
message_neighbor(const struct nlmsghdr *header, struct neighbor *neighbor, bool *removed)
{
	const struct nlattr *attributes[NDA_MAX + 1] = { NULL };
	const struct ndmsg *info = mnl_nlmsg_get_payload(header);

	if (!parse(header, sizeof(*info), attributes, NDA_MAX))
		return false;
	if (info->ndm_ifindex <= 0 || info->ndm_flags & NTF_PROXY ||
	    !get_address(attributes[NDA_DST], info->ndm_family, &neighbor->address))
		return false;
	neighbor->ifindex = info->ndm_ifindex;
	neighbor->state = info->ndm_state;
	memset(neighbor->mac, 0, sizeof(neighbor->mac));
	if (attributes[NDA_LLADDR] && mnl_attr_get_payload_len(attributes[NDA_LLADDR]) == ETH_ALEN)
		memcpy(neighbor->mac, mnl_attr_get_payload(attributes[NDA_LLADDR]), ETH_ALEN);
	else
		neighbor->state &= (uint16_t)~NEIGHBOR_USABLE;
	*removed = header->nlmsg_type == RTM_DELNEIGH;
	return true;
}

/* ---- routes ---- */

static bool
via_address(const struct nlattr *attribute, struct ip_address *address)
{
	const struct rtvia *via;
	size_t len;
	uint32_t v4_be;

	if (!attribute)
		return false;
	via = mnl_attr_get_payload(attribute);
	len = mnl_attr_get_payload_len(attribute);
	if (len >= sizeof(*via) + 4 && via->rtvia_family == AF_INET) {
		memcpy(&v4_be, via->rtvia_addr, 4);
		*address = ip_address_from_v4(v4_be);
		return true;
	}
	if (len >= sizeof(*via) + 16 && via->rtvia_family == AF_INET6) {
		*address = ip_address_from_v6(via->rtvia_addr);
		return true;
	}
	return false;
}

static void
gateway_take(struct route_row *row, int family, const struct nlattr *gateway, const struct nlattr *via)
{
	if (get_address(gateway, family, &row->gateway) || via_address(via, &row->gateway))
		row->flags |= ROUTE_HAS_GATEWAY;
}

/* One row per hop, each with what is common to them from `pattern`. */
static uint16_t
hops_take(const struct nlattr *multipath, int family, const struct route_row *pattern, struct route_row *rows)
{
	const struct rtnexthop *hop = mnl_attr_get_payload(multipath);
	size_t left = mnl_attr_get_payload_len(multipath);
	uint16_t count = 0;

	while (left >= sizeof(*hop) && hop->rtnh_len >= sizeof(*hop) && hop->rtnh_len <= left &&
	       count < ROUTE_ROWS_MAX) {
		const struct nlattr *table[RTA_MAX + 1] = { NULL };
		struct attributes attributes = { table, RTA_MAX };
		struct route_row *row = &rows[count];

		mnl_attr_parse_payload((const char *)hop + sizeof(*hop), hop->rtnh_len - sizeof(*hop), attribute_take,
				       &attributes);
		*row = *pattern;
		row->ifindex = hop->rtnh_ifindex;
		row->weight = (uint16_t)(hop->rtnh_hops + 1);
		gateway_take(row, family, table[RTA_GATEWAY], table[RTA_VIA]);
		/* A dead hop's interface is down; the row goes when Linux tells so. */
		count++;
		if (left < (size_t)RTNH_ALIGN(hop->rtnh_len))
			break;
		left -= (size_t)RTNH_ALIGN(hop->rtnh_len);
		hop = RTNH_NEXT(hop);
	}
	return count;
}

static uint32_t
metrics_mtu(const struct nlattr *metrics)
{
	const struct nlattr *table[RTAX_MAX + 1] = { NULL };
	struct attributes attributes = { table, RTAX_MAX };
	uint32_t mtu = 0;

	if (metrics) {
		mnl_attr_parse_nested(metrics, attribute_take, &attributes);
		get_u32(table[RTAX_MTU], &mtu);
	}
	return mtu;
}

/* RFC 4191 section 2.1: two bits, signed; 10 is reserved and taken as medium. */
static uint8_t
preference_of(const struct nlattr *attribute)
{
	if (!attribute || mnl_attr_get_payload_len(attribute) < 1)
		return 1;
	switch (mnl_attr_get_u8(attribute) & 3) {
	case 1:
		return 2;
	case 3:
		return 0;
	default:
		return 1;
	}
}

/* Two default routers that advertise themselves are two routes, not one with two hops (rt6_qualify_for_ecmp()). */
static bool
has_siblings(const struct rtmsg *info, const struct route_row *row)
{
	return info->rtm_family == AF_INET6 && row->flags & ROUTE_HAS_GATEWAY && info->rtm_protocol != RTPROT_RA &&
	       info->rtm_protocol != RTPROT_REDIRECT;
}

static void
rows_take(const struct rtmsg *info, const struct nlattr **attributes, struct route_message *route)
{
	struct route_row row = { .type = info->rtm_type, .scope = info->rtm_scope, .weight = 1 };
	uint32_t ifindex = 0;

	get_u32(attributes[RTA_PRIORITY], &row.metric);
	row.mtu = metrics_mtu(attributes[RTA_METRICS]);
	if (info->rtm_family == AF_INET6)
		row.preference = preference_of(attributes[RTA_PREF]);
	if (get_address(attributes[RTA_PREFSRC], info->rtm_family, &row.source))
		row.flags |= ROUTE_HAS_SOURCE;
	if (attributes[RTA_MULTIPATH]) {
		route->count = hops_take(attributes[RTA_MULTIPATH], info->rtm_family, &row, route->rows);
	} else {
		gateway_take(&row, info->rtm_family, attributes[RTA_GATEWAY], attributes[RTA_VIA]);
		if (get_u32(attributes[RTA_OIF], &ifindex))
			row.ifindex = (int32_t)ifindex;
		route->rows[0] = row;
		route->count = 1;
	}
	for (uint16_t i = 0; i < route->count; i++)
		if (has_siblings(info, &route->rows[i]))
			route->rows[i].flags |= ROUTE_SIBLINGS;
}

bool
message_route(const struct nlmsghdr *header, struct route_message *route)
{
	const struct nlattr *attributes[RTA_MAX + 1] = { NULL };
	const struct rtmsg *info = mnl_nlmsg_get_payload(header);
	struct ip_address destination = ip_address_from_v4(0);
	uint32_t table;

	if (!parse(header, sizeof(*info), attributes, RTA_MAX))
		return false;
	if ((info->rtm_family != AF_INET && info->rtm_family != AF_INET6) || info->rtm_flags & RTM_F_CLONED ||
	    info->rtm_tos != 0 || info->rtm_src_len != 0)
		return false;
	table = info->rtm_table;
	get_u32(attributes[RTA_TABLE], &table);
	if (table != RT_TABLE_MAIN && table != RT_TABLE_LOCAL)
		return false;
	route->ipv6 = info->rtm_family == AF_INET6;
	if (info->rtm_dst_len > (route->ipv6 ? 128 : 32))
		return false;
	if (route->ipv6)
		memset(&destination, 0, sizeof(destination));
	if (info->rtm_dst_len && !get_address(attributes[RTA_DST], info->rtm_family, &destination))
		return false;
	route->key = lpm_key_from(&destination);
	route->prefix_len = (uint8_t)(info->rtm_dst_len + (route->ipv6 ? 0 : 96));
	route->local_table = table == RT_TABLE_LOCAL;
	route->remove = header->nlmsg_type == RTM_DELROUTE;
	route->replace = header->nlmsg_flags & NLM_F_REPLACE;
	route->append = header->nlmsg_flags & (NLM_F_APPEND | NLM_F_MULTI);
	rows_take(info, attributes, route);
	return route->count > 0;
}
