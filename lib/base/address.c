#include "base/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

bool
ip_address_is_loopback(const struct ip_address *a)
{
	if (ip_address_is_v4(a))
		return a->bytes[12] == 127;
	return a->halves[0] == 0 && a->words_be[2] == 0 && a->words_be[3] == htonl(1);
}

static bool
is_bracketed(struct bytes text)
{
	return text.len >= 2 && text.data[0] == '[' && text.data[text.len - 1] == ']';
}

int
ip_address_parse(struct bytes text, struct ip_address *out)
{
	char string[INET6_ADDRSTRLEN];
	struct in6_addr v6;
	struct in_addr v4;
	bool bracketed = is_bracketed(text);

	if (bracketed)
		text = bytes_of(text.data + 1, text.len - 2);
	if (text.len == 0 || text.len >= sizeof(string) || bytes_index(text, 0) >= 0)
		return -EINVAL;
	memcpy(string, text.data, text.len);
	string[text.len] = 0;
	if (!bracketed && inet_pton(AF_INET, string, &v4) == 1) {
		*out = ip_address_from_v4(v4.s_addr);
		return 0;
	}
	if (inet_pton(AF_INET6, string, &v6) != 1)
		return -EINVAL;
	*out = ip_address_from_v6(&v6);
	return 0;
}

int
endpoint_parse(struct bytes text, uint16_t default_port, struct endpoint *out)
{
	bool bracketed = text.len > 0 && text.data[0] == '[';
	ptrdiff_t end = bytes_index(text, bracketed ? ']' : ':');
	uint64_t port = default_port;
	struct endpoint e;
	struct bytes rest;

	if (bracketed && end < 0)
		return -EINVAL;
	if (end < 0)
		end = (ptrdiff_t)text.len;
	else if (bracketed)
		end++;
	rest = bytes_from(text, (size_t)end);
	if (rest.len > 0) {
		if (rest.data[0] != ':' || !bytes_parse_unsigned(bytes_from(rest, 1), UINT16_MAX, &port) || port == 0)
			return -EINVAL;
	}
	if (ip_address_parse(bytes_of(text.data, (size_t)end), &e.ip) < 0)
		return -EINVAL;
	e.port_be = htons((uint16_t)port);
	*out = e;
	return 0;
}

static size_t
written(int len, size_t size)
{
	if (len < 0 || size == 0)
		return 0;
	return (size_t)len < size ? (size_t)len : size - 1;
}

size_t
ip_address_format(const struct ip_address *a, char *out, size_t size)
{
	char text[INET6_ADDRSTRLEN];

	if (ip_address_is_v4(a))
		inet_ntop(AF_INET, &a->words_be[3], text, sizeof(text));
	else
		inet_ntop(AF_INET6, a->bytes, text, sizeof(text));
	return written(snprintf(out, size, "%s", text), size);
}

size_t
endpoint_format(const struct endpoint *e, char *out, size_t size)
{
	char text[INET6_ADDRSTRLEN];
	unsigned int port = ntohs(e->port_be);

	ip_address_format(&e->ip, text, sizeof(text));
	return written(snprintf(out, size, ip_address_is_v4(&e->ip) ? "%s:%u" : "[%s]:%u", text, port), size);
}

socklen_t
endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *out)
{
	memset(out, 0, sizeof(*out));
	if (ip_address_is_v4(&e->ip)) {
		struct sockaddr_in *v4 = (struct sockaddr_in *)out;

		v4->sin_family = AF_INET;
		v4->sin_port = e->port_be;
		v4->sin_addr.s_addr = ip_address_v4_be(&e->ip);
		return sizeof(*v4);
	}
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	v6->sin6_family = AF_INET6;
	v6->sin6_port = e->port_be;
	memcpy(&v6->sin6_addr, e->ip.bytes, 16);
	return sizeof(*v6);
}

int
endpoint_from_sockaddr(const struct sockaddr *sa, struct endpoint *out)
{
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)sa;

		*out = (struct endpoint){ ip_address_from_v4(v4->sin_addr.s_addr), v4->sin_port };
		return 0;
	}
	if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)sa;

		*out = (struct endpoint){ ip_address_from_v6(&v6->sin6_addr), v6->sin6_port };
		return 0;
	}
	return -EAFNOSUPPORT;
}
