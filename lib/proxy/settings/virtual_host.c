#include <errno.h>
#include <stdlib.h>

#include "proxy/settings/names.h"
#include "proxy/settings/virtual_host.h"
#include "tls/settings.h"

struct name_slot {
	const struct proxy_name *name;
	const struct proxy_server *server;
};

struct proxy_name_table {
	struct proxy_names names;
	struct name_slot *regexes;
	uint32_t regex_count;
};

int
proxy_name_add(struct config_directive_call *call, struct proxy_server *server, struct bytes text)
{
	struct arena *arena = config_arena(call->config);
	struct proxy_name *name = arena_alloc(arena, sizeof(*name));
	struct proxy_name **last = &server->names;
	struct bytes rest = text;

	if (bytes_equal_string(text, ".") || (text.len && text.data[0] == '*' && (text.len < 3 || text.data[1] != '.')))
		return config_fail(call, "server name \"%s\" is invalid", (const char *)text.data);
	name->kind = PROXY_NAME_EXACT;
	if (text.len && text.data[0] == '~') {
		name->kind = PROXY_NAME_REGEX;
		rest = bytes_from(text, 1);
		name->regex = config_regex_compile(call, rest, true);
		if (!name->regex)
			return -EINVAL;
	} else if (text.len > 1 && text.data[0] == '.') {
		name->kind = PROXY_NAME_HEAD_WILDCARD;
		name->and_itself = true;
		rest = bytes_from(text, 1);
	} else if (text.len > 2 && bytes_start_with(text, (struct bytes)BYTES("*."))) {
		name->kind = PROXY_NAME_HEAD_WILDCARD;
		rest = bytes_from(text, 2);
	} else if (text.len > 2 && bytes_equal(bytes_from(text, text.len - 2), (struct bytes)BYTES(".*"))) {
		name->kind = PROXY_NAME_TAIL_WILDCARD;
		rest = bytes_of(text.data, text.len - 2);
	}
	if (name->kind != PROXY_NAME_REGEX && bytes_index(rest, '*') >= 0)
		return config_fail(call, "invalid server name or wildcard \"%s\"", (const char *)text.data);
	name->written = name->kind == PROXY_NAME_REGEX ? arena_copy(arena, text) : arena_copy_lower(arena, text);
	name->text = name->kind == PROXY_NAME_REGEX ? arena_copy(arena, rest) : arena_copy_lower(arena, rest);
	while (*last)
		last = &(*last)->next;
	*last = name;
	if (!server->name.data)
		server->name = name->and_itself ? bytes_from(name->written, 1) : name->written;
	return 0;
}

/* ---- building ---- */

/* False: another server has that name. */
static bool
table_insert(struct proxy_name_hash *hash, const struct proxy_name *name, const struct proxy_server *server)
{
	const struct proxy_server *owner = proxy_name_insert(hash, name->text, server);

	return !owner || owner == server;
}

static void
table_add(struct config *config, struct proxy_name_table *table, const struct proxy_name *name,
	  const struct proxy_server *server, const struct proxy_address *address)
{
	bool good = true;
	char place[ENDPOINT_TEXT_MAX];

	if (name->kind == PROXY_NAME_EXACT || name->and_itself)
		good = table_insert(&table->names.exact, name, server);
	if (name->kind == PROXY_NAME_HEAD_WILDCARD)
		good &= table_insert(&table->names.head, name, server);
	if (name->kind == PROXY_NAME_TAIL_WILDCARD)
		good = table_insert(&table->names.tail, name, server);
	if (name->kind == PROXY_NAME_REGEX)
		table->regexes[table->regex_count++] = (struct name_slot){ name, server };
	if (good)
		return;
	endpoint_format(&address->endpoint, place, sizeof(place));
	config_warn_at(config, server->scope->file, server->scope->line,
		       "conflicting server name \"%.*s\" on %s, ignored", (int)name->written.len,
		       (const char *)name->written.data, place);
}

static bool
server_listens(const struct proxy_server *server, const struct endpoint *endpoint)
{
	for (const struct proxy_listen *l = server->listens; l; l = l->next)
		if (endpoint_equal(&l->endpoint, endpoint))
			return true;
	return false;
}

static void
names_build(struct config *config, struct config_scope *http, struct proxy_address *address)
{
	struct proxy_name_table *table = arena_alloc(config_arena(config), sizeof(*table));
	uint32_t names = 0;

	for (int pass = 0; pass < 2; pass++) {
		for (struct config_scope *s = http->children; s; s = s->next) {
			const struct proxy_server *server;

			if (s->context != CONFIG_SERVER)
				continue;
			server = config_settings(s, &proxy_server_module);
			if (!server_listens(server, &address->endpoint))
				continue;
			for (const struct proxy_name *n = server->names; n; n = n->next) {
				if (pass == 0)
					names++;
				else
					table_add(config, table, n, server, address);
			}
		}
		if (pass == 0) {
			proxy_names_init(config_arena(config), &table->names, names);
			table->regexes = arena_alloc(config_arena(config), (names + 1) * sizeof(*table->regexes));
		}
	}
	address->names = table;
}

static struct proxy_address *
address_of(struct proxy_addresses *addresses, const struct endpoint *endpoint)
{
	for (uint32_t i = 0; i < addresses->count; i++)
		if (endpoint_equal(&addresses->all[i].endpoint, endpoint))
			return &addresses->all[i];
	return NULL;
}

