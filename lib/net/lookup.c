/* Questions about the snapshots: under the mirror's lock for control, between quiescent states for lcores. */
#include <linux/rtnetlink.h>

#include "net/mirror.h"

/* ---- control ---- */

static const struct table *
lock(const struct net_mirror *mirror)
{
	pthread_mutex_lock(&((struct net_mirror *)(uintptr_t)mirror)->lock);
	return mirror->table;
}

static void
unlock(const struct net_mirror *mirror)
{
	pthread_mutex_unlock(&((struct net_mirror *)(uintptr_t)mirror)->lock);
}

/* The link whose port carries the packets of this one: below its tag, unless it has a port of its own. */
static int
carrier_of(const struct table *table, int32_t ifindex)
{
	const struct table_link *link = table_link_find(table, ifindex);

	return link && link->vlan_id && table_link_find(table, link->lower) ? link->lower : ifindex;
}

int
net_interface_of(const struct net_mirror *mirror, const struct ip_address *address)
{
	const struct table *table = lock(mirror);
	int ifindex = 0;

	for (uint32_t i = 0; i < table->address_count && !ifindex; i++)
		if (ip_address_equal(&table->addresses[i].address, address))
			ifindex = carrier_of(table, table->addresses[i].ifindex);
	/* 127.0.0.2 and what `ip route add local` makes ours belong to no interface but lo. */
	if (!ifindex && table_is_local(table, address))
		ifindex = table->loopback;
	unlock(mirror);
	return ifindex;
}

int
net_interface_towards(const struct net_mirror *mirror, const struct ip_address *remote)
{
	const struct table *table = lock(mirror);
	const struct route_set *set = table_route_find(table, remote);
	int ifindex = 0;

	if (table_is_local(table, remote))
		ifindex = table->loopback;
	else if (set && set->rows[0].type == RTN_UNICAST)
		ifindex = carrier_of(table, set->rows[0].ifindex);
	unlock(mirror);
	return ifindex;
}

const char *
net_interface_name(const struct net_mirror *mirror, int ifindex)
{
	static _Thread_local char names[4][16];
	static _Thread_local unsigned int next;
	const struct table *table = lock(mirror);
	const struct table_link *link = table_link_find(table, ifindex);
	char *name = NULL;

	if (link) {
		name = names[next++ % 4];
		memcpy(name, link->name, sizeof(link->name));
	}
	unlock(mirror);
	return name;
}

void
net_each_address(const struct net_mirror *mirror,
		 void (*each)(void *context, int ifindex, const struct ip_address *address, uint8_t prefix_len),
		 void *context)
{
	const struct table *table = lock(mirror);

	for (uint32_t i = 0; i < table->address_count; i++)
		each(context, carrier_of(table, table->addresses[i].ifindex), &table->addresses[i].address,
		     table->addresses[i].prefix_len);
	unlock(mirror);
}

/* ---- lcores ---- */

bool
net_is_local(const struct net_mirror *mirror, const struct ip_address *address)
{
	return table_is_local(__atomic_load_n(&mirror->table, __ATOMIC_ACQUIRE), address);
}

static bool
mtu_take(void *context, const struct table_hop *hop)
{
	*(uint16_t *)context = hop->mtu;
	return true;
}

bool
net_route_source(const struct net_mirror *mirror, const struct ip_address *remote, struct ip_address *source,
		 uint16_t *mtu)
{
	const struct table *table = __atomic_load_n(&mirror->table, __ATOMIC_ACQUIRE);

	return table_hop_find(table, remote, mtu_take, mtu) == TABLE_OK && table_source_find(table, remote, source);
}
