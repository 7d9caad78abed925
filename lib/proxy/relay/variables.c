/* The variables of stream. */
#include <arpa/inet.h>

#include "proxy/print.h"
#include "proxy/relay/relay.h"
#include "proxy/worker.h"

#define GETTER(name) static PROXY_GETTER(name)
#define STREAM const struct proxy_relay *s = subject
#define OUT scratch, scratch_size, value

/* ---- the client ---- */

/* What a session says of itself, whatever it is for. */
GETTER(get_of_session)
{
	STREAM;

	return proxy_print_session(s->session, (enum proxy_session_fact)(size_t)variable->data, scratch, scratch_size,
				   value);
}

GETTER(get_remote_addr)
{
	STREAM;

	return proxy_print_address(&s->remote.ip, OUT);
}

GETTER(get_binary_remote_addr)
{
	STREAM;

	*value = proxy_address_bytes(&s->remote.ip);
	return true;
}

GETTER(get_remote_port)
{
	STREAM;

	return proxy_print(scratch, scratch_size, value, "%u", ntohs(s->remote.port_be));
}

/* ---- TLS ---- */

/* What does not fit `scratch` has no value: of a client's certificate there is the fingerprint. */
GETTER(get_tls)
{
	STREAM;
	const struct proxy_tls *tls = s->session->transport.tls;
	size_t len;

	if (!tls)
		return false;
	len = tls_fact_write(tls->session, (enum tls_fact)(size_t)variable->data, (char *)scratch, scratch_size);
	*value = bytes_of(scratch, len);
	return len && len != SIZE_MAX;
}

/* `ssl_preread`: what the client's hello asks for. */
GETTER(get_preread_name)
{
	STREAM;

	if (!s->hello)
		return false;
	*value = bytes_of(s->hello->name, s->hello->name_len);
	return true;
}

GETTER(get_preread_protocols)
{
	STREAM;

	if (!s->hello)
		return false;
	*value = bytes_of(s->hello->protocols, s->hello->protocols_len);
	return true;
}

GETTER(get_preread_protocol)
{
	STREAM;

	if (!s->hello)
		return false;
	*value = bytes_of_string(tls_hello_version_name(s->hello));
	return true;
}

/* ---- what became of it ---- */

GETTER(get_status)
{
	STREAM;

	return proxy_print(scratch, scratch_size, value, "%03u", s->status);
}

GETTER(get_bytes_received)
{
	STREAM;

	return proxy_print(scratch, scratch_size, value, "%lu", (unsigned long)s->bytes_received);
}

GETTER(get_bytes_sent)
{
	STREAM;

	return proxy_print(scratch, scratch_size, value, "%lu", (unsigned long)s->bytes_sent);
}

GETTER(get_session_time)
{
	STREAM;

	return proxy_print_seconds((s->worker->now_ns - s->started_ns) / NS_PER_MS, OUT);
}

GETTER(get_upstream)
{
	STREAM;

	return proxy_print_attempts(s->tried, s->tried_count, PROXY_RELAY_ATTEMPTS,
				    (enum proxy_attempt_part)(size_t)variable->data, OUT);
}

static const struct config_variable variables[] = {
	PROXY_SESSION_VARIABLES(get_of_session),
	PROXY_TLS_VARIABLES(get_tls),
	PROXY_ATTEMPT_VARIABLES(get_upstream),
	{ "binary_remote_addr", get_binary_remote_addr },
	{ "bytes_received", get_bytes_received },
	{ "bytes_sent", get_bytes_sent },
	{ "protocol", proxy_get_constant, "TCP" },
	{ "remote_addr", get_remote_addr },
	{ "remote_port", get_remote_port },
	{ "session_time", get_session_time },
	{ "ssl_preread_alpn_protocols", get_preread_protocols },
	{ "ssl_preread_protocol", get_preread_protocol },
	{ "ssl_preread_server_name", get_preread_name },
	{ "status", get_status },
	PROXY_ROW("upstream_first_byte_time", get_upstream, ATTEMPT_HEADER),
	PROXY_ROW("upstream_session_time", get_upstream, ATTEMPT_RESPONSE),
	{ 0 },
};

void
proxy_relay_variables_define(void)
{
	config_variables_define(CONFIG_STREAM, variables);
}
