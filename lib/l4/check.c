/*
 * Whether servers, options and listeners of `stream` fit the way they are forwarded: by the forwarder's properties.
 */
#include <errno.h>

#include "l4/settings.h"

static int
check_options(struct config *config, const struct l4_stream_settings *server)
{
	const char *option = server->stream->proxy_protocol ? "proxy_protocol" : server->toa ? "toa" : NULL;

	if (!option)
		return 0;
	if (!(server->forwarder->properties & L4_NEEDS_LOCAL_PORT))
		return config_fail_at(config, server->stream->file, server->stream->line,
				      "\"%s\" cannot be used with \"forward %s\": the server sees the client's address",
				      option, server->forwarder->name);
	for (const struct stream_listen *l = server->stream->listens; l; l = l->next)
		if (l->ip_protocol != IPPROTO_TCP)
			return config_fail_at(config, l->file, l->line, "\"%s\" cannot be used with \"udp\"", option);
	return 0;
}

static int
check_family(struct config *config, const struct l4_stream_settings *server, const struct stream_listen *listen,
	     const struct upstream_server *peer)
{
	char text[STREAM_LISTEN_TEXT_MAX];

	if (server->forwarder->properties & L4_TUNNELS ||
	    ip_address_is_v4(&listen->ip) == ip_address_is_v4(&peer->address.ip))
		return 0;
	stream_listen_format(listen, text, sizeof(text));
	return config_fail_at(config, peer->file, peer->line,
			      "server \"%s\" and \"listen %s\" of %s:%u are of different IP versions, which \"forward "
			      "%s\" cannot bring together",
			      (const char *)peer->address_text.data, text, listen->file, listen->line,
			      server->forwarder->name);
}

static int
check_port(struct config *config, const struct l4_stream_settings *server, const struct stream_listen *listen,
	   const struct upstream_server *peer)
{
	uint16_t port = ntohs(peer->address.port_be);
	char text[STREAM_LISTEN_TEXT_MAX];

	/* nginx's words, and where it has them. */
	if (port == 0 && stream_listen_one_port(listen))
		return config_fail_at(config, peer->file, peer->line, "no port in upstream \"%s\"",
				      (const char *)peer->name.data);
	if (port == 0 || !(server->forwarder->properties & L4_KEEPS_PORT))
		return 0;
	if (stream_listen_one_port(listen) && port == listen->port_first)
		return 0;
	stream_listen_format(listen, text, sizeof(text));
	return config_fail_at(
		config, peer->file, peer->line,
		"\"forward %s\" keeps the packet's port: server \"%s\" must %s, as \"listen %s\" of %s:%u",
		server->forwarder->name, (const char *)peer->address_text.data,
		stream_listen_one_port(listen) ? "have the same" : "be written without one", text, listen->file,
		listen->line);
}

static int
check_quic_id(struct config *config, const struct l4_stream_settings *server, uint32_t index)
{
	const struct upstream_server *servers = server->stream->group->servers, *peer = &servers[index];

	if (!peer->quic_id_len)
		return config_fail_at(
			config, peer->file, peer->line,
			"server \"%s\" needs a \"quic_id\", by the \"quic_affinity\" of the server of %s:%u",
			(const char *)peer->name.data, server->stream->file, server->stream->line);
	if (peer->quic_id_len != servers[0].quic_id_len)
		return config_fail_at(config, peer->file, peer->line,
				      "the \"quic_id\" of server \"%s\" is not as long as that of %s:%u",
				      (const char *)peer->name.data, servers[0].file, servers[0].line);
	for (uint32_t i = 0; i < index; i++)
		if (servers[i].quic_id == peer->quic_id)
			return config_fail_at(config, peer->file, peer->line,
					      "server \"%s\" has the \"quic_id\" of server \"%s\" of %s:%u",
					      (const char *)peer->address_text.data,
					      (const char *)servers[i].address_text.data, servers[i].file,
					      servers[i].line);
	return 0;
}

