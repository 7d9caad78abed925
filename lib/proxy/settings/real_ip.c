#include "proxy/settings/real_ip.h"

#include <errno.h>
#include <netdb.h>

#include "proxy/worker.h"

/* ---- set_real_ip_from ---- */

static void
network_add(struct config_directive_call *call, const struct ip_address *address, uint8_t prefix_len)
{
	struct proxy_real_ip *settings = call->settings;

	if (settings->network_count == settings->network_space) {
		size_t space = settings->network_space ? 2 * settings->network_space : 4;
		struct proxy_network *more = arena_alloc(config_arena(call->config), space * sizeof(*more));

		if (settings->network_count)
			memcpy(more, settings->networks, settings->network_count * sizeof(*more));
		settings->networks = more;
		settings->network_space = space;
	}
	settings->networks[settings->network_count++] = (struct proxy_network){ *address, prefix_len };
}

static bool
bit_of(const struct ip_address *address, unsigned int bit)
{
	return address->bytes[bit / 8] >> (7 - bit % 8) & 1;
}

/* "10.0.0.0/8": false when it is none. Bits behind the prefix are of no use, which nginx warns of. */
static bool
parse_network(struct config_directive_call *call, struct bytes text, struct ip_address *address, uint8_t *prefix_len)
{
	ptrdiff_t slash = bytes_index(text, '/');
	uint64_t len = 128;
	bool low = false, v4;

	if (ip_address_parse(slash < 0 ? text : bytes_of(text.data, (size_t)slash), address) < 0)
		return false;
	v4 = ip_address_is_v4(address);
	if (slash >= 0 && !bytes_parse_unsigned(bytes_from(text, (size_t)slash + 1), v4 ? 32 : 128, &len))
		return false;
	*prefix_len = (uint8_t)(slash >= 0 && v4 ? len + 96 : len);
	for (unsigned int i = *prefix_len; i < 128; i++) {
		low |= bit_of(address, i);
		address->bytes[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
	}
	if (low)
		config_warn(call, "low address bits of %s are meaningless", (const char *)text.data);
	return true;
}

/* All addresses of a name, as nginx takes them since 1.13.1. */
static int
add_host(struct config_directive_call *call, struct bytes name)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;

	if (bytes_index(name, '/') >= 0)
		return config_fail(call, "invalid parameter \"%s\"", (const char *)name.data);
	if (getaddrinfo((const char *)name.data, NULL, &hints, &found) != 0)
		return config_fail(call, "host not found in set_real_ip_from \"%s\"", (const char *)name.data);
	for (const struct addrinfo *i = found; i; i = i->ai_next) {
		struct endpoint endpoint;

		if (endpoint_from_sockaddr(i->ai_addr, &endpoint) == 0)
			network_add(call, &endpoint.ip, 128);
	}
	freeaddrinfo(found);
	return 0;
}

static int
set_from(struct config_directive_call *call)
{
	struct ip_address address;
	uint8_t prefix_len;

	if (bytes_equal_string(call->words[1], "unix:"))
		return config_fail(call,
				   "\"unix:\" in \"set_real_ip_from\" is not supported: weir listens on IP addresses");
	if (!parse_network(call, call->words[1], &address, &prefix_len))
		return add_host(call, call->words[1]);
	network_add(call, &address, prefix_len);
	return 0;
}

/* ---- real_ip_header ---- */

static int
set_header(struct config_directive_call *call)
{
	struct proxy_real_ip *settings = call->settings;
	struct bytes name = call->words[1];

	if (settings->kind != CONFIG_UNSET)
		return config_fail(call, "\"%s\" directive is duplicate", call->directive->name);
	settings->field = name;
	settings->kind = PROXY_REAL_IP_FIELD;
	if (bytes_equal_ignoring_case(name, (struct bytes)BYTES("X-Forwarded-For")))
		settings->kind = PROXY_REAL_IP_FORWARDED_FOR;
	else if (bytes_equal_string(name, "proxy_protocol"))
		settings->kind = PROXY_REAL_IP_PROXY_PROTOCOL;
	return 0;
}

/* ---- module ---- */

static void
settings_init(struct config *config, void *object)
{
	struct proxy_real_ip *settings = object;

	settings->kind = settings->recursive = CONFIG_UNSET;
}

static int
settings_merge(struct config *config, struct config_scope *scope, const void *parent, void *object)
{
	static const struct proxy_real_ip unset = { .kind = CONFIG_UNSET, .recursive = CONFIG_UNSET };
	const struct proxy_real_ip *outer = parent ? parent : &unset;
	struct proxy_real_ip *settings = object;

	if (!settings->network_count) {
		settings->networks = outer->networks;
		settings->network_count = outer->network_count;
	}
	if (settings->kind == CONFIG_UNSET)
		settings->field = outer->field.data ? outer->field : (struct bytes)BYTES("X-Real-IP");
	config_merge(settings->kind, outer->kind, CONFIG_UNSET, PROXY_REAL_IP_FIELD);
	config_merge(settings->recursive, outer->recursive, CONFIG_UNSET, 0);
	return 0;
}

