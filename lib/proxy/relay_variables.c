/* The variables of stream. */
#include <arpa/inet.h>
#include <unistd.h>

#include "proxy/print.h"
#include "proxy/relay.h"
#include "proxy/worker.h"

/* A getter, with the parameters that nearly all of them leave alone. */
#define GETTER(name)                                                                                                   \
	static bool name(void *subject, const struct config_variable *variable, struct bytes suffix, uint8_t *scratch, \
			 size_t scratch_size, struct bytes *value)
#define STREAM const struct proxy_relay *s = subject
#define OUT scratch, scratch_size, value

/* ---- the client ---- */

GETTER(get_remote_addr)
{
	STREAM;

	return proxy_print_address(&s->remote.ip, OUT);
}

GETTER(get_binary_remote_addr)
{
	STREAM;
	const struct ip_address *ip = &s->remote.ip;

	*value = ip_address_is_v4(ip) ? bytes_of(ip->bytes + 12, 4) : bytes_of(ip->bytes, 16);
	return true;
}

GETTER(get_remote_port)
{
	STREAM;

	return proxy_print(scratch, scratch_size, value, "%u", ntohs(s->remote.port_be));
}

GETTER(get_realip_remote_addr)
{
	STREAM;

	return proxy_print_address(&tcp_remote(s->session->transport.tcp)->ip, OUT);
}

GETTER(get_realip_remote_port)
{
	STREAM;

	return proxy_print(scratch, scratch_size, value, "%u", ntohs(tcp_remote(s->session->transport.tcp)->port_be));
}

GETTER(get_server_addr)
{
	STREAM;

	return proxy_print_address(&tcp_local(s->session->transport.tcp)->ip, OUT);
}

GETTER(get_server_port)
{
	STREAM;

	return proxy_print(scratch, scratch_size, value, "%u", ntohs(tcp_local(s->session->transport.tcp)->port_be));
}

/* `data`: which endpoint of struct packet_proxy. */
static const struct endpoint *
said_endpoint(const struct proxy_relay *s, const struct config_variable *variable)
{
	const struct packet_proxy *origin = s->session->origin;

	return origin ? (const struct endpoint *)(const void *)((const char *)origin + (size_t)variable->data) : NULL;
}

GETTER(get_proxy_protocol_addr)
{
	const struct endpoint *endpoint = said_endpoint(subject, variable);

	return endpoint && proxy_print_address(&endpoint->ip, OUT);
}

GETTER(get_proxy_protocol_port)
{
	const struct endpoint *endpoint = said_endpoint(subject, variable);

	return endpoint && proxy_print(scratch, scratch_size, value, "%u", ntohs(endpoint->port_be));
}

GETTER(get_connection)
{
	STREAM;

	return proxy_print(scratch, scratch_size, value, "%lu", (unsigned long)s->session->number);
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

/* ---- time and place ---- */

GETTER(get_msec)
{
	STREAM;

	return proxy_print_seconds(s->worker->real_ns / NS_PER_MS, OUT);
}

GETTER(get_time_local)
{
	STREAM;

	*value = bytes_of(scratch, log_time_local(s->worker->real_ns, (char *)scratch));
	return true;
}

GETTER(get_time_iso8601)
{
	STREAM;

	*value = bytes_of(scratch, log_time_iso8601(s->worker->real_ns, (char *)scratch));
	return true;
}

GETTER(get_pid)
{
	return proxy_print(scratch, scratch_size, value, "%d", getpid());
}

GETTER(get_hostname)
{
	static char name[256];

	if (!name[0])
		gethostname(name, sizeof(name) - 1);
	*value = bytes_of_string(name);
	return true;
}

#define TLS_FACT(fact) (const void *)(size_t)TLS_FACT_##fact
#define PART(part) (const void *)(size_t)ATTEMPT_##part
#define ORIGIN(member) (const void *)offsetof(struct packet_proxy, member)

static const struct config_variable variables[] = {
	{ "binary_remote_addr", get_binary_remote_addr },
	{ "bytes_received", get_bytes_received },
	{ "bytes_sent", get_bytes_sent },
	{ "connection", get_connection },
	{ "hostname", get_hostname },
	{ "msec", get_msec },
	{ "pid", get_pid },
	{ "protocol", get_constant, "TCP" },
	{ "proxy_protocol_addr", get_proxy_protocol_addr, ORIGIN(source) },
	{ "proxy_protocol_port", get_proxy_protocol_port, ORIGIN(source) },
	{ "proxy_protocol_server_addr", get_proxy_protocol_addr, ORIGIN(destination) },
	{ "proxy_protocol_server_port", get_proxy_protocol_port, ORIGIN(destination) },
	{ "realip_remote_addr", get_realip_remote_addr },
	{ "realip_remote_port", get_realip_remote_port },
	{ "remote_addr", get_remote_addr },
	{ "remote_port", get_remote_port },
	{ "server_addr", get_server_addr },
	{ "server_port", get_server_port },
	{ "session_time", get_session_time },
	{ "ssl_cipher", get_tls, TLS_FACT(CIPHER) },
	{ "ssl_client_fingerprint", get_tls, TLS_FACT(CLIENT_FINGERPRINT) },
	{ "ssl_client_i_dn", get_tls, TLS_FACT(CLIENT_ISSUER) },
	{ "ssl_client_s_dn", get_tls, TLS_FACT(CLIENT_SUBJECT) },
	{ "ssl_client_serial", get_tls, TLS_FACT(CLIENT_SERIAL) },
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
	{ "time_iso8601", get_time_iso8601 },
	{ "time_local", get_time_local },
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
