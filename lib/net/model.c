#include "net/model.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/message.h"

/* Linux tells of a removed address before it has dropped the routes that depend on it, and since 6.9 a dump does not wait
 * for that to end. */
#define ROUTES_AGAIN_NS (50 * NS_PER_MS)
/* A table that changes during each of so many dumps is taken as it is: events will tell the rest. */
#define DUMP_TRIES 8

int
model_init(struct model *model, char *error, size_t size)
{
	int rc;

	memset(model, 0, sizeof(*model));
	lpm_init(&model->lpm, route_set_hold, route_set_drop, &model->intern);
	rc = route_intern_init(&model->intern);
	model->neighbors = rc == 0 ? neighbor_table_new(0) : NULL;
	if (!model->neighbors) {
		snprintf(error, size, "no memory for addresses and routes");
		model_close(model);
		return -ENOMEM;
	}
	model->changed = MODEL_ALL;
	return 0;
}

int
model_open(struct model *model, char *error, size_t size)
{
	int rc = model_init(model, error, size);

	if (rc < 0)
		return rc;
	rc = netlink_open(&model->netlink, error, size);
	if (rc < 0)
		model_close(model);
	model->stale = MODEL_ALL;
	return rc;
}

void
model_close(struct model *model)
{
	for (int i = 0; i < TABLE_TREES; i++) {
		lpm_discard(&model->lpm, &model->trees[i]);
		lpm_discard(&model->lpm, &model->fresh[i]);
		lpm_reclaim(&model->lpm);
	}
	lpm_fini(&model->lpm);
	route_intern_fini(&model->intern);
	free(model->neighbors);
	free(model->links);
	free(model->addresses);
	netlink_close(&model->netlink);
}

static void
say_full(struct model *model, const char *what)
{
	if (!model->full)
		log_error(LOG_ERR, "net: too many %s, some are ignored", what);
	model->full = true;
}

static bool
grow(void **array, uint32_t *size, uint32_t needed, size_t element)
{
	uint32_t next = *size ? 2 * *size : 16;
	void *grown;

	if (needed <= *size)
		return true;
	grown = realloc(*array, next * element);
	if (!grown)
		return false;
	*array = grown;
	*size = next;
	return true;
}

/* ---- links ---- */

