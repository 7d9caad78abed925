/* `listen` of a server in stream: addresses, ports and ranges of them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "stream/internal.h"

/* What nginx's `listen` takes in stream and Weir has no use for, with the reason. */
static const struct {
	const char *word, *reason;
} unsupported[] = {
	{ "reuseport", "every worker listens on every address already" },
	{ "bind", "there is no kernel socket to bind" },
	{ "backlog=", "there is no kernel socket with a backlog" },
	{ "rcvbuf=", "there is no kernel socket with a buffer" },
	{ "sndbuf=", "there is no kernel socket with a buffer" },
	{ "fastopen=", "there is no kernel socket" },
	{ "so_keepalive=", "there is no kernel socket to probe from" },
	{ "ipv6only=off", "an address is of one IP version" },
};

static int
parse_option(struct config_directive_call *call, struct stream_listen *listen, struct bytes word)
{
	if (bytes_equal_string(word, "udp")) {
		listen->ip_protocol = IPPROTO_UDP;
		return 0;
	}
	if (bytes_equal_string(word, "ssl") || bytes_equal_string(word, "proxy_protocol")) {
		*(bytes_equal_string(word, "ssl") ? &listen->ssl : &listen->proxy_protocol) = true;
		return 0;
	}
	if (bytes_equal_string(word, "ipv6only=on"))
		return 0;
	for (size_t i = 0; i < sizeof(unsupported) / sizeof(unsupported[0]); i++) {
		struct bytes name = bytes_of_string(unsupported[i].word);
		bool is_prefix = name.data[name.len - 1] == '=';

		if (is_prefix ? bytes_start_with(word, name) : bytes_equal(word, name))
			return config_fail(call, "the \"%s\" parameter of \"listen\" is not supported in stream: %s",
					   (const char *)word.data, unsupported[i].reason);
	}
	return config_fail(call, "the invalid \"%s\" parameter", (const char *)word.data);
}

/* "80", "8000-8100" or "*". */
static bool
parse_ports(struct bytes text, struct stream_listen *listen)
{
	ptrdiff_t dash = bytes_index(text, '-');
	uint64_t first, last;

	if (bytes_equal_string(text, "*")) {
		listen->port_first = 1;
		listen->port_last = UINT16_MAX;
		return true;
	}
	if (!bytes_parse_unsigned(dash < 0 ? text : bytes_of(text.data, (size_t)dash), UINT16_MAX, &first))
		return false;
	last = first;
	if (dash >= 0 && !bytes_parse_unsigned(bytes_from(text, (size_t)dash + 1), UINT16_MAX, &last))
		return false;
	listen->port_first = (uint16_t)first;
	listen->port_last = (uint16_t)last;
	return first > 0 && first <= last;
}

static int
fail_listen(struct config_directive_call *call, const char *reason)
{
	return config_fail(call, "%s in \"%s\" of the \"listen\" directive", reason, (const char *)call->words[1].data);
}

static int
parse_address(struct config_directive_call *call, struct stream_listen *listen)
{
	struct bytes text = call->words[1], host, ports;
	bool v6 = text.len > 0 && text.data[0] == '[';
	ptrdiff_t end = bytes_index(text, v6 ? ']' : ':');
	uint64_t port;

	if (bytes_start_with(text, (struct bytes)BYTES("unix:")))
		return config_fail(call, "\"%s\" is not supported: weir listens on IP addresses",
				   (const char *)text.data);
	/* A port alone is every address of the host, as nginx has it. */
	if (bytes_parse_unsigned(text, UINT64_MAX, &port)) {
		listen->ip = ip_address_from_v4(0);
		return parse_ports(text, listen) ? 0 : fail_listen(call, "invalid port");
	}
	if (end < 0)
		return fail_listen(call, v6 ? "invalid host" : "no port");
	host = bytes_of(text.data, (size_t)end + v6);
	ports = bytes_from(text, host.len);
	if (ports.len == 0)
		return fail_listen(call, "no port");
	if (ports.data[0] != ':' || !parse_ports(bytes_from(ports, 1), listen))
		return fail_listen(call, "invalid port");
	if (bytes_equal_string(host, "*"))
		listen->ip = ip_address_from_v4(0);
	else if (ip_address_parse(host, &listen->ip) < 0)
		return fail_listen(call, v6 ? "invalid IPv6 address" : "the host is no numeric address");
	return 0;
}

int
stream_listen_set(struct config_directive_call *call)
{
	struct stream_settings *server = call->settings;
	struct stream_listen *listen = arena_alloc(config_arena(call->config), sizeof(*listen));

	listen->ip_protocol = IPPROTO_TCP;
	listen->file = call->file;
	listen->line = call->line;
	if (parse_address(call, listen) < 0)
		return -EINVAL;
	for (size_t i = 2; i < call->word_count; i++)
		if (parse_option(call, listen, call->words[i]) < 0)
			return -EINVAL;
	*server->listens_end = listen;
	server->listens_end = &listen->next;
	return 0;
}

size_t
stream_listen_format(const struct stream_listen *listen, char *out, size_t size)
{
	struct endpoint first = { .ip = listen->ip, .port_be = htons(listen->port_first) };
	char text[ENDPOINT_TEXT_MAX];
	size_t len = endpoint_format(&first, text, sizeof(text));

	if (stream_listen_one_port(listen))
		return (size_t)snprintf(out, size, "%s", text);
	if (listen->port_first == 1 && listen->port_last == UINT16_MAX)
		return (size_t)snprintf(out, size, "%.*s*", (int)len - 1, text);
	return (size_t)snprintf(out, size, "%s-%u", text, listen->port_last);
}

/* ---- when all are known ---- */

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

int
stream_listens_check(struct config *config, const struct stream_settings *stream)
{
	uint32_t count = 0, at = 0;
	struct listed *all;

	for (uint32_t i = 0; i < stream->server_count; i++)
		for (const struct stream_listen *l = stream->servers[i]->listens; l; l = l->next)
			count++;
	all = arena_alloc(config_arena(config), (count + 1) * sizeof(*all));
	for (uint32_t i = 0; i < stream->server_count; i++)
		for (const struct stream_listen *l = stream->servers[i]->listens; l; l = l->next) {
			all[at] = (struct listed){ l, at };
			at++;
		}
	return check_overlaps(config, all, count);
}

bool
stream_listens_on(struct config *config, const struct endpoint *endpoint, uint8_t ip_protocol, const char **file,
		  unsigned int *line)
{
	const struct stream_settings *stream = stream_settings(config);
	uint16_t port = ntohs(endpoint->port_be);

	for (uint32_t i = 0; stream && i < stream->server_count; i++)
		for (const struct stream_listen *l = stream->servers[i]->listens; l; l = l->next)
			if (l->ip_protocol == ip_protocol && port >= l->port_first && port <= l->port_last &&
			    ip_address_equal(&l->ip, &endpoint->ip)) {
				*file = l->file;
				*line = l->line;
				return true;
			}
	return false;
}
