#include "weir/steering.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "base/hash.h"
#include "port/rss.h"

static void
note_port(struct steering *s, const struct endpoint *local)
{
	uint16_t port = ntohs(local->port_be);

	s->listening[port / 64] |= 1ull << (port % 64);
}

struct steering *
steering_new(struct worker_roles roles, uint64_t hash_seed, uint16_t local_port_first, uint16_t local_port_last,
	     const struct tcp_listener *listeners, uint32_t listener_count)
{
	struct steering *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->roles = roles;
	flow_hash_key_init(&s->hash_key, hash_seed);
	s->local_port_first = local_port_first;
	s->local_port_last = local_port_last;
	s->listeners = listeners;
	s->listener_count = listener_count;
	for (uint32_t i = 0; i < listener_count; i++)
		note_port(s, &listeners[i].local);
	return s;
}

/* Once each. */
static int
endpoint_add(struct endpoint **all, uint32_t *count, const struct endpoint *endpoint)
{
	struct endpoint *larger;

	for (uint32_t i = 0; i < *count; i++)
		if (endpoint_equal(&(*all)[i], endpoint))
			return 0;
	larger = realloc(*all, (*count + 1) * sizeof(*larger));
	if (!larger)
		return -ENOMEM;
	*all = larger;
	larger[(*count)++] = *endpoint;
	return 0;
}

int
steering_add_server(struct steering *s, const struct endpoint *server)
{
	return endpoint_add(&s->servers, &s->server_count, server);
}

int
steering_add_former(struct steering *s, const struct endpoint *local)
{
	for (uint32_t i = 0; i < s->listener_count; i++)
		if (endpoint_equal(&s->listeners[i].local, local))
			return 0;
	note_port(s, local);
	return endpoint_add(&s->former, &s->former_count, local);
}

void
steering_free(struct steering *s)
{
	if (!s)
		return;
	free(s->servers);
	free(s->former);
	free(s);
}

static bool
port_listens(const struct steering *s, uint16_t port)
{
	return s->listening[port / 64] >> (port % 64) & 1;
}

static bool
is_server(const struct steering *s, const struct endpoint *remote)
{
	for (uint32_t i = 0; i < s->server_count; i++)
		if (endpoint_equal(&s->servers[i], remote))
			return true;
	return false;
}

/* A port that is listened on as well may still be that of an outgoing connection: its remote end is a server. */
static bool
is_answer(const struct steering *s, const struct endpoint *remote, uint16_t port)
{
	if (port < s->local_port_first || port > s->local_port_last)
		return false;
	return !port_listens(s, port) || is_server(s, remote);
}

unsigned int
steering_owner(const struct steering *s, unsigned int self, bool flow_stable, const struct endpoint *remote,
	       const struct endpoint *local)
{
	unsigned int first = s->roles.stack_first, owners = s->roles.count - first;
	uint16_t port = ntohs(local->port_be);
	uint32_t hash;

	if (owners == 1)
		return first;
	if (is_answer(s, remote, port))
		return first + port % owners;
	if (flow_stable && self >= first)
		return self;
	hash = flow_hash(remote->ip.halves, local->ip.halves, remote->port_be, local->port_be, IPPROTO_TCP,
			 &s->hash_key);
	return first + (unsigned int)(((uint64_t)hash * owners) >> 32);
}

unsigned int
steering_owner_of_error(const struct steering *s, const struct port_rss *rss, const struct endpoint *remote,
			const struct endpoint *local)
{
	int queue = -1;

	/* Workers set aside have no queue. */
	if (rss && !s->roles.stack_first && !is_answer(s, remote, ntohs(local->port_be)))
		queue = port_rss_queue(rss, remote, local, IPPROTO_TCP);
	/* Queue i is worker i's. */
	return queue >= 0 && queue < (int)s->roles.io ? (unsigned int)queue
						      : steering_owner(s, 0, false, remote, local);
}

bool
steering_lands(const struct steering *s, const struct port_rss *rss, unsigned int self, const struct endpoint *remote,
	       const struct endpoint *local)
{
	return !rss || rss->table_size == 1 || s->roles.stack_first ||
	       port_rss_lands(rss, self, remote, local, IPPROTO_TCP);
}

static bool
takes(const struct endpoint *listening, const struct endpoint *local)
{
	return listening->port_be == local->port_be &&
	       (ip_address_equal(&listening->ip, &local->ip) ||
		(ip_address_is_any(&listening->ip) &&
		 ip_address_is_v4(&listening->ip) == ip_address_is_v4(&local->ip)));
}

bool
steering_listens(const struct steering *s, const struct endpoint *local, bool local_is_ours)
{
	if (!local_is_ours || !port_listens(s, ntohs(local->port_be)))
		return false;
	for (uint32_t i = 0; i < s->listener_count; i++)
		if (takes(&s->listeners[i].local, local))
			return true;
	for (uint32_t i = 0; i < s->former_count; i++)
		if (takes(&s->former[i], local))
			return true;
	return false;
}