static uint32_t
link_position(const struct model *model, int32_t ifindex)
{
	uint32_t low = 0, high = model->link_count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (model->links[middle].ifindex < ifindex)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* IPv4 routes go with their interface, silently. */
static void
routes_are_stale(struct model *model)
{
	model->stale |= MODEL_ROUTES;
	model->routes_again_ns = model->now_ns + ROUTES_AGAIN_NS;
}

void
model_link_take(struct model *model, const struct table_link *link, bool removed)
{
	uint32_t at = link_position(model, link->ifindex);
	bool there = at < model->link_count && model->links[at].ifindex == link->ifindex;

	if (there && memcmp(&model->links[at], link, sizeof(*link)) == 0 && !removed)
		return;
	model->changed |= MODEL_LINKS;
	if (there && (removed || (model->links[at].flags & ~link->flags & IFF_UP)))
		routes_are_stale(model);
	if (removed) {
		if (there)
			memmove(&model->links[at], &model->links[at + 1], (--model->link_count - at) * sizeof(*link));
		return;
	}
	if (!there) {
		if (!grow((void **)&model->links, &model->link_size, model->link_count + 1, sizeof(*link))) {
			model->failure = -ENOMEM;
			return;
		}
		memmove(&model->links[at + 1], &model->links[at], (model->link_count++ - at) * sizeof(*link));
	}
	model->links[at] = *link;
}

/* ---- addresses, only from dumps ---- */

void
model_address_take(struct model *model, const struct table_address *address)
{
	if (!grow((void **)&model->addresses, &model->address_size, model->address_count + 1, sizeof(*address))) {
		model->failure = -ENOMEM;
		return;
	}
	model->addresses[model->address_count++] = *address;
}

/* ---- routes ---- */

void
model_route_take(struct model *model)
{
	const struct route_message *message = &model->route;
	struct lpm_node **tree =
		&(model->refreshing ? model->fresh : model->trees)[table_tree_of(message->ipv6, message->local_table)];
	struct route_set *old = lpm_get(*tree, message->key, message->prefix_len), *set = NULL;
	uint32_t count = old ? old->count : 0, before = count;

	if (old)
		memcpy(model->rows, old->rows, count * sizeof(old->rows[0]));
	count = route_rows_apply(model->rows, count, message);
	if (old && count == before && memcmp(model->rows, old->rows, count * sizeof(old->rows[0])) == 0)
		return;
	if (!message->remove && count == before && before + message->count > ROUTE_ROWS_MAX)
		say_full(model, "next hops of a prefix");
	if (count) {
		set = route_set_get(&model->intern, model->rows, count);
		if (!set) {
			model->failure = -ENOMEM;
			return;
		}
	}
	if (lpm_set(&model->lpm, tree, message->key, message->prefix_len, set) < 0)
		model->failure = -ENOMEM;
	if (set)
		route_set_drop(set, &model->intern);
	model->changed |= MODEL_ROUTES;
}

/* ---- neighbours ---- */

void
model_neighbor_take(struct model *model, const struct neighbor *neighbor, bool removed)
{
	int rc = 0;

	model->changed |= MODEL_NEIGHBORS;
	if (removed)
		neighbor_table_remove(model->neighbors, neighbor->ifindex, &neighbor->address);
	else
		rc = neighbor_table_set(&model->neighbors, neighbor);
	if (rc == -ENOSPC)
		say_full(model, "neighbours");
	else if (rc < 0)
		model->failure = rc;
}

/* ---- messages ---- */

void
model_message_take(struct model *model, const struct nlmsghdr *header, bool dump)
{
	struct neighbor neighbor = { .changed_ns = model->now_ns };
	struct table_address address;
	struct table_link link;
	bool removed = false;

	switch (header->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		if (message_link(header, &link, &removed))
			model_link_take(model, &link, removed);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		if (!dump) {
			model->stale |= MODEL_ADDRESSES;
			if (header->nlmsg_type == RTM_DELADDR)
				routes_are_stale(model);
		} else if (message_address(header, &address)) {
			model_address_take(model, &address);
		}
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		if (message_route(header, &model->route))
			model_route_take(model);
		break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		if (message_neighbor(header, &neighbor, &removed))
			model_neighbor_take(model, &neighbor, removed);
		break;
	}
}

static int
dump_each(const struct nlmsghdr *header, void *context)
{
	model_message_take(context, header, true);
	return MNL_CB_OK;
}

static int
event_each(const struct nlmsghdr *header, void *context)
{
	model_message_take(context, header, false);
	return MNL_CB_OK;
}

bool
model_receive(struct model *model, unsigned int datagrams, uint64_t now_ns)
{
	model->now_ns = now_ns;
	for (unsigned int i = 0; i < datagrams; i++) {
		int rc = netlink_receive(&model->netlink, event_each, model);

		if (rc == -ENOBUFS) {
			model->overruns++;
			model->stale = MODEL_ALL;
			continue;
		}
		if (rc <= 0)
			break;
		if (i + 1 == datagrams)
			return true;
	}
	if (model->failure) {
		log_error(LOG_ALERT, "net: no memory to follow Linux' tables, reading them anew");
		model->failure = 0;
		model->stale = MODEL_ALL;
	}
	return false;
}

/* ---- reading anew ---- */

static int
dump(struct model *model, uint16_t type, uint8_t family)
{
	int rc = -EINTR;

	for (int i = 0; i < DUMP_TRIES && rc == -EINTR; i++)
		rc = netlink_dump(&model->netlink, type, family, dump_each, model);
	if (rc == 0 || rc == -EINTR) {
		rc = model->failure;
		model->failure = 0;
	}
	return rc;
}

static int
refresh_links(struct model *model)
{
	model->link_count = 0;
	return dump(model, RTM_GETLINK, AF_UNSPEC);
}

static int
refresh_addresses(struct model *model)
{
	int rc = -EINTR;

	/* Order and completeness matter, so a try that was disturbed is forgotten. */
	for (int i = 0; i < DUMP_TRIES && rc == -EINTR; i++) {
		model->address_count = 0;
		rc = netlink_dump(&model->netlink, RTM_GETADDR, AF_UNSPEC, dump_each, model);
	}
	if (rc == 0 || rc == -EINTR) {
		rc = model->failure;
		model->failure = 0;
	}
	model->changed |= MODEL_ADDRESSES;
	return rc;
}

static int
refresh_neighbors(struct model *model)
{
	struct neighbor_table *empty = neighbor_table_new(0);

	if (!empty)
		return -ENOMEM;
	free(model->neighbors);
	model->neighbors = empty;
	model->changed |= MODEL_NEIGHBORS;
	return dump(model, RTM_GETNEIGH, AF_UNSPEC);
}

/* Made beside the old tries, so that lookups never see a half. */
static int
refresh_routes(struct model *model)
{
	int rc;

	model->refreshing = true;
	rc = dump(model, RTM_GETROUTE, AF_INET);
	if (rc == 0)
		rc = dump(model, RTM_GETROUTE, AF_INET6);
	model->refreshing = false;
	for (int i = 0; i < TABLE_TREES; i++) {
		struct lpm_node **unwanted = rc == 0 ? &model->trees[i] : &model->fresh[i];

		/* Without memory to note it for later, it stays, and the next try goes on from it. */
		if (lpm_discard(&model->lpm, unwanted) < 0)
			return -ENOMEM;
		if (rc == 0) {
			model->trees[i] = model->fresh[i];
			model->fresh[i] = NULL;
		}
	}
	model->changed |= MODEL_ROUTES;
	return rc;
}

int
model_refresh(struct model *model, uint64_t now_ns)
{
	static const struct {
		enum model_part part;
		int (*refresh)(struct model *model);
	} parts[] = {
		{ MODEL_LINKS, refresh_links },
		{ MODEL_ADDRESSES, refresh_addresses },
		{ MODEL_ROUTES, refresh_routes },
		{ MODEL_NEIGHBORS, refresh_neighbors },
	};

	model->now_ns = now_ns;
	if (model->routes_again_ns && now_ns >= model->routes_again_ns) {
		model->routes_again_ns = 0;
		model->stale |= MODEL_ROUTES;
	}
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		int rc;

		if (!(model->stale & parts[i].part))
			continue;
		rc = parts[i].refresh(model);
		if (rc < 0)
			return rc;
		model->stale &= ~(unsigned int)parts[i].part;
	}
	return 0;
}