#define IN_HTTP (CONFIG_HTTP | CONFIG_SERVER | CONFIG_LOCATION)
#define IN_STREAM (CONFIG_STREAM | CONFIG_STREAM_SERVER)

static const struct config_directive directives[] = {
	{ "set_real_ip_from", IN_HTTP | IN_STREAM, 1, 1, 0, 0, set_from },
	{ "real_ip_header", IN_HTTP, 1, 1, 0, 0, set_header },
	{ "real_ip_recursive", IN_HTTP, 1, 1, CONFIG_FLAG, 0, config_set_flag,
	  offsetof(struct proxy_real_ip, recursive) },
	{ 0 },
};

struct config_module proxy_real_ip_module = {
	.name = "proxy_real_ip",
	.contexts = IN_HTTP | IN_STREAM,
	.settings_size = sizeof(struct proxy_real_ip),
	.init = settings_init,
	.merge = settings_merge,
	.directives = directives,
};

/* ---- lcores ---- */

static bool
network_has(const struct proxy_network *network, const struct ip_address *address)
{
	unsigned int bytes = network->prefix_len / 8, bits = network->prefix_len % 8;

	return memcmp(network->address.bytes, address->bytes, bytes) == 0 &&
	       (!bits || (network->address.bytes[bytes] ^ address->bytes[bytes]) >> (8 - bits) == 0);
}

bool
proxy_real_ip_trusts(const struct proxy_real_ip *settings, const struct ip_address *address)
{
	for (size_t i = 0; i < settings->network_count; i++)
		if (network_has(&settings->networks[i], address))
			return true;
	return false;
}

/* Takes the last element of a list that spaces and commas separate. */
static struct bytes
last_element(struct bytes *list)
{
	size_t end = list->len, start;

	while (end > 0 && (list->data[end - 1] == ' ' || list->data[end - 1] == ','))
		end--;
	start = end;
	while (start > 0 && list->data[start - 1] != ' ' && list->data[start - 1] != ',')
		start--;
	list->len = start;
	return bytes_of(list->data + start, end - start);
}

/* "1.2.3.4", "1.2.3.4:5", "2001:db8::1", "[2001:db8::1]:5" */
static bool
parse_client(struct bytes text, struct endpoint *out)
{
	out->port_be = 0;
	return ip_address_parse(text, &out->ip) == 0 || endpoint_parse(text, 0, out) == 0;
}

enum proxy_real_ip_result
proxy_real_ip_walk(const struct proxy_real_ip *settings, struct bytes list, struct endpoint *client)
{
	enum proxy_real_ip_result result = PROXY_REAL_IP_KEPT;

	while (proxy_real_ip_trusts(settings, &client->ip)) {
		struct endpoint named;

		if (!parse_client(last_element(&list), &named))
			return result == PROXY_REAL_IP_KEPT ? PROXY_REAL_IP_KEPT : PROXY_REAL_IP_TAKEN;
		*client = named;
		result = PROXY_REAL_IP_TAKEN;
		if (!settings->recursive)
			return result;
		if (!list.len)
			return PROXY_REAL_IP_FIRST;
	}
	return result;
}

/* nginx reads several fields as one list, but looks beyond the last field with `recursive` alone. */
static bool
from_forwarded_for(const struct proxy_real_ip *settings, const struct http_message *request, struct endpoint *client)
{
	bool taken = false;

	for (uint16_t i = request->field_count; i-- > 0;) {
		enum proxy_real_ip_result result;

		if (request->fields[i].id != HTTP_FIELD_X_FORWARDED_FOR)
			continue;
		result = proxy_real_ip_walk(settings, request->fields[i].value, client);
		taken |= result != PROXY_REAL_IP_KEPT;
		if (result != PROXY_REAL_IP_FIRST)
			break;
	}
	return taken;
}

void
proxy_real_ip_apply(struct proxy_exchange *x)
{
	const struct proxy_real_ip *settings = config_settings(x->location->scope, &proxy_real_ip_module);
	const struct packet_proxy *origin = x->session->origin;
	struct endpoint client = x->remote;
	const struct http_field *field;

	if (!settings->network_count || x->real_ip_found)
		return;
	switch ((enum proxy_real_ip_kind)settings->kind) {
	case PROXY_REAL_IP_FORWARDED_FOR:
		x->real_ip_found = from_forwarded_for(settings, &x->request, &client);
		break;
	case PROXY_REAL_IP_FIELD:
		field = http_message_field_named(&x->request, settings->field);
		x->real_ip_found = field && proxy_real_ip_walk(settings, field->value, &client) != PROXY_REAL_IP_KEPT;
		break;
	case PROXY_REAL_IP_PROXY_PROTOCOL:
		x->real_ip_found = origin && proxy_real_ip_trusts(settings, &client.ip);
		if (x->real_ip_found)
			client = origin->source;
		break;
	}
	if (x->real_ip_found)
		x->remote = client;
}
