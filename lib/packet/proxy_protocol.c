#include "packet/proxy_protocol.h"

#include <stdio.h>

static enum packet_proxy_result
bad(struct packet_proxy *out, const char *problem)
{
	out->problem = problem;
	return PACKET_PROXY_BAD;
}

/* ---- version 1: "PROXY TCP4 SOURCE DESTINATION PORT PORT" CR LF ---- */

/* Up to the next space, which there must be but behind the last word; takes both off. */
static bool
next_word(struct bytes *line, bool last, struct bytes *word)
{
	ptrdiff_t space = bytes_index(*line, ' ');

	if ((space < 0) != last)
		return false;
	*word = last ? *line : bytes_of(line->data, (size_t)space);
	*line = last ? bytes_from(*line, line->len) : bytes_from(*line, (size_t)space + 1);
	return true;
}

static bool
parse_address(struct bytes *line, bool v6, struct ip_address *out)
{
	struct bytes word;

	return next_word(line, false, &word) && (bytes_index(word, ':') >= 0) == v6 && bytes_index(word, '[') < 0 &&
	       ip_address_parse(word, out) == 0;
}

static bool
parse_port(struct bytes *line, bool last, uint16_t *out_be)
{
	struct bytes word;
	uint64_t port;

	if (!next_word(line, last, &word) || !bytes_parse_unsigned(word, UINT16_MAX, &port))
		return false;
	*out_be = htons((uint16_t)port);
	return true;
}

/* Without "PROXY " and the line's end. */
static bool
parse_line(struct bytes line, struct packet_proxy *out)
{
	bool v6;

	if (bytes_start_with(line, (struct bytes)BYTES("UNKNOWN")))
		return true;
	v6 = bytes_start_with(line, (struct bytes)BYTES("TCP6 "));
	if (!v6 && !bytes_start_with(line, (struct bytes)BYTES("TCP4 ")))
		return false;
	line = bytes_from(line, 5);
	out->known = parse_address(&line, v6, &out->source.ip) && parse_address(&line, v6, &out->destination.ip) &&
		     parse_port(&line, false, &out->source.port_be) &&
		     parse_port(&line, true, &out->destination.port_be);
	return out->known;
}

static enum packet_proxy_result
parse_v1(struct bytes in, struct packet_proxy *out)
{
	struct bytes prefix = BYTES("PROXY ");
	ptrdiff_t end;

	if (memcmp(in.data, prefix.data, in.len < prefix.len ? in.len : prefix.len) != 0)
		return bad(out, "broken header");
	in.len = in.len < PACKET_PROXY_V1_MAX ? in.len : PACKET_PROXY_V1_MAX;
	end = bytes_index(in, '\n');
	if (end < 0)
		return in.len < PACKET_PROXY_V1_MAX ? PACKET_PROXY_MORE : bad(out, "broken header");
	if (end <= (ptrdiff_t)prefix.len || in.data[end - 1] != '\r' ||
	    !parse_line(bytes_of(in.data + prefix.len, (size_t)end - 1 - prefix.len), out))
		return bad(out, "broken header");
	out->len = (uint32_t)end + 1;
	return PACKET_PROXY_DONE;
}

/* ---- version 2 ---- */

static struct ip_address
address_of(const uint8_t *at, bool v6)
{
	uint32_t v4_be;

	if (v6)
		return ip_address_from_v6(at);
	memcpy(&v4_be, at, sizeof(v4_be));
	return ip_address_from_v4(v4_be);
}

static void
take_addresses(const struct packet_proxy_v2 *header, struct packet_proxy *out)
{
	bool v6 = header->family_transport == PACKET_PROXY_V2_TCP6;
	size_t len = v6 ? 16 : 4;

	out->known = true;
	out->source.ip = address_of(header->rest, v6);
	out->destination.ip = address_of(header->rest + len, v6);
	memcpy(&out->source.port_be, header->rest + 2 * len, 2);
	memcpy(&out->destination.port_be, header->rest + 2 * len + 2, 2);
}

static enum packet_proxy_result
parse_v2(struct bytes in, struct packet_proxy *out)
{
	struct packet_proxy_v2 header;
	bool named;

	if (in.len < PACKET_PROXY_V2_FIXED)
		return PACKET_PROXY_MORE;
	memcpy(&header, in.data, in.len < sizeof(header) ? in.len : sizeof(header));
	if (header.version_command >> 4 != 2)
		return bad(out, "unknown PROXY protocol version");
	out->len = PACKET_PROXY_V2_FIXED + ntohs(header.len_be);
	if (out->len > PACKET_PROXY_MAX)
		return bad(out, "header is too large");
	named = header.version_command == PACKET_PROXY_V2_PROXY &&
		(header.family_transport == PACKET_PROXY_V2_TCP4 || header.family_transport == PACKET_PROXY_V2_TCP6);
	if (named && out->len < packet_proxy_v2_len(header.family_transport == PACKET_PROXY_V2_TCP6))
		return bad(out, "broken header");
	if (in.len < out->len)
		return PACKET_PROXY_MORE;
	if (named)
		take_addresses(&header, out);
	return PACKET_PROXY_DONE;
}

enum packet_proxy_result
packet_proxy_parse(struct bytes in, struct packet_proxy *out)
{
	struct bytes signature = BYTES(PACKET_PROXY_V2_SIGNATURE);

	*out = (struct packet_proxy){ 0 };
	if (!in.len)
		return PACKET_PROXY_MORE;
	if (memcmp(in.data, signature.data, in.len < signature.len ? in.len : signature.len) == 0)
		return parse_v2(in, out);
	return parse_v1(in, out);
}

/* ---- writing version 1 ---- */

static void
format_address(const struct ip_address *ip, bool mapped, char *out, size_t size)
{
	size_t len = mapped && ip_address_is_v4(ip) ? (size_t)snprintf(out, size, "::ffff:") : 0;

	ip_address_format(ip, out + len, size - len);
}

size_t
packet_proxy_write_v1(char *out, const struct endpoint *source, const struct endpoint *destination)
{
	bool v6 = !ip_address_is_v4(&source->ip) || !ip_address_is_v4(&destination->ip);
	char text[PACKET_PROXY_V1_MAX + 1], from[ENDPOINT_TEXT_MAX], to[ENDPOINT_TEXT_MAX];
	int len;

	format_address(&source->ip, v6, from, sizeof(from));
	format_address(&destination->ip, v6, to, sizeof(to));
	len = snprintf(text, sizeof(text), "PROXY TCP%c %s %s %u %u\r\n", v6 ? '6' : '4', from, to,
		       ntohs(source->port_be), ntohs(destination->port_be));
	memcpy(out, text, (size_t)len);
	return (size_t)len;
}
