/* `listen` of a server in stream: what a packet-level service cannot have, and what no two can. */
#include <errno.h>
#include <ifaddrs.h>
#include <stdlib.h>

#include "l4/settings.h"

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

static bool
is_first_of_its_address(const struct stream_listen *const *all, uint32_t index)
{
	for (uint32_t i = 0; i < index; i++)
		if (ip_address_equal(&all[i]->ip, &all[index]->ip))
			return false;
	return true;
}

/* Once per address. */
static void
note_routed(struct config *config, const struct stream_listen *const *all, uint32_t count)
{
	struct ifaddrs *interfaces;

	if (count == 0 || getifaddrs(&interfaces) < 0)
		return;
	for (uint32_t i = 0; i < count; i++) {
		char text[ENDPOINT_TEXT_MAX];

		if (!is_first_of_its_address(all, i) || is_of_this_host(interfaces, &all[i]->ip))
			continue;
		ip_address_format(&all[i]->ip, text, sizeof(text));
		config_warn_at(config, all[i]->file, all[i]->line,
			       "note: no interface of this host has the address %s: its packets must be routed here",
			       text);
	}
	freeifaddrs(interfaces);
}

int
l4_listens_check(struct config *config, const struct l4_stream_settings *stream)
{
	uint32_t count = 0, at = 0;
	const struct stream_listen **all;

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
			all[at++] = l;
		}
	note_routed(config, all, count);
	return 0;
}