static int
check_quic(struct config *config, const struct l4_stream_settings *server)
{
	const struct upstream_group *group = server->stream->group;

	if (!server->quic_affinity)
		return 0;
	for (const struct stream_listen *l = server->stream->listens; l; l = l->next)
		if (l->ip_protocol != IPPROTO_UDP)
			return config_fail_at(config, l->file, l->line,
					      "\"quic_affinity\" can only be used with \"udp\"");
	for (uint32_t i = 0; i < group->primary_count + group->backup_count; i++)
		if (check_quic_id(config, server, i) < 0)
			return -EINVAL;
	return 0;
}

/* Of a packet there is nothing but its addresses and ports; and whether connections are open, or failed, is not seen. */
static int
check_group(struct config *config, const struct upstream_group *group, const char *forward)
{
	if (group->key_text.data && !group->by_address)
		return config_fail_at(
			config, group->file, group->line,
			"the key \"%s\" of \"%s\" is not supported with \"forward %s\": it may be $remote_addr",
			(const char *)group->key_text.data, group->method->name, forward);
	for (uint32_t i = 0; i < upstream_server_count(group); i++) {
		const struct upstream_server *peer = &group->servers[i];

		if (peer->max_conns)
			return config_fail_at(
				config, peer->file, peer->line,
				"parameter \"max_conns\" is not supported with \"forward %s\": packets are "
				"forwarded, connections are not counted",
				forward);
		if (peer->max_fails != UPSTREAM_MAX_FAILS_DEFAULT ||
		    peer->fail_timeout_ms != UPSTREAM_FAIL_TIMEOUT_DEFAULT_MS)
			config_warn_at(config, peer->file, peer->line,
				       "\"max_fails\" and \"fail_timeout\" have no effect with \"forward %s\": packets "
				       "are forwarded, failures are not seen",
				       forward);
	}
	return 0;
}

static int
check_server(struct config *config, const struct l4_stream_settings *server)
{
	const struct upstream_group *group = server->stream->group;

	if (check_options(config, server) < 0 || check_quic(config, server) < 0 ||
	    check_group(config, group, server->forwarder->name) < 0)
		return -EINVAL;
	for (const struct stream_listen *l = server->stream->listens; l; l = l->next)
		for (uint32_t i = 0; i < group->primary_count + group->backup_count; i++)
			if (check_family(config, server, l, &group->servers[i]) < 0 ||
			    check_port(config, server, l, &group->servers[i]) < 0)
				return -EINVAL;
	return 0;
}

/* A group that nobody refers to is held to nginx's rule as well. */
static int
check_unused(struct config *config, const struct l4_stream_settings *stream, const struct upstream_group *group)
{
	for (uint32_t i = 0; i < stream->server_count; i++)
		if (stream->servers[i]->stream->group->servers == group->servers)
			return 0;
	for (uint32_t i = 0; i < group->primary_count + group->backup_count; i++)
		if (group->servers[i].address.port_be == 0)
			return config_fail_at(config, group->servers[i].file, group->servers[i].line,
					      "no port in upstream \"%s\"", (const char *)group->servers[i].name.data);
	return 0;
}

/* An id that nobody looks at would be believed to work. */
static int
check_unused_ids(struct config *config, const struct l4_stream_settings *stream, const struct upstream_group *group)
{
	for (uint32_t i = 0; i < stream->server_count; i++)
		if (stream->servers[i]->stream->group->servers == group->servers && stream->servers[i]->quic_affinity)
			return 0;
	for (uint32_t i = 0; i < group->primary_count + group->backup_count; i++)
		if (group->servers[i].quic_id_len)
			return config_fail_at(config, group->servers[i].file, group->servers[i].line,
					      "\"quic_id\" has no effect: no server with \"quic_affinity\" passes to "
					      "upstream \"%s\"",
					      (const char *)group->name.data);
	return 0;
}

int
l4_servers_check(struct config *config, const struct l4_stream_settings *stream)
{
	uint32_t count;
	struct upstream_group **groups = upstream_stream_groups(config, &count);

	for (uint32_t i = 0; i < stream->server_count; i++)
		if (check_server(config, stream->servers[i]) < 0)
			return -EINVAL;
	for (uint32_t i = 0; i < count; i++)
		if (check_unused(config, stream, groups[i]) < 0 || check_unused_ids(config, stream, groups[i]) < 0)
			return -EINVAL;
	return 0;
}
