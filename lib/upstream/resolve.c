/* HOST[:PORT] as nginx reads it, and the addresses behind a name. */
#include <errno.h>
#include <netdb.h>
#include <strings.h>

#include "upstream/internal.h"

static int
fail(const char **error, const char *text)
{
	*error = text;
	return -EINVAL;
}

static int
parse_port(struct bytes text, struct upstream_host *out, const char **error)
{
	uint64_t port;

	if (!bytes_parse_unsigned(text, UINT16_MAX, &port) || port == 0)
		return fail(error, "invalid port");
	out->port = (uint16_t)port;
	out->has_port = true;
	return 0;
}

static int
parse_ipv6(struct bytes text, struct upstream_host *out, const char **error)
{
	ptrdiff_t end = bytes_index(text, ']');
	struct bytes rest;

	if (end < 0)
		return fail(error, "invalid host");
	out->host = bytes_of(text.data + 1, (size_t)end - 1);
	rest = bytes_from(text, (size_t)end + 1);
	if (rest.len > 0) {
		if (rest.data[0] != ':')
			return fail(error, "invalid host");
		if (parse_port(bytes_from(rest, 1), out, error) < 0)
			return -EINVAL;
	}
	if (ip_address_parse(bytes_of(text.data, (size_t)end + 1), &out->address) < 0)
		return fail(error, "invalid IPv6 address");
	out->is_address = true;
	return 0;
}

int
upstream_host_parse(struct bytes text, uint16_t default_port, struct upstream_host *out, const char **error)
{
	ptrdiff_t colon;

	*out = (struct upstream_host){ .port = default_port };
	if (text.len >= 5 && strncasecmp((const char *)text.data, "unix:", 5) == 0)
		return fail(error, text.len == 5 ? "no path in the unix domain socket"
						 : "unix domain sockets are not supported: servers are reached by "
						   "packets, not sockets,");
	if (text.len > 0 && text.data[0] == '[')
		return parse_ipv6(text, out, error);
	if (bytes_index(text, '/') >= 0 || bytes_index(text, '?') >= 0)
		return fail(error, "invalid host");
	colon = bytes_index(text, ':');
	if (colon >= 0 && parse_port(bytes_from(text, (size_t)colon + 1), out, error) < 0)
		return -EINVAL;
	out->host = bytes_of(text.data, colon < 0 ? text.len : (size_t)colon);
	if (out->host.len == 0)
		return fail(error, "no host");
	out->is_address = ip_address_parse(out->host, &out->address) == 0;
	return 0;
}

static size_t
take_family(const struct addrinfo *list, int family, uint16_t port, struct endpoint *out)
{
	size_t count = 0;

	for (const struct addrinfo *a = list; a; a = a->ai_next)
		if (a->ai_family == family && endpoint_from_sockaddr(a->ai_addr, &out[count]) == 0)
			out[count++].port_be = htons(port);
	return count;
}

size_t
upstream_host_resolve(struct arena *arena, const struct upstream_host *host, struct endpoint **addresses)
{
	/* Only families that this machine has, where that leaves any. */
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG }, *list = NULL;
	const char *name = arena_printf(arena, "%.*s", (int)host->host.len, (const char *)host->host.data);
	size_t count = 0;

	if (host->is_address) {
		*addresses = arena_alloc(arena, sizeof(**addresses));
		**addresses = (struct endpoint){ .ip = host->address, .port_be = htons(host->port) };
		return 1;
	}
	if (getaddrinfo(name, NULL, &hints, &list) != 0) {
		hints.ai_flags = 0;
		if (getaddrinfo(name, NULL, &hints, &list) != 0)
			return 0;
	}
	for (const struct addrinfo *a = list; a; a = a->ai_next)
		count++;
	*addresses = arena_alloc(arena, count * sizeof(**addresses));
	count = take_family(list, AF_INET, host->port, *addresses);
	count += take_family(list, AF_INET6, host->port, *addresses + count);
	freeaddrinfo(list);
	return count;
}
