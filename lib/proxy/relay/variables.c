/* The variables of stream. */
#include <arpa/inet.h>

#include "proxy/print.h"
#include "proxy/relay/relay.h"
#include "proxy/worker.h"

/* A getter, with the parameters that nearly all of them leave alone. */
#define GETTER(name)                                                                                                   \
	static bool name(void *subject, const struct config_variable *variable, struct bytes suffix, uint8_t *scratch, \
			 size_t scratch_size, struct bytes *value)
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

GETTER(get_constant)
{
	*value = bytes_of_string(variable->data);
	return true;
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

#define TLS_FACT(fact) (const void *)(size_t)TLS_FACT_##fact
#define PART(part) (const void *)(size_t)ATTEMPT_##part
#define SESSION(fact) (const void *)(size_t)SESSION_##fact

static const struct config_variable variables[] = {
	{ "binary_remote_addr", get_binary_remote_addr },
	{ "bytes_received", get_bytes_received },
	{ "bytes_sent", get_bytes_sent },
	{ "connection", get_of_session, SESSION(NUMBER) },
	{ "hostname", get_of_session, SESSION(HOSTNAME) },
	{ "msec", get_of_session, SESSION(MSEC) },
	{ "pid", get_of_session, SESSION(PID) },
	{ "protocol", get_constant, "TCP" },
	{ "proxy_protocol_addr", get_of_session, SESSION(ORIGIN_ADDR) },
	{ "proxy_protocol_port", get_of_session, SESSION(ORIGIN_PORT) },
	{ "proxy_protocol_server_addr", get_of_session, SESSION(ORIGIN_SERVER_ADDR) },
	{ "proxy_protocol_server_port", get_of_session, SESSION(ORIGIN_SERVER_PORT) },
	{ "realip_remote_addr", get_of_session, SESSION(PEER_ADDR) },
	{ "realip_remote_port", get_of_session, SESSION(PEER_PORT) },
	{ "remote_addr", get_remote_addr },
	{ "remote_port", get_remote_port },
	{ "server_addr", get_of_session, SESSION(SERVER_ADDR) },
	{ "server_port", get_of_session, SESSION(SERVER_PORT) },
	{ "session_time", get_session_time },
	{ "ssl_alpn_protocol", get_tls, TLS_FACT(ALPN) },
	{ "ssl_cipher", get_tls, TLS_FACT(CIPHER) },
	{ "ssl_client_fingerprint", get_tls, TLS_FACT(CLIENT_FINGERPRINT) },
	{ "ssl_client_i_dn", get_tls, TLS_FACT(CLIENT_ISSUER) },
	{ "ssl_client_s_dn", get_tls, TLS_FACT(CLIENT_SUBJECT) },
	{ "ssl_client_serial", get_tls, TLS_FACT(CLIENT_SERIAL) },
	{ "ssl_client_v_end", get_tls, TLS_FACT(CLIENT_END) },
	{ "ssl_client_v_remain", get_tls, TLS_FACT(CLIENT_REMAIN) },
	{ "ssl_client_v_start", get_tls, TLS_FACT(CLIENT_START) },
	{ "ssl_client_verify", get_tls, TLS_FACT(CLIENT_VERIFY) },
	{ "ssl_curve", get_tls, TLS_FACT(CURVE) },
	{ "ssl_preread_alpn_protocols", get_preread_protocols },
	{ "ssl_preread_protocol", get_preread_protocol },
	{ "ssl_preread_server_name", get_preread_name },
	{ "ssl_protocol", get_tls, TLS_FACT(PROTOCOL) },
	{ "ssl_server_name", get_tls, TLS_FACT(SERVER_NAME) },
	{ "ssl_session_id", get_tls, TLS_FACT(SESSION_ID) },
	{ "ssl_session_reused", get_tls, TLS_FACT(SESSION_REUSED) },
	{ "status", get_status },
	{ "time_iso8601", get_of_session, SESSION(TIME_ISO8601) },
	{ "time_local", get_of_session, SESSION(TIME_LOCAL) },
	{ "upstream_addr", get_upstream, PART(ADDRESS) },
	{ "upstream_bytes_received", get_upstream, PART(RECEIVED) },
	{ "upstream_bytes_sent", get_upstream, PART(SENT) },
	{ "upstream_connect_time", get_upstream, PART(CONNECT) },
	{ "upstream_first_byte_time", get_upstream, PART(HEADER) },
	{ "upstream_session_time", get_upstream, PART(RESPONSE) },
	{ 0 },
};

void
proxy_relay_variables_define(void)
{
	config_variables_define(CONFIG_STREAM, variables);
}
