/* A mirror of nothing. */
#include <errno.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/mirror.h"

struct fixed {
	struct model *model;
	const struct port *port;
	const struct net_fixed_address *addresses;
	uint32_t address_count;
	const struct net_fixed_neighbor *neighbors;
	uint32_t neighbor_count;
};

/* By its own length, of 32 or 128. */
static void
route_add(const struct fixed *fixed, const struct ip_address *prefix, uint8_t prefix_len, bool ipv6,
	  const struct route_row *row)
{
	struct route_message *route = &fixed->model->route;

	memset(route, 0, sizeof(*route));
	route->key = lpm_key_from(prefix);
	route->prefix_len = (uint8_t)(prefix_len + (ipv6 ? 0 : 96));
	route->ipv6 = ipv6;
	route->local_table = row->type == RTN_LOCAL;
	route->append = true;
	route->count = 1;
	route->rows[0] = *row;
	route->rows[0].ifindex = fixed->port->ifindex;
	route->rows[0].weight = 1;
	model_route_take(fixed->model);
}

static void
link_add(const struct fixed *fixed)
{
	struct table_link link = { .ifindex = fixed->port->ifindex,
				   .flags = IFF_UP | IFF_LOWER_UP,
				   .mtu = fixed->port->mtu,
				   .ethernet = true };

	memcpy(link.name, fixed->port->interface_name, sizeof(link.name) - 1);
	memcpy(link.mac, fixed->port->mac.addr_bytes, sizeof(link.mac));
	model_link_take(fixed->model, &link, false);
}

static int
address_add(const struct fixed *fixed, const struct net_fixed_address *address, char *error, size_t size)
{
	bool ipv6 = !ip_address_is_v4(&address->ip);
	uint8_t bits = ipv6 ? 128 : 32;
	struct route_row row = { .type = RTN_LOCAL, .scope = RT_SCOPE_HOST };
	struct table_address entry = { .address = address->ip,
				       .ifindex = fixed->port->ifindex,
				       .prefix_len = address->prefix_len };
	char text[ENDPOINT_TEXT_MAX];

	if (address->prefix_len > bits) {
		ip_address_format(&address->ip, text, sizeof(text));
		snprintf(error, size, "address %s cannot have a prefix of %u bits", text, address->prefix_len);
		return -EINVAL;
	}
	model_address_take(fixed->model, &entry);
	route_add(fixed, &address->ip, bits, ipv6, &row);
	row = (struct route_row){ .type = RTN_UNICAST, .scope = RT_SCOPE_LINK };
	/* As Linux does, so that each link's destinations see the address on it. */
	if (!ipv6) {
		row.source = address->ip;
		row.flags = ROUTE_HAS_SOURCE;
	}
	route_add(fixed, &address->ip, address->prefix_len, ipv6, &row);
	return 0;
}

static bool
is_on_link(const struct fixed *fixed, const struct ip_address *address)
{
	for (uint32_t i = 0; i < fixed->address_count; i++) {
		const struct net_fixed_address *a = &fixed->addresses[i];
		bool v4 = ip_address_is_v4(&a->ip);

		if (v4 == ip_address_is_v4(address) &&
		    lpm_key_matches(lpm_key_from(&a->ip), lpm_key_from(address), a->prefix_len + (v4 ? 96u : 0u)))
			return true;
	}
	return false;
}

static void
neighbor_add(const struct fixed *fixed, const struct net_fixed_neighbor *neighbor)
{
	struct neighbor entry = { .address = neighbor->address,
				  .ifindex = fixed->port->ifindex,
				  .state = NUD_PERMANENT };
	struct route_row row = { .type = RTN_UNICAST, .scope = RT_SCOPE_LINK };
	bool ipv6 = !ip_address_is_v4(&neighbor->address);

	memcpy(entry.mac, neighbor->mac, sizeof(entry.mac));
	model_neighbor_take(fixed->model, &entry, false);
	if (!ip_address_is_any(&neighbor->address) && !is_on_link(fixed, &neighbor->address))
		route_add(fixed, &neighbor->address, ipv6 ? 128 : 32, ipv6, &row);
}

/* By the gateway of the same version, else by that of the other. */
static void
default_add(const struct fixed *fixed, bool ipv6)
{
	const struct net_fixed_neighbor *gateway = NULL;
	struct ip_address any = ipv6 ? (struct ip_address){ 0 } : ip_address_from_v4(0);
	struct route_row row = { .type = RTN_UNICAST, .flags = ROUTE_HAS_GATEWAY };

	for (uint32_t i = 0; i < fixed->neighbor_count; i++) {
		const struct net_fixed_neighbor *n = &fixed->neighbors[i];

		if (ip_address_is_any(&n->address) && (!gateway || ip_address_is_v4(&n->address) != ipv6))
			gateway = n;
	}
	if (!gateway)
		return;
	row.gateway = gateway->address;
	route_add(fixed, &any, 0, ipv6, &row);
}

static int
fill(const struct fixed *fixed, char *error, size_t size)
{
	int rc = 0;

	link_add(fixed);
	for (uint32_t i = 0; i < fixed->address_count && rc == 0; i++)
		rc = address_add(fixed, &fixed->addresses[i], error, size);
	for (uint32_t i = 0; i < fixed->neighbor_count && rc == 0; i++)
		neighbor_add(fixed, &fixed->neighbors[i]);
	default_add(fixed, false);
	default_add(fixed, true);
	return rc;
}

int
net_mirror_new_fixed(struct net_mirror **out, struct port *port, const struct net_fixed_address *addresses,
		     uint32_t address_count, const struct net_fixed_neighbor *neighbors, uint32_t neighbor_count,
		     char *error, size_t size)
{
	struct net_mirror *mirror = mirror_alloc();
	struct fixed fixed = { .port = port,
			       .addresses = addresses,
			       .address_count = address_count,
			       .neighbors = neighbors,
			       .neighbor_count = neighbor_count };
	int rc = -ENOMEM;

	assert(port->ifindex > 0);
	if (!mirror)
		goto no_mirror;
	fixed.model = &mirror->model;
	/* Nobody is there to be woken. */
	mirror->woken = 1;
	rc = model_init(&mirror->model, error, size);
	if (rc < 0)
		goto no_model;
	mirror->ports[0] = port;
	mirror->port_count = 1;
	rc = fill(&fixed, error, size);
	if (rc == 0)
		rc = mirror->model.failure;
	if (rc == 0)
		rc = mirror_publish(mirror);
	if (rc < 0)
		goto no_table;
	*out = mirror;
	return 0;
no_table:
	model_close(&mirror->model);
no_model:
	mirror_dispose(mirror);
no_mirror:
	if (rc == -ENOMEM)
		snprintf(error, size, "no memory for addresses and routes");
	return rc;
}