/* ---- snapshots ---- */

static struct port *
port_of(int32_t ifindex, struct port *const *ports, uint32_t port_count)
{
	for (uint32_t i = 0; i < port_count; i++)
		if (ports[i]->ifindex == ifindex)
			return ports[i];
	return NULL;
}

/* Its own port, or that of the link below its tag. */
static struct port *
port_of_link(const struct table_link *link, struct port *const *ports, uint32_t port_count)
{
	struct port *port = port_of(link->ifindex, ports, port_count);

	if (port || !link->vlan_id)
		return port;
	port = port_of(link->lower, ports, port_count);
	return port && !(port->features & PORT_LOOPBACK) ? port : NULL;
}

struct table *
model_table_new(const struct model *model, struct port *const *ports, uint32_t port_count)
{
	size_t links = model->link_count * sizeof(model->links[0]);
	size_t addresses = model->address_count * sizeof(model->addresses[0]);
	struct table *table = calloc(1, sizeof(*table) + links + addresses);

	if (!table)
		return NULL;
	memcpy(table->trees, model->trees, sizeof(table->trees));
	table->link_count = model->link_count;
	table->links = (struct table_link *)(table + 1);
	table->address_count = model->address_count;
	table->addresses = (struct table_address *)(table->links + model->link_count);
	if (links)
		memcpy(table->links, model->links, links);
	if (addresses)
		memcpy(table->addresses, model->addresses, addresses);
	for (uint32_t i = 0; i < table->link_count; i++) {
		struct table_link *link = &table->links[i];

		link->port = port_of_link(link, ports, port_count);
		/* Frames of a port that lies upon the VLAN interface itself get their tag below it. */
		if (link->port && link->port->ifindex == link->ifindex)
			link->vlan_id = 0;
		if (link->flags & IFF_LOOPBACK && !table->loopback)
			table->loopback = link->ifindex;
	}
	return table;
}
