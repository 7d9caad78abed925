#include "base/address.h"
#include "http/h1_scan.h"

static bool
is_hex(uint8_t c)
{
	return (c >= '0' && c <= '9') || (byte_lower(c) >= 'a' && byte_lower(c) <= 'f');
}

/* Length of a valid reg-name or IPv4 address at the start, 0 if there is none. ".." and "." are refused as nginx does,
 * so that a name compares equal to what a server_name can say. */
static size_t
registered_name_len(struct bytes text)
{
	const uint8_t *at = text.data, *end = text.data + text.len;

	for (;;) {
		at = http1_skip_class(at, end, HTTP1_IS_HOST);
		if (end - at < 3 || *at != '%' || !is_hex(at[1]) || !is_hex(at[2]))
			break;
		at += 3;
	}
	size_t len = (size_t)(at - text.data);
	for (size_t i = 1; i < len; i++)
		if (text.data[i] == '.' && text.data[i - 1] == '.')
			return 0;
	return len == 1 && text.data[0] == '.' ? 0 : len;
}

static size_t
ip_literal_len(struct bytes text)
{
	ptrdiff_t close = bytes_index(text, ']');
	struct ip_address address;

	if (close < 2 || bytes_index(bytes_of(text.data, (size_t)close), ':') < 0 ||
	    ip_address_parse(bytes_of(text.data + 1, (size_t)close - 1), &address) != 0)
		return 0;
	return (size_t)close + 1;
}

bool
http_authority_is_valid(struct bytes authority)
{
	struct bytes rest;
	uint64_t port;
	size_t host;

	if (authority.len == 0)
		return false;
	host = authority.data[0] == '[' ? ip_literal_len(authority) : registered_name_len(authority);
	rest = bytes_from(authority, host);
	if (host == 0 || rest.len == 0)
		return host != 0;
	if (rest.data[0] != ':')
		return false;
	/* RFC 3986 section 3.2.3: the port may be empty. */
	rest = bytes_from(rest, 1);
	return rest.len == 0 || bytes_parse_unsigned(rest, UINT16_MAX, &port);
}