static int
address_add(struct config *config, struct proxy_addresses *addresses, const struct proxy_server *server,
	    const struct proxy_listen *listen, bool *explicit_default)
{
	struct proxy_address *address = address_of(addresses, &listen->endpoint);
	uint32_t index;
	char place[ENDPOINT_TEXT_MAX];

	if (!address) {
		address = &addresses->all[addresses->count++];
		address->endpoint = listen->endpoint;
		address->fallback = server;
	}
	address->ssl |= listen->ssl;
	address->proxy_protocol |= listen->proxy_protocol;
	address->http2 |= listen->http2;
	index = (uint32_t)(address - addresses->all);
	if (listen->default_server) {
		if (explicit_default[index]) {
			endpoint_format(&listen->endpoint, place, sizeof(place));
			return config_fail_at(config, listen->file, listen->line, "a duplicate default server for %s",
					      place);
		}
		explicit_default[index] = true;
		address->fallback = server;
	}
	return 0;
}

static int
certificate_missing(struct config *config, const struct proxy_server *server)
{
	return config_fail_at(config, server->scope->file, server->scope->line,
			      "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive");
}

/* The default server must have a certificate; or where it refuses every handshake, all others. */
static int
certificates_check(struct config *config, struct config_scope *http, const struct proxy_address *address)
{
	const struct tls_settings *settings = config_settings(address->fallback->scope, &tls_module);

	if (!address->ssl || settings->certificates.count)
		return 0;
	if (!settings->reject_handshake)
		return certificate_missing(config, address->fallback);
	for (struct config_scope *s = http->children; s; s = s->next) {
		if (s->context != CONFIG_SERVER ||
		    !server_listens(config_settings(s, &proxy_server_module), &address->endpoint))
			continue;
		settings = config_settings(s, &tls_module);
		if (!settings->certificates.count && !settings->reject_handshake)
			return certificate_missing(config, config_settings(s, &proxy_server_module));
	}
	return 0;
}

int
proxy_addresses_build(struct config *config, struct config_scope *http, struct proxy_addresses **out)
{
	struct proxy_addresses *addresses = arena_alloc(config_arena(config), sizeof(*addresses));
	uint32_t listens = 0;
	bool *explicit_default;

	for (struct config_scope *s = http->children; s; s = s->next)
		if (s->context == CONFIG_SERVER)
			for (const struct proxy_listen *l =
				     ((struct proxy_server *)config_settings(s, &proxy_server_module))->listens;
			     l; l = l->next)
				listens++;
	addresses->all = arena_alloc(config_arena(config), (listens + 1) * sizeof(*addresses->all));
	explicit_default = arena_alloc(config_arena(config), (listens + 1) * sizeof(*explicit_default));
	for (struct config_scope *s = http->children; s; s = s->next) {
		const struct proxy_server *server;

		if (s->context != CONFIG_SERVER)
			continue;
		server = config_settings(s, &proxy_server_module);
		for (const struct proxy_listen *l = server->listens; l; l = l->next)
			if (address_add(config, addresses, server, l, explicit_default) < 0)
				return -EINVAL;
	}
	for (uint32_t i = 0; i < addresses->count; i++) {
		if (certificates_check(config, http, &addresses->all[i]) < 0)
			return -EINVAL;
		names_build(config, http, &addresses->all[i]);
	}
	*out = addresses;
	return 0;
}

/* ---- looking up ---- */

const struct proxy_address *
proxy_address_find(const struct proxy_addresses *addresses, const struct endpoint *local)
{
	const struct proxy_address *wildcard = NULL;

	for (uint32_t i = 0; i < addresses->count; i++) {
		const struct endpoint *e = &addresses->all[i].endpoint;

		if (e->port_be != local->port_be)
			continue;
		if (ip_address_equal(&e->ip, &local->ip))
			return &addresses->all[i];
		if (ip_address_is_any(&e->ip) && ip_address_is_v4(&e->ip) == ip_address_is_v4(&local->ip))
			wildcard = &addresses->all[i];
	}
	return wildcard;
}

const struct proxy_server *
proxy_server_find(const struct proxy_address *address, struct bytes host, size_t *offsets, size_t max_groups,
		  int *groups, const struct config_regex **regex)
{
	const struct proxy_name_table *table = address->names;
	const struct proxy_server *server;

	*groups = 0;
	/* `server_name "";` takes requests without Host. */
	server = proxy_names_find(&table->names, host);
	if (!server && host.len == 0)
		return address->fallback;
	for (uint32_t i = 0; !server && i < table->regex_count; i++) {
		*groups = config_regex_match(table->regexes[i].name->regex, host, offsets, max_groups);
		if (*groups > 0) {
			*regex = table->regexes[i].name->regex;
			server = table->regexes[i].server;
		} else {
			*groups = 0;
		}
	}
	return server ? server : address->fallback;
}

const struct proxy_server *
proxy_server_of_hello(const struct proxy_address *address, struct bytes name)
{
	const struct config_regex *regex;
	size_t offsets[2];
	int groups;

	return name.len ? proxy_server_find(address, name, offsets, 1, &groups, &regex) : address->fallback;
}
