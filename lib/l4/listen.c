/* `listen` of a server in stream: what a packet-level service cannot have, and what no two can. */
#include <errno.h>
#include <ifaddrs.h>
#include <stdlib.h>

#include "l4/settings.h"

struct listed {
	const struct stream_listen *listen;
	uint32_t order; /* in the file */
};

static int
compare_keys(const struct stream_listen *a, const struct stream_listen *b)
{
	int order = memcmp(a->ip.bytes, b->ip.bytes, sizeof(a->ip.bytes));

	return order ? order : (int)a->ip_protocol - (int)b->ip_protocol;
}

static int
compare(const void *left, const void *right)
{
	const struct listed *a = left, *b = right;
	int order = compare_keys(a->listen, b->listen);

	if (order == 0)
		order = (int)a->listen->port_first - (int)b->listen->port_first;
	return order ? order : a->order < b->order ? -1 : 1;
}

static int
fail_overlap(struct config *config, const struct listed *a, const struct listed *b)
{
	const struct stream_listen *earlier = a->order < b->order ? a->listen : b->listen;
	const struct stream_listen *later = a->order < b->order ? b->listen : a->listen;
	char text[STREAM_LISTEN_TEXT_MAX], other[STREAM_LISTEN_TEXT_MAX];

	stream_listen_format(later, text, sizeof(text));
	stream_listen_format(earlier, other, sizeof(other));
	if (strcmp(text, other) == 0)
		return config_fail_at(config, later->file, later->line, "duplicate \"%s\" address and port pair", text);
	return config_fail_at(config, later->file, later->line, "\"%s\" overlaps with \"%s\" of %s:%u", text, other,
			      earlier->file, earlier->line);
}

/* Each against the one before it that reaches furthest. */
static int
check_overlaps(struct config *config, struct listed *all, uint32_t count)
{
	const struct listed *furthest = NULL;

	qsort(all, count, sizeof(*all), compare);
	for (uint32_t i = 0; i < count; i++) {
		if (!furthest || compare_keys(furthest->listen, all[i].listen) != 0) {
			furthest = &all[i];
			continue;
		}
		if (all[i].listen->port_first <= furthest->listen->port_last)
			return fail_overlap(config, furthest, &all[i]);
		furthest = &all[i];
	}
	return 0;
}

static int
check_address(struct config *config, const struct stream_listen *listen)
{
	const uint8_t *b = listen->ip.bytes;
	bool v4 = ip_address_is_v4(&listen->ip);
	char text[STREAM_LISTEN_TEXT_MAX];

	stream_listen_format(listen, text, sizeof(text));
	if (ip_address_is_any(&listen->ip))
		return config_fail_at(
			config, listen->file, listen->line,
			"\"listen %s\" has no address: a packet-level service needs one, as it would take "
			"all of this host's own traffic to that port",
			text);
	if (v4 ? b[12] >= 224 || b[12] == 0 : b[0] == 0xff)
		return config_fail_at(config, listen->file, listen->line,
				      "\"listen %s\" is not the address of one host", text);
	return 0;
}

static bool
is_of_this_host(const struct ifaddrs *interfaces, const struct ip_address *ip)
{
	struct endpoint endpoint;

	for (const struct ifaddrs *i = interfaces; i; i = i->ifa_next)
		if (i->ifa_addr && endpoint_from_sockaddr(i->ifa_addr, &endpoint) == 0 &&
		    ip_address_equal(&endpoint.ip, ip))
			return true;
	return false;
}

/* Once per address. */
static void
note_routed(struct config *config, const struct listed *sorted, uint32_t count)
{
	struct ifaddrs *interfaces;

	if (count == 0 || getifaddrs(&interfaces) < 0)
		return;
	for (uint32_t i = 0; i < count; i++) {
		const struct stream_listen *listen = sorted[i].listen;
		char text[ENDPOINT_TEXT_MAX];

		if (i > 0 && ip_address_equal(&listen->ip, &sorted[i - 1].listen->ip))
			continue;
		if (is_of_this_host(interfaces, &listen->ip))
			continue;
		ip_address_format(&listen->ip, text, sizeof(text));
		config_warn_at(config, listen->file, listen->line,
			       "note: no interface of this host has the address %s: its packets must be routed here",
			       text);
	}
	freeifaddrs(interfaces);
}

int
l4_listens_check(struct config *config, const struct l4_stream_settings *stream)
{
	uint32_t count = 0, at = 0;
	struct listed *all;

	for (uint32_t i = 0; i < stream->server_count; i++)
		for (const struct stream_listen *l = stream->servers[i]->stream->listens; l; l = l->next)
			if (++count > L4_SERVICES_MAX)
				return config_fail_at(config, l->file, l->line,
						      "more than %d \"listen\" directives in stream", L4_SERVICES_MAX);
	all = arena_alloc(config_arena(config), (count + 1) * sizeof(*all));
	for (uint32_t i = 0; i < stream->server_count; i++)
		for (const struct stream_listen *l = stream->servers[i]->stream->listens; l; l = l->next) {
			if (check_address(config, l) < 0)
				return -EINVAL;
			all[at] = (struct listed){ l, at };
			at++;
		}
	if (check_overlaps(config, all, count) < 0)
		return -EINVAL;
	note_routed(config, all, count);
	return 0;
}

bool
l4_listens_on(struct config *config, const struct endpoint *endpoint, uint8_t ip_protocol, const char **file,
	      unsigned int *line)
{
	const struct l4_stream_settings *stream = l4_stream_settings(config);
	uint16_t port = ntohs(endpoint->port_be);

	for (uint32_t i = 0; stream && i < stream->server_count; i++)
		for (const struct stream_listen *l = stream->servers[i]->stream->listens; l; l = l->next)
			if (l->ip_protocol == ip_protocol && port >= l->port_first && port <= l->port_last &&
			    ip_address_equal(&l->ip, &endpoint->ip)) {
				*file = l->file;
				*line = l->line;
				return true;
			}
	return false;
}
