#include "proxy/print.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "proxy/worker.h"

bool
proxy_print(uint8_t *out, size_t size, struct bytes *value, const char *format, ...)
{
	va_list arguments;
	int len;

	va_start(arguments, format);
	len = vsnprintf((char *)out, size, format, arguments);
	va_end(arguments);
	*value = bytes_of(out, len < 0 ? 0 : (size_t)len < size ? (size_t)len : size - 1);
	return true;
}

bool
proxy_print_address(const struct ip_address *ip, uint8_t *out, size_t size, struct bytes *value)
{
	*value = bytes_of(out, ip_address_format(ip, (char *)out, size));
	return true;
}

struct bytes
proxy_address_bytes(const struct ip_address *ip)
{
	return ip_address_is_v4(ip) ? bytes_of(ip->bytes + 12, 4) : bytes_of(ip->bytes, 16);
}

bool
proxy_print_seconds(uint64_t ms, uint8_t *out, size_t size, struct bytes *value)
{
	return proxy_print(out, size, value, "%lu.%03lu", (unsigned long)(ms / 1000), (unsigned long)(ms % 1000));
}

static bool
print_port(const struct endpoint *endpoint, uint8_t *out, size_t size, struct bytes *value)
{
	return proxy_print(out, size, value, "%u", ntohs(endpoint->port_be));
}

static struct bytes
hostname(void)
{
	static char name[256];

	if (!name[0])
		gethostname(name, sizeof(name) - 1);
	return bytes_of_string(name);
}

bool
proxy_print_session(const struct proxy_session *session, enum proxy_session_fact fact, uint8_t *out, size_t size,
		    struct bytes *value)
{
	const struct tcp_connection *tcp = session->transport.tcp;
	const struct packet_proxy *origin = session->origin;
	uint64_t now_ns = session->worker->real_ns;

	switch (fact) {
	case SESSION_NUMBER:
		return proxy_print(out, size, value, "%lu", (unsigned long)session->number);
	case SESSION_PEER_ADDR:
		return proxy_print_address(&tcp_remote(tcp)->ip, out, size, value);
	case SESSION_PEER_PORT:
		return print_port(tcp_remote(tcp), out, size, value);
	case SESSION_SERVER_ADDR:
		return proxy_print_address(&tcp_local(tcp)->ip, out, size, value);
	case SESSION_SERVER_PORT:
		return print_port(tcp_local(tcp), out, size, value);
	case SESSION_ORIGIN_ADDR:
		return origin && proxy_print_address(&origin->source.ip, out, size, value);
	case SESSION_ORIGIN_PORT:
		return origin && print_port(&origin->source, out, size, value);
	case SESSION_ORIGIN_SERVER_ADDR:
		return origin && proxy_print_address(&origin->destination.ip, out, size, value);
	case SESSION_ORIGIN_SERVER_PORT:
		return origin && print_port(&origin->destination, out, size, value);
	case SESSION_MSEC:
		return proxy_print_seconds(now_ns / NS_PER_MS, out, size, value);
	case SESSION_TIME_LOCAL:
		*value = bytes_of(out, log_time_local(now_ns, (char *)out));
		return true;
	case SESSION_TIME_ISO8601:
		*value = bytes_of(out, log_time_iso8601(now_ns, (char *)out));
		return true;
	case SESSION_PID:
		return proxy_print(out, size, value, "%d", getpid());
	case SESSION_HOSTNAME:
		*value = hostname();
		return true;
	}
	return false;
}

static bool
print_ms(int32_t ms, uint8_t *out, size_t size, struct bytes *value)
{
	return ms < 0 ? proxy_print(out, size, value, "-") : proxy_print_seconds((uint64_t)ms, out, size, value);
}

static void
print_attempt(const struct proxy_attempt *a, enum proxy_attempt_part part, uint8_t *out, size_t size,
	      struct bytes *value)
{
	switch (part) {
	case ATTEMPT_ADDRESS:
		*value = a->address;
		break;
	case ATTEMPT_STATUS:
		if (a->status)
			proxy_print(out, size, value, "%u", a->status);
		else
			proxy_print(out, size, value, "-");
		break;
	case ATTEMPT_CONNECT:
		print_ms(a->connect_ms, out, size, value);
		break;
	case ATTEMPT_HEADER:
		print_ms(a->header_ms, out, size, value);
		break;
	case ATTEMPT_RESPONSE:
		print_ms(a->response_ms, out, size, value);
		break;
	case ATTEMPT_RECEIVED:
		proxy_print(out, size, value, "%lu", (unsigned long)a->bytes_received);
		break;
	case ATTEMPT_SENT:
		proxy_print(out, size, value, "%lu", (unsigned long)a->bytes_sent);
		break;
	}
}

bool
proxy_print_attempts(const struct proxy_attempt *ring, uint32_t count, uint32_t max, enum proxy_attempt_part part,
		     uint8_t *out, size_t size, struct bytes *value)
{
	uint32_t kept = count < max ? count : max;
	struct bytes one;
	uint8_t number[32];
	size_t len = 0;

	for (uint32_t i = 0; i < kept; i++) {
		print_attempt(&ring[(count - kept + i) % max], part, number, sizeof(number), &one);
		if (len + one.len + 2 > size)
			break;
		if (i) {
			memcpy(out + len, ", ", 2);
			len += 2;
		}
		memcpy(out + len, one.data, one.len);
		len += one.len;
	}
	*value = bytes_of(out, len);
	return kept > 0;
}

PROXY_GETTER(proxy_get_constant)
{
	*value = bytes_of_string(variable->data);
	return true;
}
